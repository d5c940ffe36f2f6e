//! Some rows, in the order in which they are asked for.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::SpooledTempFile;

use crate::store::block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, check_dim};
use crate::store::bytes::{fill_values, part, to_bytes};
use crate::store::error::{FileError, FileResult};

/// Chosen rows wait in memory up to so many bytes, and beyond in a temporary file.
const KEPT: usize = 8 << 20;

/// Which rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// By number, from 0.
    Rows(Vec<u64>),
    /// By word. Of rows with the same word the first is meant.
    Words(Vec<String>),
}

/// Rows chosen from a file, to be read in the order in which they were asked for. One that is asked for twice comes twice.
#[derive(Debug)]
pub struct SelectedRows {
    info: RowsInfo,
    name: String,
    values: SpooledTempFile,
    /// For each row that is there: where it is in `values`, and its word.
    rows: Vec<(u64, String)>,
    missing: Vec<String>,
    next: usize,
}

/// What is asked for, and the places where it was asked for.
struct Places<K>(HashMap<K, Vec<usize>>);

impl<K: Hash + Eq + Clone> Places<K> {
    fn new(wanted: &[K]) -> Places<K> {
        let mut places: HashMap<K, Vec<usize>> = HashMap::with_capacity(wanted.len());
        for (place, key) in wanted.iter().enumerate() {
            places.entry(key.clone()).or_default().push(place);
        }
        Places(places)
    }
}

impl SelectedRows {
    /// Reads the source to its end and keeps the rows that are wanted. `name` is the source's, for errors; `folder` is where a temporary file is
    /// made when they are many.
    ///
    /// # Errors
    /// [`FileError`] of the source, of the temporary file, or that words are asked for where rows have none.
    pub fn new(from: &mut dyn ReadRows, wanted: &Wanted, name: &str, folder: &Path) -> FileResult<SelectedRows> {
        let info = from.info().clone();
        check_dim(info.dim, name)?;
        if matches!(wanted, Wanted::Words(_)) && !info.named {
            return Err(FileError::unsupported(name, "its rows have no words; ask for them by number"));
        }
        let (mut by_row, mut by_word) = (Places::new(&[]), Places::new(&[]));
        let asked: Vec<String> = match wanted {
            Wanted::Rows(rows) => {
                by_row = Places::new(rows);
                rows.iter().map(u64::to_string).collect()
            }
            Wanted::Words(words) => {
                by_word = Places::new(words);
                words.clone()
            }
        };
        let mut found: Vec<Option<(u64, String)>> = vec![None; asked.len()];
        let mut values = SpooledTempFile::new_in(KEPT, folder);
        let failure = |error: io::Error| FileError::io(Path::new(name), "keep the chosen rows", &error);
        let mut block = Block::new(info.dtype);
        let (mut kept, mut first) = (0, 0);
        loop {
            let count = from.read(&mut block)?;
            if count == 0 {
                break;
            }
            for row in 0..count {
                let word = block.words.get(row);
                let places = match wanted {
                    Wanted::Rows(_) => by_row.0.remove(&(first + row as u64)),
                    Wanted::Words(_) => word.and_then(|word| by_word.0.remove(word)),
                };
                let Some(places) = places else { continue };
                for place in places {
                    found[place] = Some((kept, word.cloned().unwrap_or_default()));
                }
                let range = row * info.dim..(row + 1) * info.dim;
                values.write_all(&to_bytes(part(&block.values, range))).map_err(failure)?;
                kept += 1;
            }
            first += count as u64;
        }
        let missing = asked.into_iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(asked, _)| asked).collect();
        let rows: Vec<_> = found.into_iter().flatten().collect();
        let info = RowsInfo { rows: Some(rows.len() as u64), notes: from.info().notes.clone(), ..info };
        Ok(SelectedRows { info, name: name.to_owned(), values, rows, missing, next: 0 })
    }

    /// What was asked for and is not there, in the order in which it was asked for.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl ReadRows for SelectedRows {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        let RowsInfo { dim, dtype, named, .. } = self.info;
        block.restart(dtype);
        let row_bytes = dim * dtype.size();
        let rows = &self.rows[self.next..];
        let rows = &rows[..rows.len().min((BLOCK_BYTES / row_bytes).max(1))];
        let file = &mut self.values;
        let read = fill_values(&mut block.values, rows.len() * dim, |bytes| {
            for ((at, _), bytes) in rows.iter().zip(bytes.chunks_exact_mut(row_bytes)) {
                file.seek(SeekFrom::Start(at * row_bytes as u64))?;
                file.read_exact(bytes)?;
            }
            Ok(())
        });
        read.map_err(|error: io::Error| FileError::io(Path::new(&self.name), "read the chosen rows", &error))?;
        if named {
            block.words.extend(rows.iter().map(|(_, word)| word.clone()));
        }
        self.next += rows.len();
        Ok(rows.len())
    }
}
