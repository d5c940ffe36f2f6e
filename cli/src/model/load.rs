//! Reading a model back, and finding out what is wrong with one.

use std::fs;
use std::path::{Path, PathBuf};

use hotrow::{Table, bf16, f16};
use safetensors::SafeTensors;
use serde_json::Value;
use thiserror::Error;

use super::machine::MACHINE;
use super::{DESCRIPTION, Description, FORMAT, ITEM_TABLE, Precision, TABLES, USER_TABLE, VERSION, Weight};
use crate::train::Settings;

/// A trained model.
#[derive(Debug)]
pub struct Model {
    /// Names, titles, and what each user has met.
    pub description: Description,
    /// An embedding for each user, widened to `f32`, which is exact.
    pub users: Table<f32>,
    /// An embedding for each item, widened to `f32`.
    pub items: Table<f32>,
}

/// Why a folder holds no usable model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file is missing or cannot be read.
    #[error("{path}: cannot read the file: {reason}{hint}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A file is not what it should be.
    #[error("{path}: {problem}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The folder holds a factorization machine, where a model of users and items is needed.
    #[error(
        "{path}: the model is a factorization machine, which tells yes from no for a line of features and knows no users and no \
         items; `hotrow similar FEATURE` finds the features nearest to one"
    )]
    Machine {
        /// The file.
        path: String,
    },
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] hotrow::Error),
}

impl Model {
    /// Reads the model in a folder and checks that its parts fit together.
    ///
    /// # Errors
    /// [`LoadError`], naming the file.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join(DESCRIPTION);
        let value = parse(&path)?;
        if value["model"] == MACHINE {
            return Err(LoadError::Machine { path: path.display().to_string() });
        }
        let description = describe(value).map_err(|problem| damaged(&path, problem))?;
        let tables = Tables::read(folder, description.tables_crc32)?;
        let Settings { dim, dtype, .. } = description.settings;
        let users = tables.table(USER_TABLE, dtype, description.users.len(), dim)?;
        let items = tables.table(ITEM_TABLE, dtype, description.items.len(), dim)?;
        Ok(Model { description, users, items })
    }
}

/// A file of tables whose checksum is right.
pub(super) struct Tables {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Tables {
    pub(super) fn read(folder: &Path, crc32: u32) -> Result<Self, LoadError> {
        let path = folder.join(TABLES);
        let bytes = read(&path)?;
        if crc32fast::hash(&bytes) != crc32 {
            return Err(damaged(
                &path,
                format!("its checksum is not the one in {DESCRIPTION}: the file is damaged or of another training"),
            ));
        }
        Ok(Tables { path, bytes })
    }

    /// A table of this type and shape, widened.
    pub(super) fn table(&self, name: &str, dtype: Precision, rows: usize, dim: usize) -> Result<Table<f32>, LoadError> {
        let values = values(&self.bytes, name, dtype, [rows, dim]).map_err(|problem| damaged(&self.path, problem))?;
        Ok(Table::from_slice(&values, rows, dim)?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|source| {
        let missing = source.kind() == std::io::ErrorKind::NotFound;
        LoadError::Read {
            path: path.display().to_string(),
            reason: source.to_string(),
            hint: if missing { "\n  make a model with `hotrow train`, or say where it is with --model" } else { "" },
        }
    })
}

pub(super) fn damaged(path: &Path, problem: String) -> LoadError {
    LoadError::Damaged { path: PathBuf::from(path).display().to_string(), problem }
}

/// Parses `model.json`, as far as its format and version.
pub(super) fn parse(path: &Path) -> Result<Value, LoadError> {
    let wrong = |problem| damaged(path, problem);
    let value: Value = serde_json::from_slice(&read(path)?).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
    // The version comes first: another version may well have other fields.
    if value["format"] != FORMAT {
        return Err(wrong(format!("its format is {}, not \"{FORMAT}\"", value["format"])));
    }
    if value["version"] != VERSION {
        return Err(wrong(format!("its version is {}; this program reads version {VERSION}", value["version"])));
    }
    Ok(value)
}

/// Checks the rest of `model.json`.
fn describe(value: Value) -> Result<Description, String> {
    let description: Description = serde_json::from_value(value).map_err(|error| format!("it does not fit: {error}"))?;
    let (users, items) = (description.users.len(), description.items.len());
    let same = |what, found, wanted| {
        if found == wanted { Ok(()) } else { Err(format!("it has {found} {what}, where {wanted} are expected")) }
    };
    same("lists of seen items", description.seen.len(), users)?;
    if !description.notes.is_empty() {
        same("notes on users", description.notes.len(), users)?;
    }
    if !description.titles.is_empty() {
        same("titles", description.titles.len(), items)?;
    }
    for (user, seen) in description.seen.iter().enumerate() {
        if let Some(item) = seen.iter().find(|&&item| item as usize >= items) {
            return Err(format!("row {user} of the seen items holds item {item}, which is outside 0..{items}"));
        }
    }
    Ok(description)
}

/// The numbers of a table, as `f32`.
fn values(bytes: &[u8], name: &str, dtype: Precision, shape: [usize; 2]) -> Result<Vec<f32>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| format!("it is no safetensors file: {error}"))?;
    let tensor = file.tensor(name).map_err(|_| format!("it has no tensor `{name}`"))?;
    if tensor.shape() != shape {
        return Err(format!("`{name}` has the shape {:?}, where {shape:?} is expected", tensor.shape()));
    }
    let stored = match dtype {
        Precision::F32 => f32::STORED,
        Precision::F16 => f16::STORED,
        Precision::Bf16 => bf16::STORED,
    };
    if tensor.dtype() != stored {
        return Err(format!("`{name}` holds {}, where {dtype} is expected", tensor.dtype()));
    }
    Ok(match dtype {
        Precision::F32 => f32::read(tensor.data()),
        Precision::F16 => f16::read(tensor.data()),
        Precision::Bf16 => bf16::read(tensor.data()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Folder, save};
    use crate::train::{Method, Settings};

    fn written() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let settings =
            Settings { dim: 2, epochs: 1, optimizer: Method::Sgd, lr: 0.1, l2: 0.0, batch: 1, dtype: Precision::Bf16, seed: 0 };
        let mut description = Description::new(settings, None);
        description.users = vec!["u".into()];
        description.items = vec!["a".into(), "b".into()];
        description.titles = vec![Some("A".into()), None];
        description.seen = vec![vec![1]];
        let weights = |values: &[f32]| values.iter().map(|&v| bf16::from_f32(v)).collect::<Vec<_>>();
        let users = Table::from_slice(&weights(&[0.5, -2.0]), 1, 2).unwrap();
        let items = Table::from_slice(&weights(&[1.0, 2.0, 3.0, 4.0]), 2, 2).unwrap();
        let folder = Folder::prepare(dir.path()).unwrap();
        save(&folder, description, &users, &items).unwrap();
        dir
    }

    #[test]
    fn a_model_comes_back_and_leaves_no_other_file() {
        let dir = written();
        let model = Model::load(dir.path()).unwrap();
        assert_eq!(model.users.to_vec(), [0.5, -2.0]);
        assert_eq!(model.items.to_vec(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(model.description.name(0), "A");
        assert_eq!(model.description.name(1), "b");
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [DESCRIPTION, TABLES]);
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said() {
        let refused = |change: fn(&Path)| {
            let dir = written();
            change(dir.path());
            Model::load(dir.path()).unwrap_err().to_string()
        };
        let edit = |folder: &Path, from: &str, to: &str| {
            let path = folder.join(DESCRIPTION);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(path, text.replace(from, to)).unwrap();
        };
        assert!(refused(|dir| fs::remove_file(dir.join(DESCRIPTION)).unwrap()).contains("hotrow train"));
        assert!(refused(|dir| fs::write(dir.join(DESCRIPTION), "{").unwrap()).contains("it is no JSON"));
        assert!(refused(|dir| fs::write(dir.join(DESCRIPTION), "[]").unwrap()).contains("its format is null"));
        assert!(
            refused(|dir| {
                let mut bytes = fs::read(dir.join(TABLES)).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(dir.join(TABLES), bytes).unwrap();
            })
            .contains("its checksum is not the one in model.json")
        );
        for (from, to, problem) in [
            ("\"version\":1", "\"version\":2", "its version is 2; this program reads version 1"),
            ("\"seen\":[[1]]", "\"seen\":[[2]]", "row 0 of the seen items holds item 2, which is outside 0..2"),
            ("\"seen\":[[1]]", "\"seen\":[]", "it has 0 lists of seen items, where 1 are expected"),
            ("\"dim\":2", "\"dim\":3", "has the shape [1, 2], where [1, 3] is expected"),
            ("\"bf16\"", "\"f16\"", "holds BF16, where f16 is expected"),
        ] {
            let dir = written();
            edit(dir.path(), from, to);
            let error = Model::load(dir.path()).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
