//! Rows of several files, one file after the other.

use crate::element::DType;
use crate::store::block::{Block, ReadRows, RowsInfo, check_dim};
use crate::store::error::{FileError, FileResult};
use crate::store::format::Seen;

/// What becomes of a row whose word came before, in the same file or an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeated {
    /// It is refused.
    #[default]
    Refuse,
    /// It is left out, with a note.
    KeepFirst,
}

/// The rows of several sources, one after the other. All have the same dim, and words or none; if their elements differ, f32 holds them all.
pub struct MergedRows<'a> {
    info: RowsInfo,
    sources: Vec<(String, Box<dyn ReadRows + 'a>)>,
    current: usize,
    repeated: Repeated,
    seen: Seen,
    /// Rows left out.
    left_out: u64,
}

impl<'a> MergedRows<'a> {
    /// Joins sources, each with its name for errors and notes.
    ///
    /// # Errors
    /// [`FileError`](crate::store::FileError): there are none, or they do not fit together.
    pub fn new(sources: Vec<(String, Box<dyn ReadRows + 'a>)>, repeated: Repeated) -> FileResult<MergedRows<'a>> {
        let Some((first, rows)) = sources.first() else {
            return Err(FileError::unsupported("merge", "there is nothing to join"));
        };
        let RowsInfo { dim, mut dtype, named, .. } = *rows.info();
        check_dim(dim, first)?;
        let (mut rows, mut notes) = (Some(0u64), Vec::new());
        for (name, source) in &sources {
            let info = source.info();
            if info.dim != dim {
                let problem = format!("its rows have {} values, but those of {first} have {dim}", info.dim);
                return Err(FileError::unsupported(name, problem));
            }
            if info.named != named {
                let (with, without) = if named { (first, name) } else { (name, first) };
                return Err(FileError::unsupported(name, format!("{with} has words, but {without} has none")));
            }
            if info.dtype != dtype {
                dtype = DType::F32;
            }
            rows = rows.zip(info.rows).and_then(|(sum, rows)| sum.checked_add(rows));
        }
        if sources.iter().any(|(_, source)| source.info().dtype != dtype) {
            notes.push("the files have different elements, and f32 holds them all".to_owned());
        }
        let info = RowsInfo { rows, dim, dtype, named, notes };
        Ok(MergedRows { info, sources, current: 0, repeated, seen: Seen::default(), left_out: 0 })
    }

    /// Takes the rows out of a block whose words came before.
    fn without_repeated(&mut self, block: &mut Block) -> FileResult<()> {
        let (name, dim) = (&self.sources[self.current].0, self.info.dim);
        let mut keep = Vec::with_capacity(block.words.len());
        for word in &block.words {
            let new = self.seen.insert(word);
            if !new && self.repeated == Repeated::Refuse {
                let shown = crate::store::format::shown(word.as_bytes());
                return Err(FileError::unsupported(
                    name,
                    format!("the word `{shown}` came before, in this file or an earlier one"),
                ));
            }
            keep.push(new);
        }
        let before = keep.len();
        let mut row = 0;
        block.words.retain(|_| {
            row += 1;
            keep[row - 1]
        });
        if block.words.len() < before {
            self.left_out += (before - block.words.len()) as u64;
            block.values.keep_rows(dim, &keep);
        }
        Ok(())
    }

    fn note_left_out(&mut self) {
        match std::mem::take(&mut self.left_out) {
            0 => {}
            1 => self.info.notes.push("1 row is left out, since its word came before".to_owned()),
            rows => self.info.notes.push(format!("{rows} rows are left out, since their words came before")),
        }
    }
}

impl ReadRows for MergedRows<'_> {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        while let Some((name, source)) = self.sources.get_mut(self.current) {
            let count = source.read(block)?;
            if count == 0 {
                self.info.notes.extend(source.info().notes.iter().map(|note| format!("{name}: {note}")));
                self.current += 1;
                continue;
            }
            if block.values.dtype() != self.info.dtype {
                block.values = block.values.convert(self.info.dtype);
            }
            if self.info.named {
                self.without_repeated(block)?;
            }
            let rows = block.values.len() / self.info.dim;
            if rows > 0 {
                return Ok(rows);
            }
        }
        block.clear();
        self.note_left_out();
        Ok(0)
    }

    fn progress(&self) -> Option<f64> {
        let part = match self.sources.get(self.current) {
            Some((_, source)) => source.progress()?,
            None => 0.0,
        };
        Some((self.current as f64 + part) / self.sources.len() as f64)
    }
}
