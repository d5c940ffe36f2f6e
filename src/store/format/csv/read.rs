//! Reading CSV and TSV.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder};

use crate::element::DType;
use crate::store::block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, Values};
use crate::store::error::{FileError, FileResult, Place};
use crate::store::format::lines::LONGEST_LINE;
use crate::store::format::number;
use crate::store::format::words::{Changes, NOT_UTF8};

/// Names of a first column that has words, or none.
const NAMES_OF_WORDS: [&str; 14] =
    ["", "word", "words", "token", "tokens", "id", "ids", "name", "key", "label", "item", "user", "title", "index"];

/// The reader of CSV and TSV, with quotation marks as RFC 4180 has them, LF or CRLF.
///
/// A first line in which any field but the first is no number is a line of names; so is a single field that is none. The first column has words if its
/// name is one of `word`, `token`, `id`, `name` and the like, or nothing, or if the first field below it is no number.
/// Words may repeat.
pub(in crate::store::format) struct CsvReader<R> {
    records: csv::Reader<Limited<R>>,
    limit: Rc<Cell<usize>>,
    name: String,
    delimiter: u8,
    info: RowsInfo,
    record: ByteRecord,
    /// The record is a row that is still to be given.
    held: bool,
    bytes: u64,
    lossy: bool,
    changes: Changes,
}

/// Refuses to read more than a line may have, so that a quotation mark without its other does not take the whole file for a field.
struct Limited<R> {
    source: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            let problem = format!("a row is longer than {} MiB; perhaps a quotation mark has no other", LONGEST_LINE >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let read = self.source.read(buffer)?;
        self.left.set(self.left.get().saturating_sub(read));
        Ok(read)
    }
}

impl<R: Read + Seek> CsvReader<R> {
    /// Reads the first lines. `bytes` is the length of the file.
    pub(in crate::store::format) fn new(source: R, name: &str, bytes: u64, delimiter: u8, lossy: bool) -> FileResult<CsvReader<R>> {
        let limit = Rc::new(Cell::new(LONGEST_LINE));
        let source = Limited { source, left: limit.clone() };
        let records = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(source);
        let info = RowsInfo { rows: None, dim: 0, dtype: DType::F32, named: false, notes: Vec::new() };
        let (record, changes) = (ByteRecord::new(), Changes::default());
        let mut reader =
            CsvReader { records, limit, name: name.to_owned(), delimiter, info, record, held: false, bytes, lossy, changes };
        if !reader.advance()? {
            return Err(FileError::malformed(name, Place::Line { line: 1, column: 1 }, "the file is empty"));
        }
        let is_number = |field: &[u8]| parse(field) != Err(false);
        let fields = reader.record.len();
        let names = reader.record.iter().skip(usize::from(fields > 1)).any(|field| !is_number(field));
        let mut named_words = false;
        if names {
            let first = String::from_utf8_lossy(&reader.record[0]).trim().to_ascii_lowercase();
            named_words = fields > 1 && NAMES_OF_WORDS.contains(&first.as_str());
            if !reader.advance()? {
                reader.record = ByteRecord::new();
            }
        }
        reader.info.named = named_words || fields > 1 && reader.record.get(0).is_some_and(|field| !is_number(field));
        reader.info.dim = fields - usize::from(reader.info.named);
        reader.held = !reader.record.is_empty();
        Ok(reader)
    }

    /// Goes to the next record; false at the end.
    fn advance(&mut self) -> FileResult<bool> {
        if std::mem::take(&mut self.held) {
            return Ok(true);
        }
        self.limit.set(LONGEST_LINE);
        self.records.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                let line = self.records.position().line();
                FileError::malformed(&self.name, Place::Line { line, column: 1 }, error.to_string())
            }
            csv::ErrorKind::Io(error) => FileError::io(std::path::Path::new(&self.name), "read the file", &error),
            other => FileError::malformed(&self.name, Place::Whole, format!("{other:?}")),
        })
    }

    /// An error in a field of this record, `skip` bytes into it. The record is read once more, to find out where it stands.
    fn error(&mut self, field: usize, skip: usize, problem: impl Into<String>) -> FileError {
        let position = self.record.position().cloned().unwrap_or_else(csv::Position::new);
        let mut raw = Vec::new();
        self.limit.set(LONGEST_LINE);
        let source = &mut self.records.get_mut().source;
        // If that fails, the start of the record has to do.
        let _ = source.seek(SeekFrom::Start(position.byte())).and_then(|_| source.take(LONGEST_LINE as u64).read_to_end(&mut raw));
        let place = place_of(&raw, position.line(), self.delimiter, field, skip);
        FileError::malformed(&self.name, place, problem)
    }

    fn append(&mut self, values: &mut Vec<f32>, words: &mut Vec<String>) -> FileResult<usize> {
        let named = usize::from(self.info.named);
        let fields = self.info.dim + named;
        if self.record.len() != fields {
            let problem = format!("the row has {} fields, but rows have {fields}", self.record.len());
            return Err(self.error(self.record.len().min(fields), 0, problem));
        }
        let mut bytes = 0;
        if self.info.named {
            let word = match self.changes.decode(&self.record[0], self.lossy) {
                Ok(word) => word,
                Err(at) => return Err(self.error(0, at, NOT_UTF8)),
            };
            bytes += word.len();
            words.push(word);
        }
        for field in named..fields {
            match parse(&self.record[field]) {
                Ok(number) => values.push(number),
                Err(overflows) => {
                    let found = &self.record[field];
                    let mut problem =
                        if found.is_empty() { "the field is empty".to_owned() } else { number::problem(found, overflows) };
                    if field == 0 {
                        problem += "; for a first column of words, name it `word` in the first line";
                    }
                    return Err(self.error(field, 0, problem));
                }
            }
        }
        Ok(bytes + self.info.dim * size_of::<f32>())
    }
}

/// A number with spaces around it.
fn parse(field: &[u8]) -> Result<f32, bool> {
    number::parse(field.trim_ascii())
}

/// Where a field stands in the text of a record: `skip` bytes behind its first, which follows its quotation mark.
fn place_of(raw: &[u8], line: u64, delimiter: u8, field: usize, skip: usize) -> Place {
    let (mut at, mut fields, mut quoted, mut started) = (0, 0, false, false);
    // Line ends before the record belong to none.
    while raw.get(at).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        at += 1;
    }
    while at < raw.len() && fields < field {
        match raw[at] {
            b'"' if quoted => quoted = false,
            b'"' if !started => (quoted, started) = (true, true),
            byte if byte == delimiter && !quoted => (fields, started) = (fields + 1, false),
            b'\r' | b'\n' if !quoted => break,
            b'"' => quoted = true,
            _ => started = true,
        }
        at += 1;
    }
    if fields == field && raw.get(at) == Some(&b'"') {
        at += usize::from(skip > 0);
    }
    let before = &raw[..raw.len().min(at + skip)];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = before.iter().filter(|byte| **byte == b'\n').count() as u64;
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() as u64 + 1;
    Place::Line { line: line + lines, column }
}

impl<R: Read + Seek> ReadRows for CsvReader<R> {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        let mut values = block.take_memory();
        let mut bytes = 0;
        while bytes < BLOCK_BYTES {
            if !self.advance()? {
                self.changes.take_notes(&mut self.info.notes);
                break;
            }
            bytes += self.append(&mut values, &mut block.words)?;
        }
        let rows = values.len() / self.info.dim;
        block.values = Values::F32(values);
        Ok(rows)
    }

    fn progress(&self) -> Option<f64> {
        Some(self.records.position().byte() as f64 / self.bytes.max(1) as f64)
    }
}
