//! Reading rows of text.

use std::io::BufRead;

use super::{Dialect, header};
use crate::element::DType;
use crate::store::block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, Values};
use crate::store::error::FileResult;
use crate::store::format::lines::{Lines, is_separator};
use crate::store::format::number;
use crate::store::format::words::{Changes, NOT_UTF8, Seen};

/// The reader of word2vec's text, fastText's `.vec` and GloVe's text.
///
/// As gensim's `load_word2vec_format`: a row whose word came before is left out, with a note; a file that ends before the rows that its
/// first line promises is refused; words are UTF-8. Where gensim is silent, this is not: rows after those that were promised are refused.
pub(in crate::store::format) struct TextReader<R> {
    lines: Lines<R>,
    dialect: Dialect,
    info: RowsInfo,
    /// Rows that the first line promises.
    promised: Option<u64>,
    /// Rows so far, with those left out.
    rows: u64,
    bytes: u64,
    lossy: bool,
    seen: Seen,
    changes: Changes,
    fields: Vec<(usize, usize)>,
}

impl<R: BufRead> TextReader<R> {
    /// Reads the first line. `bytes` is the length of the file.
    pub(in crate::store::format) fn new(
        source: R,
        name: &str,
        bytes: u64,
        dialect: Dialect,
        lossy: bool,
    ) -> FileResult<TextReader<R>> {
        let mut lines = Lines::new(source, name.to_owned());
        let mut fields = Vec::new();
        if !lines.advance()? {
            return Err(lines.error_at_end("the file is empty"));
        }
        let (promised, dim) = if dialect == Dialect::Glove {
            lines.fields(&mut fields);
            let numbers =
                fields.iter().skip(1).rev().take_while(|&&(start, end)| number::parse(&lines.line()[start..end]) != Err(false));
            let dim = numbers.count();
            lines.hold();
            (None, dim)
        } else {
            let Some((rows, dim)) = header(lines.line()) else {
                let shown = number::shown(lines.line());
                return Err(lines.error(0, format!("the first line is `rows dim`, two whole numbers, but here is `{shown}`; if it is a row, the format is GloVe's")));
            };
            (Some(rows), dim)
        };
        if dim == 0 {
            return Err(lines.error(0, "rows have at least one number"));
        }
        // A row has at least a word of one byte, a space and a digit for each number, and a line end (but for the last).
        let left = (bytes + 1).saturating_sub(lines.position());
        let shortest = (dim as u64).saturating_mul(2).saturating_add(2);
        if let Some(rows) = promised.filter(|&rows| rows.saturating_mul(shortest) > left) {
            return Err(lines.error(0, format!("{rows} rows of {dim} numbers are promised, but the file has only {bytes} bytes")));
        }
        let info = RowsInfo { rows: promised, dim, dtype: DType::F32, named: true, notes: Vec::new() };
        Ok(TextReader {
            lines,
            dialect,
            info,
            promised,
            rows: 0,
            bytes,
            lossy,
            seen: Seen::default(),
            changes: Changes::default(),
            fields,
        })
    }

    /// Goes to the line of the next row; false after the last.
    fn next_row(&mut self) -> FileResult<bool> {
        if self.promised == Some(self.rows) {
            if self.lines.only_blank_lines_follow()? {
                return Ok(false);
            }
            return Err(self.lines.error(0, format!("the first line promises {} rows, but here is another", self.rows)));
        }
        if !self.lines.advance()? {
            return match self.promised {
                None => Ok(false),
                Some(promised) => Err(self
                    .lines
                    .error_at_end(format!("the first line promises {promised} rows, but the file ends after {}", self.rows))),
            };
        }
        if self.lines.line().is_empty() {
            let line = self.lines.error(0, "the row has no word");
            return match self.promised {
                None if self.lines.only_blank_lines_follow()? => Ok(false),
                _ => Err(line),
            };
        }
        self.rows += 1;
        Ok(true)
    }

    /// Where the word of this line ends. After it come the numbers, the last `dim` of the fields.
    fn word_end(&mut self) -> FileResult<usize> {
        let (lines, dim) = (&self.lines, self.info.dim);
        lines.fields(&mut self.fields);
        if lines.line().first().is_none_or(|&byte| is_separator(byte)) {
            return Err(lines.error(0, "the row has no word"));
        }
        let numbers = self.fields.len() - 1;
        let is_number = |&(start, end): &(usize, usize)| number::parse(&lines.line()[start..end]) != Err(false);
        if numbers == dim {
            return Ok(self.fields[0].1);
        }
        let wrong_count = |at| lines.error(at, format!("the row has {numbers} numbers, but rows have {dim}"));
        if numbers < dim {
            if let Some(&word) = self.fields[1..].iter().find(|field| !is_number(field)) {
                return lines.number(word).map(|_| 0);
            }
            return Err(wrong_count(lines.line().len()));
        }
        let more = numbers - dim;
        if self.dialect == Dialect::Glove && !self.fields[1..=more].iter().any(is_number) {
            return Ok(self.fields[more].1);
        }
        match self.fields[1..].iter().find(|field| !is_number(field)) {
            Some(&(start, end)) => {
                let shown = number::shown(&lines.line()[start..end]);
                Err(lines.error(start, format!("`{shown}` is no number, and a word of this format has no spaces")))
            }
            None => Err(wrong_count(self.fields[dim + 1].0)),
        }
    }

    /// Appends the row of this line, unless its word came before.
    fn append(&mut self, values: &mut Vec<f32>, words: &mut Vec<String>) -> FileResult<usize> {
        let end = self.word_end()?;
        let word = self.changes.decode(&self.lines.line()[..end], self.lossy).map_err(|at| self.lines.error(at, NOT_UTF8))?;
        let start = values.len();
        for &field in &self.fields[self.fields.len() - self.info.dim..] {
            values.push(self.lines.number(field)?);
        }
        if !self.seen.insert(&word) {
            values.truncate(start);
            self.changes.repeated(&word);
            return Ok(0);
        }
        let bytes = word.len();
        words.push(word);
        Ok(bytes + self.info.dim * size_of::<f32>())
    }
}

impl<R: BufRead> ReadRows for TextReader<R> {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        let mut values = block.take_memory();
        let mut words = std::mem::take(&mut block.words);
        let mut bytes = 0;
        while bytes < BLOCK_BYTES {
            if !self.next_row()? {
                self.changes.take_notes(&mut self.info.notes);
                break;
            }
            bytes += self.append(&mut values, &mut words)?;
        }
        let rows = words.len();
        *block = Block { values: Values::F32(values), words };
        Ok(rows)
    }

    fn progress(&self) -> Option<f64> {
        Some(self.lines.position() as f64 / self.bytes.max(1) as f64)
    }
}
