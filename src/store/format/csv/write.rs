//! Writing CSV and TSV.

use crate::element::lanes::AnySlice;
use crate::store::block::{Block, WriteRows};
use crate::store::error::{FileError, FileResult};
use crate::store::format::sink::Sink;
use crate::store::format::{NewRows, number, rows_of};

/// The writer of CSV and TSV. Rows with words get a first line `word,v1,v2,…`; rows without are nothing but numbers.
pub(in crate::store::format) struct CsvWriter<S> {
    sink: S,
    name: String,
    delimiter: u8,
    dim: usize,
    named: bool,
    rows: u64,
    text: Vec<u8>,
    field: String,
}

impl<S: Sink> CsvWriter<S> {
    pub(in crate::store::format) fn new(mut sink: S, name: &str, delimiter: u8, new: &NewRows) -> FileResult<CsvWriter<S>> {
        let mut text = Vec::new();
        if new.named {
            text.extend_from_slice(b"word");
            for column in 1..=new.dim {
                text.push(delimiter);
                text.extend_from_slice(format!("v{column}").as_bytes());
            }
            text.push(b'\n');
            sink.put(&text)?;
        }
        let (name, dim, named) = (name.to_owned(), new.dim, new.named);
        Ok(CsvWriter { sink, name, delimiter, dim, named, rows: 0, text, field: String::new() })
    }

    fn put<E: crate::Element>(&mut self, words: &[String], values: &[E]) -> FileResult<()> {
        for (row, values) in values.chunks_exact(self.dim).enumerate() {
            self.text.clear();
            if self.named {
                quote(&mut self.text, &words[row], self.delimiter);
                self.text.push(self.delimiter);
            }
            for (column, x) in values.iter().enumerate() {
                if column > 0 {
                    self.text.push(self.delimiter);
                }
                self.field.clear();
                number::append(&mut self.field, x.to_f32());
                self.text.extend_from_slice(self.field.as_bytes());
            }
            self.text.push(b'\n');
            self.sink.put(&self.text)?;
            self.rows += 1;
        }
        Ok(())
    }
}

/// Appends a field, in quotation marks where it needs them.
fn quote(text: &mut Vec<u8>, field: &str, delimiter: u8) {
    let plain = !field.bytes().any(|byte| byte == delimiter || matches!(byte, b'"' | b'\r' | b'\n'));
    if plain {
        text.extend_from_slice(field.as_bytes());
        return;
    }
    text.push(b'"');
    text.extend_from_slice(field.replace('"', "\"\"").as_bytes());
    text.push(b'"');
}

impl<S: Sink> WriteRows for CsvWriter<S> {
    fn write(&mut self, block: &Block) -> FileResult<()> {
        rows_of(block, self.dim, self.named, &self.name)?;
        match block.values.as_slice() {
            AnySlice::F32(values) => self.put(&block.words, values),
            AnySlice::F16(values) => self.put(&block.words, values),
            AnySlice::BF16(values) => self.put(&block.words, values),
        }
    }

    fn finish(self: Box<Self>) -> FileResult<u64> {
        if self.rows == 0 && !self.named {
            return Err(FileError::unsupported(self.name, "this format cannot hold a table without rows"));
        }
        self.sink.commit()?;
        Ok(self.rows)
    }
}
