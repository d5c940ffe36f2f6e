//! Rows cut into files of equal length.

use std::path::{Path, PathBuf};

use crate::store::block::{Block, ReadRows, check_dim};
use crate::store::error::{FileError, FileResult};
use crate::store::format::{Format, NewRows, create_rows};

/// The name of a shard, from 1: `words-00001-of-00004.safetensors`.
pub fn shard_name(stem: &str, shard: u64, shards: u64, extension: &str) -> String {
    format!("{stem}-{shard:05}-of-{shards:05}.{extension}")
}

/// How rows are cut into files, and what these are called.
#[derive(Clone, Debug)]
pub struct Shards {
    /// The folder, which must exist.
    pub folder: PathBuf,
    /// What the names begin with.
    pub stem: String,
    /// What they end with, without a dot.
    pub extension: String,
    /// Their format.
    pub format: Format,
    /// The rows of all files together, exactly.
    pub rows: u64,
    /// Where they are cut.
    pub cut: Cut,
}

/// Where rows are cut into files. At least one is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// After every so many rows; the last file has what remains.
    Rows(u64),
    /// Into so many files. The first ones have a row more where the rows cannot be divided equally.
    Parts(u64),
}

impl Cut {
    /// How many files there are.
    fn shards(self, rows: u64) -> u64 {
        match self {
            Cut::Rows(each) => rows.div_ceil(each.max(1)).max(1),
            Cut::Parts(parts) => parts.max(1),
        }
    }

    /// How many rows a file has, numbered from 0.
    fn rows(self, rows: u64, shard: u64) -> u64 {
        match self {
            Cut::Rows(each) => each.max(1).min(rows - shard * each.max(1)),
            Cut::Parts(parts) => rows / parts.max(1) + u64::from(shard < rows % parts.max(1)),
        }
    }
}

impl Shards {
    /// Writes the rows of a reader into the files, each of which is whole before the next one is begun. Returns their paths.
    ///
    /// # Errors
    /// [`FileError`](crate::store::FileError): of reading or writing, or the source does not have `rows` rows. Files that are finished by then stay.
    pub fn write(
        &self,
        from: &mut dyn ReadRows,
        new: &NewRows,
        mut progress: impl FnMut(u64, Option<f64>),
    ) -> FileResult<Vec<PathBuf>> {
        let dim = new.dim;
        check_dim(dim, &self.stem)?;
        let (mut block, mut at) = (Block::new(from.info().dtype), 0);
        let mut paths = Vec::new();
        let mut rows_so_far = 0;
        let shards = self.cut.shards(self.rows);
        for shard in 0..shards {
            let path = self.folder.join(shard_name(&self.stem, shard + 1, shards, &self.extension));
            let rows = self.cut.rows(self.rows, shard);
            let mut writer = create_rows(&path, self.format, &NewRows { rows: Some(rows), ..new.clone() })?;
            let mut left = rows;
            while left > 0 {
                if at == block.values.len() / dim {
                    if from.read(&mut block)? == 0 {
                        return Err(self.other_rows(&path));
                    }
                    at = 0;
                }
                let count = (block.values.len() / dim - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                writer.write(&block.rows(at, count, dim, new.named))?;
                at += count;
                left -= count as u64;
                rows_so_far += count as u64;
                progress(rows_so_far, from.progress());
            }
            writer.finish()?;
            paths.push(path);
        }
        if at < block.values.len() / dim || from.read(&mut block)? > 0 {
            return Err(self.other_rows(&self.folder));
        }
        Ok(paths)
    }

    fn other_rows(&self, path: &Path) -> FileError {
        FileError::unsupported(path.display().to_string(), format!("the source does not have {} rows any more", self.rows))
    }
}
