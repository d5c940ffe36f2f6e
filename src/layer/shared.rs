//! A table that several layers use.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::element::{Element, Widen};
use crate::error::{Error, Result};
use crate::index::{Bags, Ids, Pooling};
use crate::ops::{Gradient, Rows, Workspace};
use crate::optim::Optimizer;
use crate::table::{Initializer, Table};

/// A table behind a lock, owned by whoever holds a clone of the handle: one table for two layers, or for a trainer and a server.
///
/// Each operation is atomic. The lock is held inside one operation only, never while a caller's code runs.
///
/// ```
/// use hotrow::{SharedTable, Table};
///
/// let table = SharedTable::new(Table::<f32>::zeros(4, 2)?);
/// let other = table.clone();
/// other.scatter_add(&[3], &[1.0f32, 2.0], 1.0)?;
/// assert_eq!(table.gather(&[3])?.as_slice(), [1.0, 2.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
pub struct SharedTable<E> {
    table: Arc<RwLock<Table<E>>>,
}

impl<E: Element> SharedTable<E> {
    /// Takes the table.
    pub fn new(table: Table<E>) -> SharedTable<E> {
        SharedTable { table: Arc::new(RwLock::new(table)) }
    }

    /// `[rows, dim]`.
    pub fn shape(&self) -> [usize; 2] {
        self.read().shape()
    }

    /// [`gather`](crate::gather()).
    ///
    /// # Errors
    /// As [`gather`](crate::gather()).
    pub fn gather<'i>(&self, ids: impl Into<Ids<'i>>) -> Result<Rows<E>> {
        let ids = ids.into();
        Workspace::new().gather(&*self.read(), ids)
    }

    /// [`scatter_add`](crate::scatter_add()).
    ///
    /// # Errors
    /// As [`scatter_add`](crate::scatter_add()).
    pub fn scatter_add<'i, S: Element>(&self, ids: impl Into<Ids<'i>>, source: &[S], alpha: f32) -> Result<()> {
        let ids = ids.into();
        Workspace::new().scatter_add(&mut *self.write(), ids, source, alpha)
    }

    /// [`bag`](crate::bag()).
    ///
    /// # Errors
    /// As [`bag`](crate::bag()).
    pub fn bag(&self, bags: &Bags<'_>, pooling: Pooling) -> Result<Rows<f32>>
    where
        E: Widen<f32>,
    {
        Workspace::new().bag(&*self.read(), bags, pooling)
    }

    /// [`Optimizer::step`].
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn step(&self, optimizer: &mut Optimizer, gradient: Gradient<'_>) -> Result<()> {
        Workspace::new().step(optimizer, &mut *self.write(), gradient)
    }

    /// A copy of the table as it is now.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn snapshot(&self) -> Result<Table<E>> {
        self.read().try_clone()
    }

    /// Replaces the values by those of a table of the same shape.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`]; the table is unchanged then.
    pub fn set(&self, table: Table<E>) -> Result<()> {
        let mut mine = self.write();
        if mine.shape() != table.shape() {
            return Err(Error::ShapeMismatch {
                what: "weights",
                expected: mine.shape().to_vec(),
                needed: mine.rows() * mine.dim(),
                actual: table.rows() * table.dim(),
            });
        }
        *mine = table;
        Ok(())
    }

    /// [`Table::grow`]: every handle sees the new rows.
    ///
    /// ```
    /// use hotrow::{Initializer, SharedTable, Table};
    ///
    /// let table = SharedTable::new(Table::<f32>::zeros(4, 2)?);
    /// let other = table.clone();
    /// table.grow(6, Initializer::Ones, 0)?;
    /// assert_eq!(other.gather(&[3, 5])?.as_slice(), [0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::grow`]; the table is unchanged then.
    pub fn grow(&self, rows: usize, initializer: Initializer, seed: u64) -> Result<()> {
        self.write().grow(rows, initializer, seed)
    }

    /// One operation on the table as it is now.
    pub(super) fn with<T>(&self, operation: impl FnOnce(&Table<E>) -> T) -> T {
        operation(&self.read())
    }

    /// One operation that changes the table. It validates first, as every operation does.
    pub(super) fn update<T>(&self, operation: impl FnOnce(&mut Table<E>) -> T) -> T {
        operation(&mut self.write())
    }

    /// Whether both handles are to the same table.
    pub fn same(&self, other: &SharedTable<E>) -> bool {
        Arc::ptr_eq(&self.table, &other.table)
    }

    // A panic under the lock cannot leave a table half-made: operations validate first, and values are always values.
    fn read(&self) -> RwLockReadGuard<'_, Table<E>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<E>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Clone for SharedTable<E> {
    /// Another handle to the same table.
    fn clone(&self) -> SharedTable<E> {
        SharedTable { table: Arc::clone(&self.table) }
    }
}

impl<E: Element> fmt::Debug for SharedTable<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, dim] = self.shape();
        write!(f, "SharedTable<{}>[{rows}, {dim}]", E::DTYPE)
    }
}
