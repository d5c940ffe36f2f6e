//! What a checkpoint holds, as its manifest has it.

use super::manifest::{Manifest, TableRecord, Texts};
use crate::element::DType;

/// What a checkpoint holds, as its manifest has it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The step.
    pub step: u64,
    /// The step that a delta is a change of; `None` for a full checkpoint.
    pub base: Option<u64>,
    /// How many bytes its own shards have.
    pub bytes: u64,
    /// The names of its own shards.
    pub files: Vec<String>,
    /// Its tables.
    pub tables: Vec<TableInfo>,
    /// The configuration as JSON.
    pub config: String,
    /// Which version of which program made it.
    pub created_by: String,
}

/// What a checkpoint has of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Its element.
    pub dtype: DType,
    /// `[rows, dim]`.
    pub shape: [usize; 2],
    /// How many rows of it are stored: those that changed, in a delta.
    pub stored_rows: usize,
    /// The name of its optimizer and how many steps that has made.
    pub optimizer: Option<(String, u64)>,
    /// Whether its rows have ids.
    pub ids: bool,
    /// Whether its rows have titles.
    pub titles: bool,
}

/// What a manifest says.
pub(super) fn info_of(manifest: &Manifest) -> CheckpointInfo {
    let stored = |name: &str| manifest.tensor(name).and_then(|tensor| tensor.shape.first().copied()).unwrap_or(0);
    let table = |table: &TableRecord| TableInfo {
        name: table.name.clone(),
        dtype: table.dtype.into(),
        shape: table.shape,
        stored_rows: stored(&table.name),
        optimizer: table.optimizer.as_ref().map(|optimizer| (optimizer.name().to_owned(), optimizer.steps)),
        ids: table.ids != Texts::None,
        titles: table.titles != Texts::None,
    };
    CheckpointInfo {
        step: manifest.step,
        base: manifest.base.map(|base| base.step),
        bytes: manifest.bytes(),
        files: manifest.files.iter().map(|file| file.name.clone()).collect(),
        tables: manifest.tables.iter().map(table).collect(),
        config: manifest.config.get().to_owned(),
        created_by: manifest.created_by.clone(),
    }
}
