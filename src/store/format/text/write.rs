//! Writing rows of text.

use super::Dialect;
use crate::element::lanes::AnySlice;
use crate::store::block::{Block, WriteRows};
use crate::store::error::{FileError, FileResult};
use crate::store::format::lines::is_blank;
use crate::store::format::number;
use crate::store::format::sink::Sink;
use crate::store::format::words::Seen;
use crate::store::format::{NewRows, rows_of};

/// Digits kept free for the number of rows where it is not known.
const DIGITS: usize = 10;

/// The writer of word2vec's text, fastText's `.vec` and GloVe's text.
pub(in crate::store::format) struct TextWriter<S> {
    sink: S,
    name: String,
    dialect: Dialect,
    dim: usize,
    named: bool,
    rows: u64,
    /// Columns kept for the number of rows.
    digits: usize,
    seen: Seen,
    text: String,
}

impl<S: Sink> TextWriter<S> {
    pub(in crate::store::format) fn new(sink: S, name: &str, dialect: Dialect, new: &NewRows) -> FileResult<TextWriter<S>> {
        let digits = new.rows.map_or(DIGITS, |rows| rows.to_string().len());
        let mut writer = TextWriter {
            sink,
            name: name.to_owned(),
            dialect,
            dim: new.dim,
            named: new.named,
            rows: 0,
            digits,
            seen: Seen::default(),
            text: String::new(),
        };
        if dialect != Dialect::Glove {
            let header = format!("{} {}\n", " ".repeat(digits), new.dim);
            writer.sink.put(header.as_bytes())?;
        }
        Ok(writer)
    }

    /// Whether the word can be told from the numbers again, and from the words before.
    fn check(&mut self, word: &str) -> FileResult<()> {
        let shown = number::shown(word.as_bytes());
        let refuse = |why: &str| Err(FileError::unsupported(&self.name, format!("row {}: the word `{shown}` {why}", self.rows)));
        if word.is_empty() {
            return refuse("is empty, which this format cannot hold");
        }
        let spaces = word.bytes().any(is_blank);
        if spaces && !(self.dialect == Dialect::Glove && splits_again(word)) {
            return refuse("has white space, which this format cannot hold; safetensors, npz and csv can");
        }
        if self.rows == 0 && word.starts_with('\u{feff}') && self.dialect == Dialect::Glove {
            return refuse("starts like a byte order mark, which this format cannot hold in the first row");
        }
        if !self.seen.insert(word) {
            return refuse("came before, and readers of this format leave out the second; safetensors, npz and csv keep both");
        }
        Ok(())
    }
}

/// Whether a word with spaces is the same once the words of its line have been taken apart: single spaces, and no part but the first is a
/// number.
fn splits_again(word: &str) -> bool {
    !word.bytes().any(|byte| is_blank(byte) && byte != b' ')
        && word.split(' ').enumerate().all(|(k, part)| !part.is_empty() && (k == 0 || number::parse(part.as_bytes()) == Err(false)))
}

impl<S: Sink> WriteRows for TextWriter<S> {
    fn write(&mut self, block: &Block) -> FileResult<()> {
        fn append<E: crate::Element>(text: &mut String, row: &[E]) {
            for x in row {
                text.push(' ');
                number::append(text, x.to_f32());
            }
        }
        for row in 0..rows_of(block, self.dim, self.named, &self.name)? {
            self.text.clear();
            if self.named {
                let word = &block.words[row];
                self.check(word)?;
                self.text.push_str(word);
            } else {
                self.text.push_str(&self.rows.to_string());
            }
            let range = row * self.dim..(row + 1) * self.dim;
            match block.values.as_slice() {
                AnySlice::F32(values) => append(&mut self.text, &values[range]),
                AnySlice::F16(values) => append(&mut self.text, &values[range]),
                AnySlice::BF16(values) => append(&mut self.text, &values[range]),
            }
            self.text.push_str(if self.dialect == Dialect::FastText { " \n" } else { "\n" });
            self.sink.put(self.text.as_bytes())?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> FileResult<u64> {
        if self.dialect != Dialect::Glove {
            let rows = format!("{:<width$}", self.rows, width = self.digits);
            if rows.len() > self.digits {
                return Err(FileError::unsupported(&self.name, format!("{} rows are more than were announced", self.rows)));
            }
            self.sink.patch(0, rows.as_bytes())?;
        } else if self.rows == 0 {
            return Err(FileError::unsupported(&self.name, "this format cannot hold a table without rows"));
        }
        self.sink.commit()?;
        Ok(self.rows)
    }
}
