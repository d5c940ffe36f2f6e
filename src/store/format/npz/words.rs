//! Arrays of texts.

use std::io::{Read, Seek};

use super::entry::Contents;
use crate::store::error::{FileError, FileResult, Place};
use crate::store::format::npy::{Descr, Header};
use crate::store::format::source::{cannot_read, fill};

/// Texts of more characters are refused, since every text of an array takes the room of the longest.
pub(super) const LONGEST: usize = 64 << 10;

/// An array of texts, read one after the other.
pub(super) struct WordsReader<R: Read + Seek> {
    contents: Contents<R>,
    name: String,
    header: Header,
    text: Vec<u8>,
    next: u64,
}

impl<R: Read + Seek> WordsReader<R> {
    /// Reads texts from contents whose header was read. `bytes` is the length of the array's file.
    pub(super) fn new(contents: Contents<R>, header: Header, bytes: u64, name: String) -> FileResult<WordsReader<R>> {
        let size = match header.descr {
            Descr::Text { chars, .. } if chars <= LONGEST => chars * 4,
            Descr::Bytes(bytes) if bytes <= LONGEST => bytes,
            _ => return Err(FileError::unsupported(name, format!("words of more than {LONGEST} characters cannot be read"))),
        };
        if header.bytes() != Some(bytes.saturating_sub(header.data)) {
            return Err(FileError::malformed(
                name,
                Place::Whole,
                "the array of words does not have the length that its header says",
            ));
        }
        Ok(WordsReader { contents, name, header, text: vec![0; size], next: 0 })
    }

    /// The next text.
    pub(super) fn read(&mut self) -> FileResult<String> {
        if fill(&mut self.contents, &mut self.text).map_err(cannot_read(&self.name))? < self.text.len() {
            return Err(self.error("the words end before the rows do"));
        }
        let word = match self.header.descr {
            Descr::Text { big, .. } => {
                characters(&self.text, big).ok_or_else(|| self.error("a character of the word is none in Unicode"))?
            }
            _ => {
                let end = self.text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                std::str::from_utf8(&self.text[..end]).map_err(|_| self.error("the word is not UTF-8"))?.to_owned()
            }
        };
        self.next += 1;
        Ok(word)
    }

    /// After the last text. `path` is the archive's.
    pub(super) fn verify(&mut self, path: &str) -> FileResult<()> {
        self.contents.verify(path)
    }

    fn error(&self, problem: &str) -> FileError {
        FileError::malformed(&self.name, Place::Whole, format!("row {}: {problem}", self.next))
    }
}

/// The characters of a text, without the zeros that fill it up.
fn characters(text: &[u8], big: bool) -> Option<String> {
    let code = |x: &[u8]| {
        let x = [x[0], x[1], x[2], x[3]];
        if big { u32::from_be_bytes(x) } else { u32::from_le_bytes(x) }
    };
    let end = text.chunks_exact(4).rposition(|x| x != [0; 4]).map_or(0, |last| last + 1);
    text[..end * 4].chunks_exact(4).map(|x| char::from_u32(code(x))).collect()
}
