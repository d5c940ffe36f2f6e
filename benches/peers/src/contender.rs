//! What is compared: a library with its own copy of the table, ready to be called.

use anyhow::Result;
use hotrow::Table;

/// The values and the ids that every contender is given.
pub struct Problem {
    /// The table.
    pub table: Table<f32>,
    /// The batches of ids.
    pub batches: Vec<Vec<i64>>,
}

impl Problem {
    /// The shape of the table.
    pub fn shape(&self) -> [usize; 2] {
        self.table.shape()
    }
}

/// A library that does one operation.
pub trait Contender {
    /// The library, its version and what is called.
    fn name(&self) -> String;

    /// The operation on one of the batches.
    fn call(&mut self, turn: usize) -> Result<()>;

    /// The result of the operation on the first batch. It is asked for once, before any call.
    fn result(&mut self) -> Result<Vec<f32>>;

    /// Whether this is the library that the others are compared with.
    fn is_hotrow(&self) -> bool {
        false
    }

    /// How far a value may be from hotrow's.
    fn tolerance(&self) -> f32 {
        0.0
    }
}
