//! A checkpoint in memory.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::manifest::{Manifest, TableRecord, Texts, ids_name, rows_name, state_name, titles_name};
use super::read::Shards;
use super::snapshot::Snapshot;
use crate::optim::Optimizer;
use crate::store::error::{FileError, FileResult};
use crate::table::{AnyTable, Table};

/// The state of a training at one step.
#[derive(Debug)]
pub struct Checkpoint {
    step: u64,
    config: Box<RawValue>,
    tables: Vec<Restored>,
}

/// A table of a checkpoint, and what belongs to it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Restored {
    /// The name of the table.
    pub name: String,
    /// The table.
    pub table: AnyTable,
    /// Its optimizer, if it was saved.
    pub optimizer: Option<Optimizer>,
    /// An id for each row, if they were saved.
    pub ids: Option<Vec<String>>,
    /// A title for each row that has one, if they were saved.
    pub titles: Option<Vec<Option<String>>>,
}

impl Checkpoint {
    /// The step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The configuration.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when it is not one of this type.
    pub fn config<T: DeserializeOwned>(&self) -> FileResult<T> {
        let refuse =
            |error| FileError::unsupported(format!("checkpoint of step {}", self.step), format!("its configuration: {error}"));
        serde_json::from_str(self.config.get()).map_err(refuse)
    }

    /// The configuration as JSON; `null` if none was given.
    pub fn config_json(&self) -> &str {
        self.config.get()
    }

    /// The tables, in the order in which they were given.
    pub fn tables(&self) -> &[Restored] {
        &self.tables
    }

    /// A table and what belongs to it; `None` if there is no such table.
    pub fn get(&self, name: &str) -> Option<&Restored> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Takes a table and what belongs to it out of the checkpoint.
    pub fn take(&mut self, name: &str) -> Option<Restored> {
        let at = self.tables.iter().position(|table| table.name == name)?;
        Some(self.tables.remove(at))
    }

    /// The same state, to be saved.
    pub(super) fn snapshot(&self) -> FileResult<Snapshot<'_>> {
        let mut snapshot = Snapshot::new(self.step).raw_config(self.config.clone());
        for Restored { name, table, optimizer, ids, titles } in &self.tables {
            snapshot = snapshot.table(name, table)?;
            if let Some(optimizer) = optimizer {
                snapshot = snapshot.optimizer(name, optimizer)?;
            }
            if let Some(ids) = ids {
                snapshot = snapshot.ids(name, ids)?;
            }
            if let Some(titles) = titles {
                snapshot = snapshot.titles(name, titles)?;
            }
        }
        Ok(snapshot)
    }
}

/// A checkpoint that is being read: a full one, changed by deltas one after the other.
pub(super) struct Restoring {
    tables: Vec<Partial>,
}

struct Partial {
    table: AnyTable,
    states: Vec<Table<f32>>,
    ids: Option<Vec<String>>,
    titles: Option<Vec<Option<String>>>,
}

impl Restoring {
    /// Reads the tables of a full checkpoint.
    pub(super) fn full(manifest: &Manifest, shards: &Shards<'_>, name: &str) -> FileResult<Restoring> {
        let mut tables = Vec::new();
        for record in &manifest.tables {
            let [rows, dim] = record.shape;
            let table = shards.table(&record.name, record.dtype.into(), record.shape)?;
            let mut states = Vec::new();
            for (state, one) in states_of(record, name)? {
                states.push(shards.state(&state_name(&record.name, state), [rows, if one { 1 } else { dim }])?);
            }
            let mut partial = Partial { table, states, ids: None, titles: None };
            partial.read_texts(record, shards)?;
            tables.push(partial);
        }
        Ok(Restoring { tables })
    }

    /// Applies a delta whose tables are those of its base.
    pub(super) fn delta(&mut self, manifest: &Manifest, shards: &Shards<'_>, name: &str) -> FileResult<()> {
        for (record, partial) in manifest.tables.iter().zip(&mut self.tables) {
            let rows = rows_name(&record.name);
            shards.overwrite((&rows, true), &record.name, partial.table.view_mut())?;
            for ((state, _), table) in states_of(record, name)?.into_iter().zip(&mut partial.states) {
                shards.overwrite((&rows, false), &state_name(&record.name, state), table.view_mut().erase())?;
            }
            partial.read_texts(record, shards)?;
        }
        Ok(())
    }

    /// The checkpoint that the last manifest describes.
    pub(super) fn finish(self, manifest: &Manifest, name: &str) -> FileResult<Checkpoint> {
        let mut tables = Vec::new();
        for (record, partial) in manifest.tables.iter().zip(self.tables) {
            let Partial { table, states, ids, titles } = partial;
            let restore = |optimizer: &crate::optim::OptimizerRecord| optimizer.restore(record.shape, states);
            let optimizer = record.optimizer.as_ref().map(restore).transpose().map_err(|error| FileError::engine(name, error))?;
            tables.push(Restored { name: record.name.clone(), table, optimizer, ids, titles });
        }
        Ok(Checkpoint { step: manifest.step, config: manifest.config.clone(), tables })
    }
}

impl Partial {
    fn read_texts(&mut self, record: &TableRecord, shards: &Shards<'_>) -> FileResult<()> {
        match record.ids {
            Texts::None => self.ids = None,
            Texts::Here => self.ids = Some(shards.texts(&ids_name(&record.name), record.shape[0])?),
            Texts::Base => {}
        }
        match record.titles {
            Texts::None => self.titles = None,
            Texts::Here => self.titles = Some(shards.texts(&titles_name(&record.name), record.shape[0])?),
            Texts::Base => {}
        }
        Ok(())
    }
}

fn states_of(record: &TableRecord, name: &str) -> FileResult<Vec<(&'static str, bool)>> {
    let states = record.optimizer.as_ref().map_or(Ok(Vec::new()), |optimizer| optimizer.states());
    states.map_err(|error| FileError::engine(name, error))
}
