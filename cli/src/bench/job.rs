//! The operations that are timed: what a call of each is, and how its result is verified.

use hotrow::{Buffer, Element, Table, TableView, TableViewMut, Widen, Workspace, reference};

use super::error::BenchError;
use super::ids::IdPool;

/// The largest value of a gradient: small, so that a table into which it is added all along keeps its scale.
const GRADIENT: f32 = 1e-3;

/// An operation on a table, ready to be called again and again.
pub(super) trait Job<E: Element> {
    /// Compares the results with the plain loop's, bit by bit.
    fn verify(&mut self) -> Result<(), Fault>;

    /// One call, on the next batch of ids.
    fn call(&mut self) -> hotrow::Result<()>;

    /// The table.
    fn table(&self) -> &Table<E>;

    /// The table, for the next job to use.
    fn into_table(self) -> Table<E>;
}

/// Why a job's verification failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The engine refused the call.
    Engine(hotrow::Error),
    /// A result differs.
    Wrong {
        /// Which result.
        what: &'static str,
        /// Where: row and column.
        place: [usize; 2],
        /// The value found.
        found: f32,
        /// The plain loop's value.
        expected: f32,
    },
}

impl From<hotrow::Error> for Fault {
    fn from(error: hotrow::Error) -> Fault {
        Fault::Engine(error)
    }
}

impl Fault {
    /// The error to report for a workload.
    pub(super) fn in_workload(self, name: &str) -> BenchError {
        let workload = name.to_owned();
        match self {
            Fault::Engine(source) => BenchError::Engine { workload, source },
            Fault::Wrong { what, place: [row, column], found, expected } => {
                BenchError::WrongResult { workload, what, row, column, found, expected }
            }
        }
    }
}

/// Rows by id into an output that is reused.
#[derive(Debug)]
pub(super) struct Gather<'a, E: Element, O: Element> {
    table: Table<E>,
    pool: &'a IdPool,
    out: Buffer<O>,
    workspace: Workspace,
    calls: usize,
}

impl<'a, E: Element, O: Element> Gather<'a, E, O> {
    /// A job whose calls take `ids` ids.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(super) fn new(table: Table<E>, pool: &'a IdPool, ids: usize, workspace: Workspace) -> hotrow::Result<Self> {
        let out = Buffer::zeros(ids * table.dim())?;
        Ok(Gather { table, pool, out, workspace, calls: 0 })
    }

    /// The output of the last call.
    pub(super) fn out(&self) -> &[O] {
        &self.out
    }
}

impl<E: Widen<O>, O: Element> Job<E> for Gather<'_, E, O> {
    fn verify(&mut self) -> Result<(), Fault> {
        let dim = self.table.dim();
        for call in 0..self.pool.batches() {
            // A value that the call leaves out must not pass for right because the last call wrote it.
            self.out.fill(O::from_f32(f32::NAN));
            self.workspace.gather_into(&self.table, self.pool.batch(call), &mut self.out)?;
            let expected: Vec<O> = reference::gather(TableView::from(&self.table), self.pool.batch(call))?;
            compare("the output", dim, &self.out, &expected)?;
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.workspace.gather_into(&self.table, self.pool.batch(self.calls), &mut self.out)
    }

    fn table(&self) -> &Table<E> {
        &self.table
    }

    fn into_table(self) -> Table<E> {
        self.table
    }
}

/// One gradient row per id, added into the table. The table drifts.
#[derive(Debug)]
pub(super) struct ScatterAdd<'a, E: Element, S: Element> {
    table: Table<E>,
    pool: &'a IdPool,
    gradient: Buffer<S>,
    workspace: Workspace,
    calls: usize,
}

impl<'a, E: Element, S: Element> ScatterAdd<'a, E, S> {
    /// A job whose calls take `ids` ids.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(super) fn new(table: Table<E>, pool: &'a IdPool, ids: usize, workspace: Workspace) -> hotrow::Result<Self> {
        let mut gradient = Buffer::zeros(ids * table.dim())?;
        for (i, value) in gradient.iter_mut().enumerate() {
            *value = S::from_f32(gradient_at(i));
        }
        Ok(ScatterAdd { table, pool, gradient, workspace, calls: 0 })
    }
}

/// Gradient number `i`: evenly spread over both signs, with no pattern that a row's length could meet.
fn gradient_at(i: usize) -> f32 {
    let hash = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (hash as f32 / (1u64 << 24) as f32 - 0.5) * (2.0 * GRADIENT)
}

impl<E: Widen<S>, S: Element> Job<E> for ScatterAdd<'_, E, S> {
    /// All batches in turn, into this table and by the plain loop into a copy. The whole tables are compared after the
    /// first and after the last batch.
    fn verify(&mut self) -> Result<(), Fault> {
        let mut expected = self.table.try_clone()?;
        let last = self.pool.batches() - 1;
        for call in 0..=last {
            self.workspace.scatter_add(&mut self.table, self.pool.batch(call), &self.gradient, 1.0)?;
            let view = TableViewMut::from(&mut expected);
            reference::scatter_add(view, self.pool.batch(call), &self.gradient, 1.0)?;
            if call == 0 || call == last {
                let rows = self.table.iter().zip(expected.iter()).enumerate();
                for (i, (found, expected)) in rows {
                    compare("the table", found.len(), found, expected).map_err(|fault| fault.below(i))?;
                }
            }
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.workspace.scatter_add(&mut self.table, self.pool.batch(self.calls), &self.gradient, 1.0)
    }

    fn table(&self) -> &Table<E> {
        &self.table
    }

    fn into_table(self) -> Table<E> {
        self.table
    }
}

impl Fault {
    /// The same fault, so many rows further down.
    fn below(self, rows: usize) -> Fault {
        match self {
            Fault::Wrong { what, place: [row, column], found, expected } => {
                Fault::Wrong { what, place: [row + rows, column], found, expected }
            }
            engine => engine,
        }
    }
}

/// Compares values bit by bit. Widening to f32 is exact, so it hides no difference.
pub(super) fn compare<O: Element>(what: &'static str, dim: usize, found: &[O], expected: &[O]) -> Result<(), Fault> {
    let differs = |(a, b): (&O, &O)| a.to_f32().to_bits() != b.to_f32().to_bits();
    match found.iter().zip(expected).position(differs) {
        None if found.len() == expected.len() => Ok(()),
        None => Err(Fault::Wrong { what, place: [found.len() / dim, 0], found: f32::NAN, expected: f32::NAN }),
        Some(i) => Err(Fault::Wrong { what, place: [i / dim, i % dim], found: found[i].to_f32(), expected: expected[i].to_f32() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_wrong_bit_is_found() {
        assert!(compare("x", 2, &[1.0f32, -0.0], &[1.0, -0.0]).is_ok());
        let fault = compare("x", 2, &[1.0f32, 2.0, 3.0, -0.0], &[1.0, 2.0, 3.0, 0.0]).expect_err("a zero of another sign");
        assert_eq!(
            fault.below(10).in_workload("w").to_string(),
            r#"workload "w": x is wrong in row 11, column 1: -0, where the plain loop has 0"#
        );
        assert!(compare("x", 2, &[1.0f32], &[1.0, 2.0]).is_err());
    }

    #[test]
    fn gradients_are_small_and_sum_to_little() {
        let sum: f32 = (0..100_000).map(gradient_at).sum();
        assert!((0..100_000).all(|i| gradient_at(i).abs() <= GRADIENT));
        assert!(sum.abs() < 1.0, "{sum}");
    }
}
