//! `hotrow bench --ids`: the options, and the workloads that look up the ids of a file.

use std::path::PathBuf;

use hotrow::DType;

use super::error::BenchError;
use super::idlist::{IdFormat, IdList, read_ids};
use super::workload::{Dist, IdDtype, Lookups, Op, Pooling, Workload, fits};

/// The optimizers that learn from the ids of a file.
const OPTIMIZERS: [&str; 4] = ["sgd", "rowwise_adagrad", "adagrad", "adam"];

/// Which ids to look up, and in what.
#[derive(Clone, Debug, clap::Args)]
pub struct ListedArgs {
    /// Look up the ids of this file, in batches in its order, in place of the standard workloads.
    #[arg(long, value_name = "FILE", conflicts_with = "workloads")]
    pub ids: Option<PathBuf>,

    /// How the file of ids is written [default: as it shows].
    #[arg(long, value_enum, requires = "ids")]
    pub format: Option<IdFormat>,

    /// Rows of the table [default: one more than the highest id].
    #[arg(long, value_name = "N", requires = "ids", value_parser = clap::value_parser!(u32).range(1..))]
    pub rows: Option<u32>,

    /// Values in a row [default: 64].
    #[arg(long, value_name = "N", requires = "ids", value_parser = clap::value_parser!(u32).range(1..))]
    pub dim: Option<u32>,

    /// Element of the table: f32, f16 or bf16 [default: f32].
    #[arg(long, requires = "ids")]
    pub dtype: Option<DType>,
}

impl ListedArgs {
    /// Reads the file, if one is given.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that holds something other than ids of the table.
    pub(super) fn read(&self) -> Result<Option<IdList>, BenchError> {
        let Some(path) = self.ids.clone() else { return Ok(None) };
        match std::fs::read(&path) {
            Err(source) => Err(BenchError::ReadFile { path, source }),
            Ok(bytes) => {
                let list = read_ids(&bytes, self.format, self.rows.map(|rows| rows as usize));
                list.map(Some).map_err(|source| BenchError::Ids { path, source })
            }
        }
    }

    /// The workloads: a gather, a bag where the list has bags, and train steps.
    ///
    /// # Errors
    ///
    /// A table, or a batch of its rows, that no address space holds.
    pub(super) fn workloads(&self, list: &IdList) -> Result<Vec<Workload>, BenchError> {
        let rows = self.rows.map_or_else(|| list.rows(), |rows| rows as usize);
        let dim = self.dim.map_or(64, |dim| dim as usize);
        // Whatever is made of the rows or of the ids takes no more than some tens of bytes a value.
        if !fits(&[rows.max(list.ids.len()), dim, 64]) {
            return Err(BenchError::TooLarge { rows, dim });
        }
        let dtype = self.dtype.unwrap_or(DType::F32);
        let pooling = if list.splits.is_some() { Pooling::Sum } else { Pooling::None };
        let workload = |name: String, op, pooling, out_dtype, optimizer: Option<&str>| Workload {
            name,
            op,
            tables: 1,
            rows,
            dim,
            dtype,
            out_dtype,
            lookups: lookups(list, pooling),
            pooling,
            weighted: false,
            optimizer: optimizer.map(str::to_owned),
            id_dtype: IdDtype::I64,
            dist: Dist::Uniform,
            threads: None,
            level: None,
            against: None,
            search: None,
        };
        let mut workloads = vec![workload("ids-gather".to_owned(), Op::Gather, Pooling::None, dtype, None)];
        if pooling != Pooling::None {
            workloads.push(workload("ids-bag".to_owned(), Op::Bag, pooling, DType::F32, None));
        }
        for optimizer in OPTIMIZERS {
            let name = format!("ids-train-{}", optimizer.replace('_', "-"));
            workloads.push(workload(name, Op::TrainStep, pooling, DType::F32, Some(optimizer)));
        }
        Ok(workloads)
    }
}

/// The largest batches that the list is cut into.
fn lookups(list: &IdList, pooling: Pooling) -> Lookups {
    let batches = list.batches(pooling != Pooling::None);
    let bounds = list.splits.as_ref().filter(|_| pooling != Pooling::None);
    let ids = |at: usize| bounds.map_or(at, |bounds| bounds[at]);
    Lookups::Listed {
        ids: batches.iter().map(|batch| ids(batch.end) - ids(batch.start)).max().unwrap_or(0),
        outputs: batches.iter().map(ExactSizeIterator::len).max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: ListedArgs = ListedArgs { ids: None, format: None, rows: None, dim: None, dtype: None };

    fn names(bytes: &[u8], args: &ListedArgs) -> Vec<(String, Lookups)> {
        let list = read_ids(bytes, None, None).expect("a good file");
        let workloads = args.workloads(&list).expect("small tables");
        workloads.into_iter().map(|workload| (workload.name, workload.lookups)).collect()
    }

    #[test]
    fn bags_are_gathered_pooled_and_learned_from() {
        let bags = names(b"0 3 1\n1\n2 2 2 2\n", &NONE);
        assert_eq!(bags[0], ("ids-gather".to_owned(), Lookups::Listed { ids: 1, outputs: 1 }));
        assert_eq!(bags[1], ("ids-bag".to_owned(), Lookups::Listed { ids: 3, outputs: 1 }));
        assert_eq!(bags[3], ("ids-train-rowwise-adagrad".to_owned(), Lookups::Listed { ids: 3, outputs: 1 }));
        assert_eq!(bags.len(), 6);
    }

    #[test]
    fn plain_ids_are_not_pooled() {
        let plain: Vec<_> = names(b"3\n1\n2\n", &NONE).into_iter().map(|(name, _)| name).collect();
        assert_eq!(plain, ["ids-gather", "ids-train-sgd", "ids-train-rowwise-adagrad", "ids-train-adagrad", "ids-train-adam"]);
    }

    #[test]
    fn the_options_shape_the_table() {
        let list = read_ids(b"3\n1\n2\n", None, None).expect("a good file");
        let workload = |args: ListedArgs| args.workloads(&list).map(|mut all| all.remove(0));
        let default = workload(NONE).expect("a small table");
        assert_eq!((default.rows, default.dim, default.dtype, default.out_dtype), (4, 64, DType::F32, DType::F32));
        let asked = workload(ListedArgs { rows: Some(9), dim: Some(5), dtype: Some(DType::BF16), ..NONE }).expect("a small table");
        assert_eq!((asked.rows, asked.dim, asked.dtype, asked.out_dtype), (9, 5, DType::BF16, DType::BF16));
        let error = workload(ListedArgs { rows: Some(u32::MAX), dim: Some(u32::MAX), ..NONE }).expect_err("2^64 values");
        assert_eq!(error.to_string(), "4294967295 rows of 4294967295 values are too large for this machine's addresses");
    }
}
