//! word2vec's binary format: a line `rows dim`, then for each row its word, a space, and `dim` f32 numbers of four bytes, low byte first.
//! The original tool ends each row by a line end, gensim does not; both are read. What is written has none.

use std::io::{BufRead, Read};

use super::number;
use super::sink::Sink;
use super::source::{cannot_read, pieces};
use super::text::header;
use super::words::{Changes, NOT_UTF8, Seen};
use super::{NewRows, rows_of};
use crate::element::DType;
use crate::element::lanes::AnySlice;
use crate::store::block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, Values, WriteRows};
use crate::store::error::{FileError, FileResult, Place};

/// A longer word is refused: the space after it was not found.
const LONGEST_WORD: usize = 64 << 10;

/// The first line may have as many bytes, its end included.
const LONGEST_HEADER: usize = 256;

/// The reader. As gensim's `load_word2vec_format`: a row whose word came before is left out, with a note; a file that ends early is
/// refused. Where gensim is silent, this is not: bytes after the last row are refused, but for line ends.
pub(super) struct Word2vecReader<R> {
    source: R,
    name: String,
    info: RowsInfo,
    promised: u64,
    rows: u64,
    at: u64,
    bytes: u64,
    lossy: bool,
    seen: Seen,
    changes: Changes,
    word: Vec<u8>,
}

impl<R: BufRead> Word2vecReader<R> {
    /// Reads the first line. `bytes` is the length of the file.
    pub(super) fn new(mut source: R, name: &str, bytes: u64, lossy: bool) -> FileResult<Word2vecReader<R>> {
        let mut line = Vec::new();
        source.by_ref().take(LONGEST_HEADER as u64).read_until(b'\n', &mut line).map_err(cannot_read(name))?;
        let fail = |problem: String| FileError::malformed(name, Place::Line { line: 1, column: 1 }, problem);
        let Some((promised, dim)) = header(&line).filter(|_| line.ends_with(b"\n")) else {
            return Err(fail(format!("the first line is `rows dim`, two whole numbers, but here is `{}`", number::shown(&line))));
        };
        if dim == 0 {
            return Err(fail("rows have at least one number".to_owned()));
        }
        let at = line.len() as u64;
        let row = (dim as u64).saturating_mul(4).saturating_add(1);
        if promised.saturating_mul(row) > bytes.saturating_sub(at) {
            return Err(fail(format!("{promised} rows of {dim} numbers are promised, but the file has only {bytes} bytes")));
        }
        let info = RowsInfo { rows: Some(promised), dim, dtype: DType::F32, named: true, notes: Vec::new() };
        Ok(Word2vecReader {
            source,
            name: name.to_owned(),
            info,
            promised,
            rows: 0,
            at,
            bytes,
            lossy,
            seen: Seen::default(),
            changes: Changes::default(),
            word: Vec::new(),
        })
    }

    fn error(&self, at: u64, problem: impl Into<String>) -> FileError {
        FileError::malformed(&self.name, Place::Byte(at), problem)
    }

    fn ends_early(&self) -> FileError {
        self.error(self.at, format!("the first line promises {} rows, but the file ends in row {}", self.promised, self.rows + 1))
    }

    /// Reads a word and the space after it. Line ends before it belong to the row before.
    fn read_word(&mut self) -> FileResult<String> {
        self.skip_line_ends()?;
        self.word.clear();
        let longest = LONGEST_WORD as u64 + 1;
        self.source.by_ref().take(longest).read_until(b' ', &mut self.word).map_err(cannot_read(&self.name))?;
        if self.word.pop_if(|last| *last == b' ').is_none() {
            if self.word.len() > LONGEST_WORD {
                return Err(self.error(self.at, format!("here is a word of more than {LONGEST_WORD} bytes")));
            }
            self.at += self.word.len() as u64;
            return Err(self.ends_early());
        }
        let word = self.changes.decode(&self.word, self.lossy).map_err(|valid| self.error(self.at + valid as u64, NOT_UTF8))?;
        self.at += self.word.len() as u64 + 1;
        Ok(word)
    }

    fn skip_line_ends(&mut self) -> FileResult<()> {
        loop {
            let buffer = self.source.fill_buf().map_err(cannot_read(&self.name))?;
            let count = buffer.iter().take_while(|byte| **byte == b'\n').count();
            if count == 0 {
                return Ok(());
            }
            self.source.consume(count);
            self.at += count as u64;
        }
    }

    /// After the last row.
    fn finish(&mut self) -> FileResult<()> {
        self.skip_line_ends()?;
        if !self.source.fill_buf().map_err(cannot_read(&self.name))?.is_empty() {
            return Err(self.error(self.at, format!("the first line promises {} rows, but more bytes follow", self.promised)));
        }
        self.changes.take_notes(&mut self.info.notes);
        Ok(())
    }
}

impl<R: BufRead> ReadRows for Word2vecReader<R> {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        let mut values = block.take_memory();
        let dim = self.info.dim;
        let mut held = 0;
        while held < BLOCK_BYTES {
            if self.rows == self.promised {
                self.finish()?;
                break;
            }
            let word = self.read_word()?;
            let start = values.len();
            let want = dim as u64 * 4;
            let read = pieces(&mut self.source, want, 4, |bytes| {
                values.extend(bytes.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])));
            });
            let read = read.map_err(cannot_read(&self.name))?;
            self.at += read;
            if read < want {
                return Err(self.ends_early());
            }
            self.rows += 1;
            if self.seen.insert(&word) {
                held += word.len() + dim * 4;
                block.words.push(word);
            } else {
                values.truncate(start);
                self.changes.repeated(&word);
            }
        }
        block.values = Values::F32(values);
        Ok(block.words.len())
    }

    fn progress(&self) -> Option<f64> {
        Some(self.at as f64 / self.bytes.max(1) as f64)
    }
}

/// Digits kept free for the number of rows where it is not known.
const DIGITS: usize = 10;

/// The writer.
pub(super) struct Word2vecWriter<S> {
    sink: S,
    name: String,
    dim: usize,
    named: bool,
    rows: u64,
    digits: usize,
    seen: Seen,
    row: Vec<u8>,
}

impl<S: Sink> Word2vecWriter<S> {
    pub(super) fn new(mut sink: S, name: &str, new: &NewRows) -> FileResult<Word2vecWriter<S>> {
        let digits = new.rows.map_or(DIGITS, |rows| rows.to_string().len());
        sink.put(format!("{} {}\n", " ".repeat(digits), new.dim).as_bytes())?;
        let (seen, row) = (Seen::default(), Vec::new());
        Ok(Word2vecWriter { sink, name: name.to_owned(), dim: new.dim, named: new.named, rows: 0, digits, seen, row })
    }

    fn check(&mut self, word: &str) -> FileResult<()> {
        let why = if word.contains([' ', '\n']) {
            "has a space or a line end, which this format cannot hold; safetensors, npz and csv can"
        } else if word.len() > LONGEST_WORD {
            "is too long"
        } else if !self.seen.insert(word) {
            "came before, and readers of this format leave out the second; safetensors, npz and csv keep both"
        } else {
            return Ok(());
        };
        let shown = number::shown(word.as_bytes());
        Err(FileError::unsupported(&self.name, format!("row {}: the word `{shown}` {why}", self.rows)))
    }
}

impl<S: Sink> WriteRows for Word2vecWriter<S> {
    fn write(&mut self, block: &Block) -> FileResult<()> {
        fn append<E: crate::Element>(bytes: &mut Vec<u8>, row: &[E]) {
            bytes.extend(row.iter().flat_map(|x| x.to_f32().to_le_bytes()));
        }
        for row in 0..rows_of(block, self.dim, self.named, &self.name)? {
            self.row.clear();
            if self.named {
                let word = &block.words[row];
                self.check(word)?;
                self.row.extend_from_slice(word.as_bytes());
            } else {
                self.row.extend_from_slice(self.rows.to_string().as_bytes());
            }
            self.row.push(b' ');
            let range = row * self.dim..(row + 1) * self.dim;
            match block.values.as_slice() {
                AnySlice::F32(values) => append(&mut self.row, &values[range]),
                AnySlice::F16(values) => append(&mut self.row, &values[range]),
                AnySlice::BF16(values) => append(&mut self.row, &values[range]),
            }
            self.sink.put(&self.row)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> FileResult<u64> {
        let rows = format!("{:<width$}", self.rows, width = self.digits);
        if rows.len() > self.digits {
            return Err(FileError::unsupported(&self.name, format!("{} rows are more than were announced", self.rows)));
        }
        self.sink.patch(0, rows.as_bytes())?;
        self.sink.commit()?;
        Ok(self.rows)
    }
}
