//! What one workload is: the fields of a workload file, after they have been checked.
//!
//! [`read_workloads`] is the only way from bytes to a [`Workload`], and it checks every field, so that the code behind it
//! meets no zero, no overflow and no combination that means nothing.

mod error;
mod fields;
mod read;

use std::num::NonZeroUsize;

use hotrow::{DType, Level, Metric};

pub use error::{Problem, WorkloadError};
pub(super) use fields::shorten;
pub(super) use read::fits;
pub use read::read_workloads;

/// The standard workloads, as `hotrow bench` runs them when no file is given.
pub const STANDARD: &[u8] = include_bytes!("../standard.json");

/// One thing to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The unique name.
    pub name: String,
    /// What is timed.
    pub op: Op,
    /// How many equal tables one call serves.
    pub tables: usize,
    /// Rows of each table.
    pub rows: usize,
    /// Values in a row.
    pub dim: usize,
    /// The element of the tables.
    pub dtype: DType,
    /// The element of the other side: the output of a gather or a bag, the gradient of a scatter-add.
    pub out_dtype: DType,
    /// How many ids a call carries, and how they are grouped; of a search, which rows are the queries.
    pub lookups: Lookups,
    /// How the rows of a bag become one row.
    pub pooling: Pooling,
    /// Whether every id carries a weight.
    pub weighted: bool,
    /// Which optimizer a train step applies.
    pub optimizer: Option<String>,
    /// The integer type of the ids.
    pub id_dtype: IdDtype,
    /// How the ids are drawn.
    pub dist: Dist,
    /// The thread count; all cores where there is none.
    pub threads: Option<NonZeroUsize>,
    /// The SIMD level; the best one where there is none.
    pub level: Option<Level>,
    /// What else to run for comparison.
    pub against: Option<Against>,
    /// What a search asks for.
    pub search: Option<Search>,
}

/// What a search asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// How many neighbours of each query.
    pub k: usize,
    /// How near they are.
    pub metric: Metric,
}

/// The operation that a workload times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Rows by id, un-pooled.
    Gather,
    /// Rows by id, pooled bag by bag.
    Bag,
    /// One gradient row per id, added into the table.
    ScatterAdd,
    /// A forward pass, then its backward pass fused with the optimizer.
    TrainStep,
    /// The rows nearest to queries, which are rows themselves.
    Nearest,
}

impl Op {
    /// The name that workload files and results use.
    pub fn name(self) -> &'static str {
        match self {
            Op::Gather => "gather",
            Op::Bag => "bag",
            Op::ScatterAdd => "scatter_add",
            Op::TrainStep => "train_step",
            Op::Nearest => "nearest",
        }
    }
}

/// The ids of one call on one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookups {
    /// A flat list of so many ids.
    Ids(usize),
    /// Bags of ids.
    Bags {
        /// Bags a table.
        bags: usize,
        /// Ids a bag.
        bag_len: BagLen,
    },
    /// Ids that were read from a file, which is cut into batches. No workload list has it.
    Listed {
        /// The ids of the largest batch.
        ids: usize,
        /// The rows of the largest output: as many as there are bags, or ids where nothing is pooled.
        outputs: usize,
    },
}

impl Workload {
    /// The ids of the largest call on all tables, and the rows of its outputs.
    pub(super) fn lookups_of_call(&self) -> (usize, usize) {
        let tables = (0..self.tables).map(|table| self.lookups.on_table(table));
        tables.fold((0, 0), |total, of_table| (total.0 + of_table.0, total.1 + of_table.1))
    }
}

impl Lookups {
    /// The ids of the largest call on one of the tables, and the rows of its output.
    pub(super) fn on_table(&self, table: usize) -> (usize, usize) {
        match *self {
            Lookups::Ids(ids) => (ids, ids),
            Lookups::Bags { bags, bag_len: BagLen::Same(len) } => (bags * len, bags),
            Lookups::Bags { bags, bag_len: BagLen::PerTable(ref lens) } => (bags * lens[table], bags),
            Lookups::Listed { ids, outputs } => (ids, outputs),
        }
    }
}

/// Ids a bag: the same for every table, or one number a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BagLen {
    /// The same for every table.
    Same(usize),
    /// As many numbers as there are tables.
    PerTable(Vec<usize>),
}

/// How the rows of a bag become one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest value of each column.
    Max,
    /// Their sum over the root of their number.
    Sqrtn,
    /// They stay apart.
    None,
}

impl Pooling {
    /// The engine's pooling, where there is any.
    pub(super) fn of_bags(self) -> Option<hotrow::Pooling> {
        match self {
            Pooling::Sum => Some(hotrow::Pooling::Sum),
            Pooling::Mean => Some(hotrow::Pooling::Mean),
            Pooling::Max => Some(hotrow::Pooling::Max),
            Pooling::Sqrtn => Some(hotrow::Pooling::Sqrtn),
            Pooling::None => None,
        }
    }
}

/// The integer type in which ids are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdDtype {
    /// 64 bits, signed.
    I64,
    /// 32 bits, signed.
    I32,
}

impl IdDtype {
    /// The name that workload files use.
    pub fn name(self) -> &'static str {
        match self {
            IdDtype::I64 => "i64",
            IdDtype::I32 => "i32",
        }
    }
}

/// How ids are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dist {
    /// Every row is as likely as any other.
    Uniform,
    /// The k-th most popular row is drawn in proportion to `1 / k^s`; which row that is, a random permutation says.
    Zipf(f64),
    /// One row has this share of the lookups, the other rows share the rest equally.
    Hot(f64),
    /// The reuse histogram of published training traces.
    Production,
}

/// An alternative to run on the same ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The dense product of a one-hot matrix with the table.
    OneHotMatmul,
}
