//! The header: a Python dictionary with three keys.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::element::Descr;
use crate::store::error::{FileError, FileResult, Place};
use crate::store::format::number::shown;
use crate::store::format::source::{cannot_read, fill};
use crate::store::stored::Stored;

/// A longer header is refused. NumPy itself refuses more than 10,000 bytes.
const LONGEST: usize = 64 << 10;

/// What a `.npy` says before its values.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Header {
    pub(in crate::store) descr: Descr,
    /// Values stand by columns, not by rows.
    pub(in crate::store) fortran_order: bool,
    pub(in crate::store) shape: Vec<usize>,
    /// Where the values begin.
    pub(in crate::store) data: u64,
}

impl Header {
    /// Reads a header of version 1, 2 or 3.
    pub(in crate::store) fn read(source: &mut impl Read, name: &str) -> FileResult<Header> {
        let fail = |at: usize, problem: &str| FileError::malformed(name, Place::Byte(at as u64), problem);
        let mut start = [0; 12];
        if fill(source, &mut start[..8]).map_err(cannot_read(name))? < 8 || !start.starts_with(b"\x93NUMPY") {
            return Err(fail(0, "this is no npy file: it does not start with `\\x93NUMPY`"));
        }
        let size = match start[6] {
            1 => 2,
            2 | 3 => 4,
            _ => return Err(fail(6, "versions 1, 2 and 3 of the format can be read")),
        };
        if fill(source, &mut start[8..8 + size]).map_err(cannot_read(name))? < size {
            return Err(fail(8, "the file ends in its header"));
        }
        let length = u32::from_le_bytes([start[8], start[9], start[10], start[11]]) as usize;
        if length > LONGEST {
            return Err(fail(8, &format!("the header is said to have {length} bytes; {LONGEST} are the most")));
        }
        let mut header = vec![0; length];
        if fill(source, &mut header).map_err(cannot_read(name))? < length {
            return Err(fail(8, "the file ends in its header"));
        }
        let first = 8 + size;
        let text = std::str::from_utf8(&header).map_err(|error| fail(first + error.valid_up_to(), "the header is not UTF-8"))?;
        let mut parser = Parser { text, at: 0 };
        let (descr, fortran_order, shape) = parser.dictionary().map_err(|problem| fail(first + parser.at, &problem))?;
        let descr = Descr::parse(&descr).map_err(|problem| FileError::unsupported(name, problem))?;
        Ok(Header { descr, fortran_order, shape, data: (first + length) as u64 })
    }

    /// The type and shape of rows of numbers that lie one after the other, as a table's do; `None` of any other array.
    pub(in crate::store) fn rows(&self) -> Option<(Stored, [usize; 2])> {
        match self.descr {
            Descr::Number(number) if !self.fortran_order && (!number.big || number.size == 1) => {
                Some((number.stored(), self.shape[..].try_into().ok()?))
            }
            _ => None,
        }
    }

    /// How many bytes the values take, if that is a number.
    pub(in crate::store) fn bytes(&self) -> Option<u64> {
        let values = self.shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n as u64))?;
        values.checked_mul(self.descr.size()? as u64)
    }
}

/// The header of a file, and whether the file has as many bytes as it says.
pub(in crate::store) fn read_header(path: &Path) -> FileResult<Header> {
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(|error| FileError::io(path, "open the file", &error))?;
    let header = Header::read(&mut file, &name)?;
    let there = file.metadata().map_err(cannot_read(&name))?.len().saturating_sub(header.data);
    if header.bytes() != Some(there) {
        let needed = header.bytes().map_or("more than 2^64".to_owned(), |needed| needed.to_string());
        let problem = format!("values of the shape {:?} take {needed} bytes, but {there} follow the header", header.shape);
        return Err(FileError::malformed(name, Place::Byte(header.data), problem));
    }
    Ok(header)
}

/// A parser of the part of Python's literals that `numpy.save` writes.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Takes a word, if it is next.
    fn take(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let is_next = self.rest().starts_with(word);
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(format!("the header is no dictionary as NumPy writes it: `{word}` is missing")) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        self.skip_blanks();
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            let problem = match self.rest().starts_with('[') {
                true => "its values are records with fields; one number each can be read",
                false => "a text in quotation marks is missing",
            };
            return Err(problem.to_owned());
        };
        let inner = &self.rest()[1..];
        match inner.find(['\'', '"', '\\', '\n']) {
            Some(end) if inner[end..].starts_with(quote) => {
                self.at += end + 2;
                Ok(&inner[..end])
            }
            _ => Err("a text without an end, or with what stands in none".to_owned()),
        }
    }

    fn truth(&mut self) -> Result<bool, String> {
        if self.take("True") {
            return Ok(true);
        }
        self.expect("False").map(|()| false)
    }

    fn number(&mut self) -> Result<usize, String> {
        self.skip_blanks();
        let rest = self.rest();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = rest[..digits].parse().map_err(|_| "a length of the shape is no number that fits".to_owned())?;
        self.at += digits;
        // Python 2 wrote an L after long numbers.
        if self.rest().starts_with('L') {
            self.at += 1;
        }
        Ok(number)
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect("(")?;
        let mut shape = Vec::new();
        while !self.take(")") {
            if shape.len() == 64 {
                return Err("the shape has more than 64 dimensions".to_owned());
            }
            shape.push(self.number()?);
            if !self.take(",") {
                self.expect(")")?;
                if shape.len() == 1 {
                    return Err("the shape is a number in parentheses, which is no tuple".to_owned());
                }
                break;
            }
        }
        Ok(shape)
    }

    fn dictionary(&mut self) -> Result<(String, bool, Vec<usize>), String> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.take("}") {
            let key = self.string()?;
            self.expect(":")?;
            let again = match key {
                "descr" => descr.replace(self.string()?.to_owned()).is_some(),
                "fortran_order" => order.replace(self.truth()?).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                _ => return Err(format!("the key `{}` is not known", shown(key.as_bytes()))),
            };
            if again {
                return Err(format!("the key `{key}` is there twice"));
            }
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        self.skip_blanks();
        if !self.rest().is_empty() {
            return Err("something follows the dictionary".to_owned());
        }
        let missing = |key| format!("the key `{key}` is missing");
        let descr = descr.ok_or_else(|| missing("descr"))?;
        let order = order.ok_or_else(|| missing("fortran_order"))?;
        Ok((descr, order, shape.ok_or_else(|| missing("shape"))?))
    }
}
