//! Folders of checkpoints that several processes write together, and read in parts.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotrow::store::{self, PartName, PartTable};
use numpy::PyUntypedArray;
use pyo3::prelude::*;

use crate::arrays::{AnyViewMut, Kind, RawRows, RawTable};
use crate::error::{Failure, Result};
use crate::options;
use crate::pool;

/// Files take their time: Python runs meanwhile.
const LONG: usize = usize::MAX;

/// From and to.
pub(crate) type Ends = (usize, usize);

/// A table of a part: name, element, shape, rows from and to, and its optimizer's record.
type TableOf = (String, String, (usize, usize), Ends, Option<String>);

/// A table of a checkpoint: name, element, shape, and its optimizer's record.
type Described = (String, &'static str, (usize, usize), Option<String>);

/// A folder of checkpoints that several processes save into together.
#[pyclass(frozen, module = "hotrow._native")]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    keep_last: Option<usize>,
    engine: Mutex<store::Checkpoints>,
}

impl Checkpoints {
    fn open(folder: PathBuf, keep_last: Option<usize>) -> store::Checkpoints {
        let opened = store::Checkpoints::open(folder);
        if let Some(n) = keep_last { opened.keep_last(n) } else { opened }
    }

    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut store::Checkpoints) -> Result<T> + Send) -> Result<T> {
        pool::allocate_locked(py, LONG, true, |place| {
            let mut engine = lock(&self.engine);
            let engine = &mut *engine;
            place.run(|_| work(engine))
        })
    }
}

#[pymethods]
impl Checkpoints {
    #[new]
    #[pyo3(signature = (folder, *, keep_last=None))]
    fn new(folder: PathBuf, keep_last: Option<usize>) -> Result<Checkpoints> {
        if keep_last == Some(0) {
            return Err(Failure::Value("keep_last must be at least 1, and is 0".into()));
        }
        let engine = Mutex::new(Checkpoints::open(folder.clone(), keep_last));
        Ok(Checkpoints { folder, keep_last, engine })
    }

    /// The steps that there are checkpoints of, ascending.
    fn steps(&self, py: Python<'_>) -> Result<Vec<u64>> {
        self.with(py, |engine| Ok(engine.steps()?))
    }

    /// Begins a save of a step, and takes the folder's lock; returns the generation that the parts' names have.
    fn begin(&self, py: Python<'_>, step: u64) -> Result<u64> {
        self.with(py, |engine| Ok(engine.begin(step)?))
    }

    /// Begins file number `at` of `count`, with some rows of some tables.
    fn part(
        &self,
        py: Python<'_>,
        step: u64,
        generation: u64,
        at: u64,
        count: u64,
        tables: Vec<TableOf>,
    ) -> Result<CheckpointPart> {
        let table = |(name, dtype, (rows, dim), (from, to), record): TableOf| {
            let mut table = PartTable::new(&name, options::kind(&dtype)?.dtype(), [rows, dim])?.rows(from..to)?;
            if let Some(record) = record {
                table = table.optimizer(&record.parse()?)?;
            }
            Ok(table)
        };
        let tables = tables.into_iter().map(table).collect::<Result<Vec<_>>>()?;
        let name = PartName { step, generation, at, count };
        let part = self.with(py, |engine| Ok(engine.part(name, &tables)?))?;
        Ok(CheckpointPart { part: Mutex::new(Some(part)) })
    }

    /// Makes a checkpoint of all parts; returns its bytes, the steps that were removed, and why not all could be removed that is needed no longer.
    #[pyo3(signature = (step, generation, tables, records, config="null"))]
    fn commit(
        &self,
        py: Python<'_>,
        step: u64,
        generation: u64,
        tables: Vec<String>,
        records: Vec<String>,
        config: &str,
    ) -> Result<(u64, Vec<u64>, Option<String>)> {
        let records = records.iter().map(|record| Ok(record.parse()?)).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = tables.iter().map(String::as_str).collect();
        let saved = self.with(py, |engine| Ok(engine.commit(step, generation, &names, &records, config)?))?;
        Ok((saved.bytes, saved.removed, saved.unswept.map(|error| error.to_string())))
    }

    /// Lets go of the folder's lock.
    fn release(&self) {
        *lock(&self.engine) = Checkpoints::open(self.folder.clone(), self.keep_last);
    }

    /// Opens a checkpoint to read rows and columns of it.
    fn reader(&self, py: Python<'_>, step: u64) -> Result<CheckpointReader> {
        Ok(CheckpointReader { reader: self.with(py, |engine| Ok(engine.reader(step)?))? })
    }
}

/// A file of a checkpoint, being written.
#[pyclass(frozen, module = "hotrow._native")]
pub(crate) struct CheckpointPart {
    /// Until it is finished.
    part: Mutex<Option<store::Part>>,
}

#[pymethods]
impl CheckpointPart {
    /// Writes the next rows of a table, or of a state of its optimizer.
    #[pyo3(signature = (table, rows, *, state=None))]
    fn write(&self, table: &str, rows: &Bound<'_, PyUntypedArray>, state: Option<&str>) -> Result<()> {
        let raw = RawTable::of(rows, RawRows::is_bits(rows), "rows")?;
        pool::allocate_locked(rows.py(), LONG, true, |place| {
            let mut part = lock(&self.part);
            let part = part.as_mut().ok_or_else(finished)?;
            place.run(|_| {
                let view = raw.view()?;
                match state {
                    None => part.write(table, view)?,
                    Some(state) => part.write_state(table, state, view)?,
                }
                Ok(())
            })
        })
    }

    /// Brings the file onto the disk; returns what a commit needs to know of it.
    fn finish(&self, py: Python<'_>) -> Result<String> {
        pool::allocate(py, LONG, |_| {
            let part = lock(&self.part).take().ok_or_else(finished)?;
            Ok(part.finish()?.to_string())
        })
    }

    /// Removes the file, unless it is finished.
    fn discard(&self, py: Python<'_>) {
        py.detach(|| drop(lock(&self.part).take()));
    }
}

fn finished() -> Failure {
    Failure::Value("the part is finished".into())
}

/// An open checkpoint.
#[pyclass(frozen, module = "hotrow._native")]
pub(crate) struct CheckpointReader {
    pub(crate) reader: store::CheckpointReader,
}

#[pymethods]
impl CheckpointReader {
    /// The step.
    #[getter]
    fn step(&self) -> u64 {
        self.reader.info().step
    }

    /// The configuration as JSON.
    #[getter]
    fn config(&self) -> String {
        self.reader.info().config
    }

    /// The checksum of the manifest: checkpoints of the same checksum are the same.
    #[getter]
    fn crc32(&self) -> u32 {
        self.reader.crc32()
    }

    /// The tables: name, element, shape, and the record of the optimizer.
    #[getter]
    fn tables(&self) -> Result<Vec<Described>> {
        let describe = |table: store::TableInfo| {
            let record = self.reader.optimizer(&table.name).map(ToString::to_string);
            let [rows, dim] = table.shape;
            Ok((table.name, Kind::try_from(table.dtype)?.name(), (rows, dim), record))
        };
        self.reader.info().tables.into_iter().map(describe).collect()
    }

    /// Reads rows and columns of a table into an array of their shape.
    fn read(&self, table: &str, rows: Ends, columns: Ends, out: &Bound<'_, PyUntypedArray>) -> Result<()> {
        let mut raw = RawTable::of(out, RawRows::is_bits(out), "out")?;
        pool::allocate(out.py(), LONG, |_| {
            let out = match raw.view_mut()? {
                AnyViewMut::F32(out) => hotrow::AnyViewMut::F32(out),
                AnyViewMut::F16(out) => hotrow::AnyViewMut::F16(out),
                AnyViewMut::BF16(out) => hotrow::AnyViewMut::BF16(out),
            };
            Ok(self.reader.read(table, rows.0..rows.1, columns.0..columns.1, out)?)
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
