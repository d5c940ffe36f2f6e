//! The lines of a text.

use std::io::{BufRead, Read};

use super::number;
use super::source::cannot_read;
use crate::store::error::{FileError, FileResult, Place};

/// A longer line is refused, so that a file without line ends is not held in memory.
pub(super) const LONGEST_LINE: usize = 64 << 20;

/// A text, line by line. What follows a row's last number (spaces, a carriage return) belongs to no line.
pub(super) struct Lines<R> {
    source: R,
    name: String,
    /// The line's number, from 1.
    number: u64,
    bytes: Vec<u8>,
    /// The line is to be given once more.
    again: bool,
    /// Bytes read so far.
    read: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R, name: String) -> Lines<R> {
        Lines { source, name, number: 0, bytes: Vec::new(), again: false, read: 0 }
    }

    /// Goes to the next line; false at the end.
    pub(super) fn advance(&mut self) -> FileResult<bool> {
        if std::mem::take(&mut self.again) {
            return Ok(true);
        }
        self.bytes.clear();
        let longest = LONGEST_LINE as u64 + 1;
        let length = self.source.by_ref().take(longest).read_until(b'\n', &mut self.bytes).map_err(cannot_read(&self.name))?;
        if length == 0 {
            return Ok(false);
        }
        self.number += 1;
        self.read += length as u64;
        if self.bytes.len() > LONGEST_LINE {
            return Err(self.error(0, format!("the line is longer than {} MiB", LONGEST_LINE >> 20)));
        }
        if self.number == 1 && self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.bytes.drain(..3);
        }
        let end = self.bytes.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
        self.bytes.truncate(end);
        Ok(true)
    }

    /// The next line will be this one again.
    pub(super) fn hold(&mut self) {
        self.again = true;
    }

    /// The line.
    pub(super) fn line(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes have been read.
    pub(super) fn position(&self) -> u64 {
        self.read
    }

    /// Whether nothing but empty lines follows.
    pub(super) fn only_blank_lines_follow(&mut self) -> FileResult<bool> {
        while self.advance()? {
            if !self.bytes.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An error at a byte of this line.
    pub(super) fn error(&self, byte: usize, problem: impl Into<String>) -> FileError {
        let before = &self.bytes[..byte.min(self.bytes.len())];
        let column = String::from_utf8_lossy(before).chars().count() as u64 + 1;
        FileError::malformed(&self.name, Place::Line { line: self.number, column }, problem)
    }

    /// The error of a missing line, after the last one.
    pub(super) fn error_at_end(&self, problem: impl Into<String>) -> FileError {
        FileError::malformed(&self.name, Place::Line { line: self.number + 1, column: 1 }, problem)
    }

    /// The number that stands between two bytes of this line.
    pub(super) fn number(&self, field: (usize, usize)) -> FileResult<f32> {
        let word = &self.bytes[field.0..field.1];
        number::parse(word).map_err(|overflows| self.error(field.0, number::problem(word, overflows)))
    }

    /// Finds where the words of this line start and end.
    pub(super) fn fields(&self, fields: &mut Vec<(usize, usize)>) {
        fields.clear();
        let mut start = 0;
        for (at, &byte) in self.bytes.iter().enumerate() {
            if is_separator(byte) {
                if at > start {
                    fields.push((start, at));
                }
                start = at + 1;
            }
        }
        if self.bytes.len() > start {
            fields.push((start, self.bytes.len()));
        }
    }
}

/// What separates words: as in fastText, any number of spaces; some files have tabs.
pub(super) fn is_separator(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// What Python's `bytes.rstrip` takes away.
pub(super) fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}
