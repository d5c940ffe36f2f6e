//! Writing archives of arrays.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::SpooledTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::words::LONGEST;
use crate::element::DType;
use crate::store::block::{Block, WriteRows};
use crate::store::bytes::to_bytes;
use crate::store::error::{FileError, FileResult};
use crate::store::format::npy::{header_for, header_of_rows};
use crate::store::format::sink::Sink;
use crate::store::format::{NewRows, number, rows_of};

/// As much is kept in memory before a temporary file is made.
const KEPT: usize = 1 << 20;

/// The writer of `.npz`, not compressed, as `numpy.savez` writes it: the table, and `words` of Unicode texts. Headers come first and say how many
/// rows there are, so rows and words wait in temporary files beside the archive until the last one has come.
pub(in crate::store::format) struct NpzWriter<S> {
    sink: S,
    name: String,
    table: String,
    dim: usize,
    dtype: DType,
    named: bool,
    rows: u64,
    longest: usize,
    values: SpooledTempFile,
    words: SpooledTempFile,
    bytes: Vec<u8>,
}

impl<S: Sink> NpzWriter<S> {
    /// Keeps temporary files in a folder.
    pub(in crate::store::format) fn new(sink: S, name: &str, folder: &Path, new: &NewRows) -> FileResult<NpzWriter<S>> {
        let table = new.table.clone().unwrap_or_else(|| "embeddings".to_owned());
        if new.named && table == "words" {
            return Err(FileError::unsupported(name, "a table cannot be called `words`, as its words are"));
        }
        let spool = || tempfile::spooled_tempfile_in(KEPT, folder);
        let (values, words) = (spool(), spool());
        let (dim, dtype, named) = (new.dim, new.dtype, new.named);
        Ok(NpzWriter {
            sink,
            name: name.to_owned(),
            table,
            dim,
            dtype,
            named,
            rows: 0,
            longest: 0,
            values,
            words,
            bytes: Vec::new(),
        })
    }

    /// Keeps the words as `[length, UTF-8]`.
    fn keep_words(&mut self, words: &[String]) -> FileResult<()> {
        self.bytes.clear();
        for (row, word) in words.iter().enumerate() {
            let chars = word.chars().count();
            if word.ends_with('\0') || chars > LONGEST {
                let why = if chars > LONGEST { "is too long" } else { "ends in a zero byte, which this format cannot hold" };
                let shown = number::shown(word.as_bytes());
                return Err(FileError::unsupported(
                    &self.name,
                    format!("row {}: the word `{shown}` {why}", self.rows + row as u64),
                ));
            }
            self.longest = self.longest.max(chars);
            self.bytes.extend_from_slice(&(word.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(word.as_bytes());
        }
        self.words.write_all(&self.bytes).map_err(|error| self.sink.failure(&error))
    }

    fn write_archive(&mut self) -> io::Result<()> {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        let mut archive = ZipWriter::new_stream(&mut self.sink);
        archive.start_file(format!("{}.npy", self.table), options)?;
        archive.write_all(&header_of_rows(self.dtype, self.rows, self.dim))?;
        self.values.seek(SeekFrom::Start(0))?;
        io::copy(&mut self.values, &mut archive)?;
        if self.named {
            archive.start_file("words.npy", options)?;
            let chars = self.longest.max(1);
            archive.write_all(&header_for(&format!("<U{chars}"), &format!("({},)", self.rows)))?;
            self.words.seek(SeekFrom::Start(0))?;
            let mut words = io::BufReader::new(&mut self.words);
            let (mut utf8, mut text) = (Vec::new(), Vec::new());
            for _ in 0..self.rows {
                let mut length = [0; 4];
                words.read_exact(&mut length)?;
                utf8.resize(u32::from_le_bytes(length) as usize, 0);
                words.read_exact(&mut utf8)?;
                text.clear();
                text.extend(String::from_utf8_lossy(&utf8).chars().flat_map(|c| u32::from(c).to_le_bytes()));
                text.resize(chars * 4, 0);
                archive.write_all(&text)?;
            }
        }
        archive.finish()?.flush()
    }
}

impl<S: Sink> WriteRows for NpzWriter<S> {
    fn write(&mut self, block: &Block) -> FileResult<()> {
        let rows = rows_of(block, self.dim, self.named, &self.name)?;
        let written = match block.values.dtype() == self.dtype {
            true => self.values.write_all(&to_bytes(block.values.as_slice())),
            false => self.values.write_all(&to_bytes(block.values.convert(self.dtype).as_slice())),
        };
        written.map_err(|error| self.sink.failure(&error))?;
        if self.named {
            self.keep_words(&block.words)?;
        }
        self.rows += rows as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> FileResult<u64> {
        self.write_archive().map_err(|error| self.sink.failure(&error))?;
        self.sink.commit()?;
        Ok(self.rows)
    }
}
