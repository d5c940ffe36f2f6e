//! Writing a model so that a folder holds the old one or the new one, and never a part.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hotrow::Table;
use hotrow::store::Target;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use serde::Serialize;

use super::{DESCRIPTION, Description, ITEM_TABLE, TABLES, USER_TABLE, Weight};

/// A folder that a model can be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder if need be and tries whether files can be made in it, so that training does not end in vain.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, or is no folder.
    pub fn prepare(path: &Path) -> Result<Self> {
        if path.exists() && !path.is_dir() {
            bail!("--out {}: it exists and is no folder", path.display());
        }
        fs::create_dir_all(path).with_context(|| format!("--out {}: cannot make the folder", path.display()))?;
        let tried = Target::create(&path.join(TABLES));
        tried.with_context(|| format!("--out {}: cannot write to the folder", path.display()))?;
        Ok(Folder(path.to_owned()))
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Writes a model of users and items. Both files are complete and on disk under temporary names before either takes its own
/// name, so a failure leaves an earlier model as it was; should the machine stop between the two renamings, the checksum in
/// `model.json` tells.
///
/// # Errors
/// When a file cannot be written.
pub fn save<E: Weight>(folder: &Folder, mut description: Description, users: &Table<E>, items: &Table<E>) -> Result<()> {
    let tables = serialize([stored(USER_TABLE, users), stored(ITEM_TABLE, items)])?;
    description.tables_crc32 = crc32fast::hash(&tables);
    put(folder, &tables, &description)
}

/// Puts both files of a model in place.
pub(super) fn put(folder: &Folder, tables: &[u8], description: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(description).context("cannot lay out the description")?;
    let first = write(folder, TABLES, tables)?;
    let second = write(folder, DESCRIPTION, &text)?;
    first.commit()?;
    second.commit()?;
    Ok(())
}

/// A table as bytes.
pub(super) struct Stored {
    name: &'static str,
    dtype: Dtype,
    shape: [usize; 2],
    bytes: Vec<u8>,
}

/// The bytes of a table.
pub(super) fn stored<E: Weight>(name: &'static str, table: &Table<E>) -> Stored {
    let mut bytes = Vec::new();
    for row in table.iter() {
        E::write(row, &mut bytes);
    }
    Stored { name, dtype: E::STORED, shape: table.shape(), bytes }
}

/// The bytes of a file of tables.
pub(super) fn serialize<const N: usize>(tables: [Stored; N]) -> Result<Vec<u8>> {
    fn view(table: &Stored) -> Result<(&'static str, TensorView<'_>), SafeTensorError> {
        Ok((table.name, TensorView::new(table.dtype, table.shape.to_vec(), &table.bytes)?))
    }
    let producer = HashMap::from([("producer".to_owned(), "hotrow".to_owned())]);
    let views: Result<Vec<_>, _> = tables.iter().map(view).collect();
    views.and_then(|views| safetensors::serialize(views, Some(producer))).context("cannot lay out the tables")
}

/// Writes a file under a temporary name in the folder, through to the disk.
fn write(folder: &Folder, name: &str, bytes: &[u8]) -> Result<Target> {
    let mut file = Target::create(&folder.0.join(name))?;
    file.put(bytes)?;
    file.sync()?;
    Ok(file)
}
