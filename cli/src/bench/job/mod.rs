//! The operations that are timed: what a call of each is, and how its result is verified.

mod bag;
mod collection;
mod expected;
mod gather;
mod nearest;
mod scatter_add;
mod train_step;

use hotrow::{Buffer, Element, Table};

use super::error::BenchError;

pub(super) use bag::Bag;
pub(super) use collection::Collection;
pub(super) use expected::row_state_bytes;
pub(super) use gather::Gather;
pub(super) use nearest::Nearest;
pub(super) use scatter_add::ScatterAdd;
pub(super) use train_step::TrainStep;

/// An operation on a table, ready to be called again and again.
pub(super) trait Job<E: Element> {
    /// Compares the results with the plain loop's, bit by bit.
    fn verify(&mut self) -> Result<(), Fault>;

    /// One call, on the next batch of ids.
    fn call(&mut self) -> hotrow::Result<()>;

    /// The tables, all of one shape.
    fn tables(&self) -> Vec<&Table<E>>;

    /// The bytes of optimizer state that belong to one row of the table.
    fn state_bytes(&self) -> usize {
        0
    }

    /// The table, for the next job to use, where there is only one.
    fn into_table(self) -> Option<Table<E>>;
}

/// Why a job's verification failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The engine refused the call.
    Engine(hotrow::Error),
    /// A result differs.
    Wrong {
        /// Which result.
        what: String,
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

/// A gradient of so many values, evenly spread from `-most` to `most`, in an order that no row's length could meet.
fn gradient<S: Element>(values: usize, most: f32) -> hotrow::Result<Buffer<S>> {
    let mut gradient = Buffer::zeros(values)?;
    for (i, value) in gradient.iter_mut().enumerate() {
        *value = S::from_f32((spread(i) - 0.5) * (2.0 * most));
    }
    Ok(gradient)
}

/// Number `i` of a fixed row of numbers in `[0, 1)` without a pattern.
pub(super) fn spread(i: usize) -> f32 {
    let hash = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    hash as f32 / (1u64 << 24) as f32
}

/// Compares the rows of two tables.
fn compare_tables<E: Element>(what: &str, found: &Table<E>, expected: &Table<E>) -> Result<(), Fault> {
    let mut rows = found.iter().zip(expected.iter()).enumerate();
    rows.try_for_each(|(i, (found, expected))| compare(what, found.len(), found, expected).map_err(|fault| fault.below(i)))
}

/// Compares values bit by bit. Widening to f32 is exact, so it hides no difference.
pub(super) fn compare<O: Element>(what: &str, dim: usize, found: &[O], expected: &[O]) -> Result<(), Fault> {
    let differs = |(a, b): (&O, &O)| a.to_f32().to_bits() != b.to_f32().to_bits();
    match found.iter().zip(expected).position(differs) {
        None if found.len() == expected.len() => Ok(()),
        None => Err(wrong(what, [found.len() / dim, 0], f32::NAN, f32::NAN)),
        Some(i) => Err(wrong(what, [i / dim, i % dim], found[i].to_f32(), expected[i].to_f32())),
    }
}

/// A result that differs.
pub(super) fn wrong(what: &str, place: [usize; 2], found: f32, expected: f32) -> Fault {
    Fault::Wrong { what: what.to_owned(), place, found, expected }
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
        let gradient = gradient::<f32>(100_000, 1e-3).expect("a little memory");
        let sum: f32 = gradient.iter().sum();
        assert!(gradient.iter().all(|x| x.abs() <= 1e-3));
        assert!(sum.abs() < 1.0, "{sum}");
    }
}
