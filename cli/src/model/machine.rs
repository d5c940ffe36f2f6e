//! A factorization machine in a folder: the same two files, with other contents.

use std::path::Path;

use anyhow::Result;
use hotrow::Table;
use serde::{Deserialize, Serialize};

use super::load::{LoadError, Tables, damaged, parse};
use super::save::{Folder, put, serialize, stored};
use super::{DESCRIPTION, FORMAT, Precision, VERSION, Weight};
use crate::fm::{Machine, Quality};
use crate::train::Settings;

/// What `model` in `model.json` says of a factorization machine.
pub(super) const MACHINE: &str = "fm";
/// Name of the score of an example without features, `[1, 1]`, always in `f32`.
pub const BIAS: &str = "bias";
/// Name of the table of the features' weights, `[features, 1]`.
pub const WEIGHT_TABLE: &str = "feature_weight.weight";
/// Name of the table of the features' vectors, `[features, dim]`.
pub const VECTOR_TABLE: &str = "feature_embedding.weight";

/// What `model.json` holds for a factorization machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineDescription {
    /// Always `hotrow-model`.
    pub format: String,
    /// Version of the layout of the folder.
    pub version: u32,
    /// Always `fm`.
    pub model: String,
    /// CRC-32 of `model.safetensors`, which tells whether the two files belong together.
    pub tables_crc32: u32,
    /// How the machine was trained.
    pub settings: Settings,
    /// How well it told apart what was not learnt; `None` when everything was.
    pub quality: Option<Quality>,
    /// The feature of each row of the tables, ascending.
    pub features: Vec<u32>,
}

impl MachineDescription {
    /// A description of this version whose tables are yet to be written.
    pub fn new(settings: Settings, quality: Option<Quality>, features: Vec<u32>) -> Self {
        MachineDescription {
            format: FORMAT.into(),
            version: VERSION,
            model: MACHINE.into(),
            tables_crc32: 0,
            settings,
            quality,
            features,
        }
    }
}

/// Writes a machine as [`save`](super::save()) writes a model of users and items.
///
/// # Errors
/// When a file cannot be written.
pub fn save_machine<E: Weight>(folder: &Folder, mut description: MachineDescription, machine: &Machine<E>) -> Result<()> {
    let Machine { bias, weights, vectors, .. } = machine;
    let tables = serialize([stored(BIAS, bias), stored(WEIGHT_TABLE, weights), stored(VECTOR_TABLE, vectors)])?;
    description.tables_crc32 = crc32fast::hash(&tables);
    put(folder, &tables, &description)
}

/// The features of a machine and their vectors.
#[derive(Debug)]
pub struct Features {
    /// The features, as a file names them.
    pub names: Vec<String>,
    /// A vector for each, widened to `f32`, which is exact.
    pub vectors: Table<f32>,
}

impl Features {
    /// Reads the features of the machine in a folder; `None` when the folder holds a model of users and items.
    ///
    /// # Errors
    /// [`LoadError`], naming the file.
    pub fn load(folder: &Path) -> Result<Option<Self>, LoadError> {
        let path = folder.join(DESCRIPTION);
        let value = parse(&path)?;
        if value["model"] != MACHINE {
            return Ok(None);
        }
        let description: MachineDescription =
            serde_json::from_value(value).map_err(|error| damaged(&path, format!("it does not fit: {error}")))?;
        if !description.features.is_sorted_by(|a, b| a < b) {
            return Err(damaged(&path, "its features do not ascend".into()));
        }
        let tables = Tables::read(folder, description.tables_crc32)?;
        let (features, Settings { dim, dtype, .. }) = (description.features.len(), description.settings);
        tables.table(BIAS, Precision::F32, 1, 1)?;
        tables.table(WEIGHT_TABLE, dtype, features, 1)?;
        let vectors = tables.table(VECTOR_TABLE, dtype, features, dim)?;
        Ok(Some(Features { names: description.features.iter().map(u32::to_string).collect(), vectors }))
    }
}
