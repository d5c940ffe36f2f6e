//! The weights of Keras 3 (`model.save_weights("x.weights.h5")`): an HDF5 file in which the first variable of a layer is `layers/<name>/vars/0`.

use std::path::Path;

use hdf5_pure::{Dataset, Datatype, DatatypeByteOrder, Error, File, Group};

use super::npy::{Kind, Number};
use super::number::harmless;
use crate::store::block::{BLOCK_BYTES, Block, ReadRows, RowsInfo};
use crate::store::error::{FileError, FileResult, Place};

/// Groups are looked into up to this depth and number, so that a file whose groups contain each other has an end.
const DEEPEST: usize = 16;
const MOST_GROUPS: usize = 10_000;

/// The reader of an embedding in a file of Keras. Which layers are embeddings the file does not say: they are the ones with a single variable, of two
/// dimensions. Numbers of f64 are rounded, with a note.
pub(super) struct KerasReader {
    dataset: Dataset,
    name: String,
    info: RowsInfo,
    number: Number,
    rows: u64,
    next: u64,
}

impl KerasReader {
    /// Opens a file, of which only what is needed is read.
    pub(super) fn open(path: &Path, table: Option<&str>) -> FileResult<KerasReader> {
        let name = path.display().to_string();
        KerasReader::new(File::open_streaming(path).map_err(damaged(&name))?, &name, table)
    }

    /// Reads a file in memory.
    pub(super) fn from_bytes(bytes: Vec<u8>, name: &str, table: Option<&str>) -> FileResult<KerasReader> {
        KerasReader::new(File::from_bytes(bytes).map_err(damaged(name))?, name, table)
    }

    fn new(file: File, name: &str, table: Option<&str>) -> FileResult<KerasReader> {
        let mut layers = Vec::new();
        let mut groups = 0;
        find_layers(&file.root(), "", DEEPEST, &mut groups, &mut layers).map_err(damaged(name))?;
        let (layer, dataset) = choose(layers, name, table)?;
        let datatype = dataset.datatype().map_err(damaged(name))?;
        let Some(number) = number(&datatype) else {
            return Err(FileError::unsupported(
                name,
                format!("the values of `{}` are no floating point numbers", harmless(&layer)),
            ));
        };
        let (rows, dim) = match dataset.shape().map_err(damaged(name))?[..] {
            [rows, dim] if dim > 0 && dim.checked_mul(8).is_some_and(|bytes| usize::try_from(bytes).is_ok()) => {
                (rows, dim as usize)
            }
            ref shape => {
                return Err(FileError::unsupported(
                    name,
                    format!("`{}` has the shape {shape:?}; a table has two dimensions", harmless(&layer)),
                ));
            }
        };
        let notes = number.note().into_iter().collect();
        let info = RowsInfo { rows: Some(rows), dim, dtype: number.dtype(), named: false, notes };
        Ok(KerasReader { dataset, name: name.to_owned(), info, number, rows, next: 0 })
    }
}

/// What the crate says of a file.
fn damaged(name: &str) -> impl Fn(Error) -> FileError + '_ {
    move |error| match error {
        Error::Io(error) => FileError::io(Path::new(name), "read the file", &error),
        error => {
            FileError::malformed(name, Place::Whole, format!("the HDF5 file cannot be read: {}", harmless(&error.to_string())))
        }
    }
}

/// A layer that may be an embedding.
struct Layer {
    /// The path of its group.
    path: String,
    dataset: Dataset,
    /// How many variables it has.
    variables: usize,
}

/// Finds the layers whose first variable has two dimensions.
fn find_layers(group: &Group, path: &str, depth: usize, groups: &mut usize, layers: &mut Vec<Layer>) -> Result<(), Error> {
    *groups += 1;
    if depth == 0 || *groups > MOST_GROUPS {
        return Ok(());
    }
    for name in group.groups()? {
        let inner = group.group(&name)?;
        // The states of the optimizer are not looked at.
        if name == "vars" && !path.is_empty() && !path.starts_with("optimizer") {
            let variables = inner.datasets()?;
            if variables.iter().any(|variable| variable == "0") {
                let dataset = inner.dataset("0")?;
                if dataset.shape()?.len() == 2 {
                    layers.push(Layer { path: path.to_owned(), dataset, variables: variables.len() });
                }
            }
            continue;
        }
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        find_layers(&inner, &path, depth - 1, groups, layers)?;
    }
    Ok(())
}

/// The layer of this name, or the only one that may be an embedding.
fn choose(layers: Vec<Layer>, name: &str, table: Option<&str>) -> FileResult<(String, Dataset)> {
    let is_named = |layer: &Layer, table: &str| {
        let table = table.trim_matches('/');
        let table = table.strip_suffix("/vars/0").unwrap_or(table);
        layer.path == table || layer.path.rsplit('/').next() == Some(table)
    };
    let fits = |layer: &Layer| match table {
        Some(table) => is_named(layer, table),
        None => layer.variables == 1,
    };
    let paths: Vec<String> = layers.iter().map(|layer| format!("`{}`", harmless(&layer.path))).take(20).collect();
    let there = if paths.is_empty() { "none with two dimensions".to_owned() } else { paths.join(", ") };
    let mut fitting = layers.into_iter().filter(fits);
    match (fitting.next(), fitting.next(), table) {
        (Some(layer), None, _) => Ok((layer.path, layer.dataset)),
        (Some(_), Some(_), None) => {
            Err(FileError::unsupported(name, format!("several layers could be the embedding, so choose one by its name: {there}")))
        }
        (Some(_), Some(_), Some(table)) => Err(FileError::unsupported(
            name,
            format!("several layers are called `{}`, so choose one by its path: {there}", harmless(table)),
        )),
        (None, _, Some(table)) => {
            Err(FileError::unsupported(name, format!("there is no layer `{}`; there are {there}", harmless(table))))
        }
        (None, ..) => Err(FileError::unsupported(name, format!("no layer could be an embedding; there are {there}"))),
    }
}

/// How the numbers are stored: IEEE 754, or bfloat16, which has 8 bits for the exponent.
fn number(datatype: &Datatype) -> Option<Number> {
    let Datatype::FloatingPoint { size, byte_order, layout } = datatype else { return None };
    let kind = match (size, layout.exponent_size) {
        (2, 5) | (4, 8) | (8, 11) => Kind::Float,
        (2, 8) => Kind::BFloat16,
        _ => return None,
    };
    let big = match byte_order {
        DatatypeByteOrder::LittleEndian => false,
        DatatypeByteOrder::BigEndian => true,
        _ => return None,
    };
    Some(Number { kind, size: *size as usize, big })
}

impl ReadRows for KerasReader {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        block.restart(self.info.dtype);
        let row = self.info.dim * self.number.size;
        let rows = (BLOCK_BYTES / row).max(1).min(usize::try_from(self.rows - self.next).unwrap_or(usize::MAX));
        if rows == 0 {
            return Ok(0);
        }
        let bytes = self.dataset.read_raw_rows(self.next, rows as u64).map_err(damaged(&self.name))?;
        if bytes.len() != rows * row {
            return Err(FileError::malformed(
                &self.name,
                Place::Whole,
                format!("row {} and those after it are not there", self.next),
            ));
        }
        self.number.decode(&bytes, &mut block.values);
        self.next += rows as u64;
        Ok(rows)
    }

    fn progress(&self) -> Option<f64> {
        if self.rows == 0 { Some(1.0) } else { Some(self.next as f64 / self.rows as f64) }
    }
}
