//! States of a training, to be saved and compared bit by bit.

use hotrow::store::{Checkpoint, FileResult, Snapshot};
use hotrow::{AnyTable, AnyView, DType, Gradient, Initializer, Optimizer, RowSet, Rule, Table, bf16, f16};

use super::Random;

/// A table that is trained, with ids and titles.
pub struct State {
    pub step: u64,
    pub table: AnyTable,
    pub optimizer: Optimizer,
    pub ids: Vec<String>,
    pub titles: Vec<Option<String>>,
    random: Random,
}

impl State {
    pub fn new(rule: Rule, dtype: DType, rows: usize, dim: usize) -> State {
        let mut optimizer = Optimizer::new(rule, rows, dim).unwrap();
        optimizer.track_rows().unwrap();
        State {
            step: 0,
            table: AnyTable::init(dtype, rows, dim, Initializer::UNIFORM, 7).unwrap(),
            optimizer,
            ids: (0..rows).map(|row| format!("id \"{row}\" é")).collect(),
            titles: (0..rows).map(|row| (row % 3 > 0).then(|| format!("title {row}"))).collect(),
            random: Random(rows as u64 * 31 + dim as u64),
        }
    }

    /// Makes a step that touches some rows.
    pub fn advance(&mut self) {
        self.step += 1;
        let rows = self.optimizer.rows();
        let ids: Vec<u32> = (0..rows.div_ceil(4)).map(|_| self.random.below(rows) as u32).collect();
        let values: Vec<f32> = (0..ids.len() * self.optimizer.dim()).map(|_| self.random.real()).collect();
        let gradient = Gradient::of_gather(&ids, &values);
        match &mut self.table {
            AnyTable::F32(table) => self.optimizer.step(table, gradient),
            AnyTable::F16(table) => self.optimizer.step(table, gradient),
            AnyTable::BF16(table) => self.optimizer.step(table, gradient),
            _ => unreachable!(),
        }
        .unwrap();
    }

    pub fn snapshot(&self) -> FileResult<Snapshot<'_>> {
        Snapshot::new(self.step)
            .config(&self.step)?
            .table("t", &self.table)?
            .optimizer("t", &self.optimizer)?
            .ids("t", &self.ids)?
            .titles("t", &self.titles)
    }

    pub fn touched(&self) -> [(&str, &RowSet); 1] {
        [("t", self.optimizer.touched().unwrap())]
    }

    /// Everything that a checkpoint must bring back.
    pub fn image(&self) -> Image {
        Image::new(self.step, &self.table, Some(&self.optimizer), Some(&self.ids), Some(&self.titles))
    }
}

/// A state in comparable form.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub step: u64,
    pub table: Vec<u32>,
    pub optimizer: Option<(String, Vec<Vec<u32>>)>,
    pub ids: Option<Vec<String>>,
    pub titles: Option<Vec<Option<String>>>,
}

impl Image {
    pub fn new(
        step: u64,
        table: &AnyTable,
        optimizer: Option<&Optimizer>,
        ids: Option<&[String]>,
        titles: Option<&[Option<String>]>,
    ) -> Image {
        let told = |optimizer: &Optimizer| {
            let o = optimizer;
            let options =
                (o.weight_decay(), o.clip_value(), o.clip_norm(), o.max_row_norm(), o.rounding(), o.finite_check(), o.steps());
            (format!("{:?} {options:?}", o.rule()), o.state().map(|(_, state)| bits(&state.into())).collect())
        };
        let optimizer = optimizer.map(told);
        Image { step, table: bits(&table.view()), optimizer, ids: ids.map(<[_]>::to_vec), titles: titles.map(<[_]>::to_vec) }
    }

    /// The state that a checkpoint brings back.
    pub fn of(checkpoint: &Checkpoint) -> Image {
        let table = checkpoint.get("t").unwrap();
        assert_eq!(checkpoint.config::<u64>().unwrap(), checkpoint.step());
        Image::new(checkpoint.step(), &table.table, table.optimizer.as_ref(), table.ids.as_deref(), table.titles.as_deref())
    }
}

fn bits(view: &AnyView<'_>) -> Vec<u32> {
    match view {
        AnyView::F32(view) => view.iter().flatten().map(|x| x.to_bits()).collect(),
        AnyView::F16(view) => view.iter().flatten().map(|x: &f16| x.to_bits().into()).collect(),
        AnyView::BF16(view) => view.iter().flatten().map(|x: &bf16| x.to_bits().into()).collect(),
        _ => unreachable!(),
    }
}

/// Every bit pattern of f16, NaNs and all.
pub fn all_halves() -> Table<f16> {
    Table::from_fn(256, 256, |row, column| f16::from_bits((row * 256 + column) as u16)).unwrap()
}
