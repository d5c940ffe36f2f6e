//! Memory that tasks borrow in turns.

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// One piece of memory for each worker, so that no task has to allocate, which it could not refuse to.
#[derive(Debug)]
pub(crate) struct Scratch<T> {
    free: Mutex<Vec<Vec<T>>>,
}

impl<T: Copy + Default> Scratch<T> {
    /// Pieces of `len` values for as many `workers`.
    pub(crate) fn new(workers: usize, len: usize) -> Result<Scratch<T>> {
        let mut free = Vec::new();
        for _ in 0..workers.max(1) {
            let mut piece = Vec::new();
            piece.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes: len.saturating_mul(size_of::<T>()) })?;
            piece.resize(len, T::default());
            free.push(piece);
        }
        Ok(Scratch { free: Mutex::new(free) })
    }

    /// Lends a piece. What it holds is left over from its last borrower.
    ///
    /// # Panics
    /// When more tasks borrow at once than there are workers.
    pub(crate) fn with<O>(&self, task: impl FnOnce(&mut [T]) -> O) -> O {
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut piece = free().pop().expect("a piece for each worker");
        let outcome = task(&mut piece);
        free().push(piece);
        outcome
    }
}
