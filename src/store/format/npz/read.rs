//! Reading archives of arrays.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::entry::{Archive, Contents, Entry};
use super::words::WordsReader;
use crate::store::block::{BLOCK_BYTES, Block, ReadRows, RowsInfo};
use crate::store::error::{FileError, FileResult};
use crate::store::format::npy::{Descr, Header, NpyReader, Progress, ends_early, info, numbers};
use crate::store::format::number::harmless;
use crate::store::format::source::cannot_read;

/// The reader of `.npz`. Contents are unpacked as they are read, never more of them than the archive says, and their checksums compared.
pub(in crate::store::format) struct NpzReader<R: Read + Seek> {
    name: String,
    info: RowsInfo,
    rows: Rows<R>,
    words: Option<WordsReader<R>>,
}

enum Rows<R: Read + Seek> {
    /// Row by row.
    Forward(Box<Contents<R>>, Progress),
    /// Unpacked into a temporary file, since they stand by columns.
    Spooled(Box<NpyReader<BufReader<File>>>, u64),
    Done,
}

impl<R: Read + Seek> NpzReader<R> {
    /// Reads the directory and the headers of all arrays.
    pub(in crate::store::format) fn new(source: R, path: &str, table: Option<&str>) -> FileResult<NpzReader<R>> {
        let archive = Archive::open(source, path)?;
        let mut headers = Vec::with_capacity(archive.entries.len());
        for entry in &archive.entries {
            headers.push(Header::read(&mut archive.contents(entry), &inside(path, entry)));
        }
        let chosen = choose(&archive.entries, &headers, path, table)?;
        let entry = archive.entries[chosen].clone();
        let name = inside(path, &entry);
        let header = headers[chosen].clone()?;
        let mut info = info(&header, &name, entry.bytes)?;
        let (number, count, dim) = numbers(&header, &name)?;
        let words = match choose_words(&archive.entries, &headers, count) {
            Words::None => None,
            Words::Unclear(names) => {
                info.notes
                    .push(format!("the arrays {} could all be the words of the rows, so none of them is taken", names.join(", ")));
                None
            }
            Words::At(index) => {
                let entry = &archive.entries[index];
                let mut contents = archive.contents(entry);
                let header = Header::read(&mut contents, &inside(path, entry))?;
                Some(WordsReader::new(contents, header, entry.bytes, inside(path, entry))?)
            }
        };
        info.named = words.is_some();
        let mut contents = archive.contents(&entry);
        let rows = if header.fortran_order {
            let file = tempfile::tempfile().and_then(|mut file| {
                io::copy(&mut contents, &mut file)?;
                file.seek(SeekFrom::Start(0))?;
                Ok(file)
            });
            let file = file.map_err(cannot_read(&name))?;
            contents.verify(path)?;
            Rows::Spooled(Box::new(NpyReader::new(BufReader::new(file), &name, entry.bytes)?), count)
        } else {
            Header::read(&mut contents, &name)?;
            Rows::Forward(Box::new(contents), Progress::new(number, count, dim))
        };
        Ok(NpzReader { name: path.to_owned(), info, rows, words })
    }

    fn read_words(&mut self, rows: u64, block: &mut Block) -> FileResult<u64> {
        let Some(words) = &mut self.words else { return Ok(rows) };
        let mut bytes = 0;
        while (block.words.len() as u64) < rows && bytes < BLOCK_BYTES {
            let word = words.read()?;
            bytes += word.len();
            block.words.push(word);
        }
        Ok(block.words.len() as u64)
    }
}

impl<R: Read + Seek> ReadRows for NpzReader<R> {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        block.restart(self.info.dtype);
        let rows = match &mut self.rows {
            Rows::Done => 0,
            Rows::Forward(_, progress) => progress.next_rows(),
            Rows::Spooled(reader, left) => {
                let rows = reader.read(block)? as u64;
                *left -= rows;
                rows
            }
        };
        if rows == 0 {
            if let Rows::Forward(contents, _) = &mut self.rows {
                contents.verify(&self.name)?;
            }
            if let Some(words) = &mut self.words {
                words.verify(&self.name)?;
            }
            self.rows = Rows::Done;
            return Ok(0);
        }
        if let Rows::Spooled(..) = self.rows {
            if let Some(words) = &mut self.words {
                for _ in 0..rows {
                    block.words.push(words.read()?);
                }
            }
            return Ok(rows as usize);
        }
        let rows = self.read_words(rows, block)?;
        let read = match &mut self.rows {
            Rows::Forward(contents, progress) => {
                progress.read(contents, rows, &mut block.values).map_err(cannot_read(&self.name))?
            }
            _ => true,
        };
        if read { Ok(rows as usize) } else { Err(ends_early(&self.name)) }
    }

    fn progress(&self) -> Option<f64> {
        match &self.rows {
            Rows::Forward(_, progress) => Some(progress.part()),
            Rows::Spooled(reader, _) => reader.progress(),
            Rows::Done => Some(1.0),
        }
    }
}

/// The name of an array for errors.
pub(super) fn inside(path: &str, entry: &Entry) -> String {
    format!("{path}: {}.npy", harmless(&entry.name))
}

/// The array that has the rows.
fn choose(entries: &[Entry], headers: &[FileResult<Header>], path: &str, table: Option<&str>) -> FileResult<usize> {
    let names = || {
        let names: Vec<String> = entries.iter().take(20).map(|entry| format!("`{}`", harmless(&entry.name))).collect();
        if names.is_empty() { "no arrays".to_owned() } else { names.join(", ") }
    };
    if let Some(table) = table {
        let found = entries.iter().position(|entry| entry.name == table);
        return found.ok_or_else(|| {
            FileError::unsupported(path, format!("there is no array `{}`; there are {}", harmless(table), names()))
        });
    }
    let is_table = |header: &FileResult<Header>| {
        header.as_ref().is_ok_and(|header| header.shape.len() == 2 && matches!(header.descr, Descr::Number(_)))
    };
    let mut tables = (0..entries.len()).filter(|&index| is_table(&headers[index]));
    match (tables.next(), tables.next()) {
        (Some(table), None) => Ok(table),
        (Some(_), Some(_)) => {
            Err(FileError::unsupported(path, format!("several arrays could be the table, so choose one by its name: {}", names())))
        }
        (None, _) => {
            // The first error tells more than that there is no table.
            if let Some(Err(error)) = headers.iter().find(|header| header.is_err()) {
                return Err(error.clone());
            }
            Err(FileError::unsupported(path, format!("there is no array of numbers with two dimensions; there are {}", names())))
        }
    }
}

enum Words {
    None,
    At(usize),
    Unclear(Vec<String>),
}

/// The array of texts with one for each row: `words`, or the only one.
fn choose_words(entries: &[Entry], headers: &[FileResult<Header>], rows: u64) -> Words {
    let fits = |header: &FileResult<Header>| {
        header.as_ref().is_ok_and(|header| !matches!(header.descr, Descr::Number(_)) && header.shape == [rows as usize])
    };
    let candidates: Vec<usize> = (0..entries.len()).filter(|&index| fits(&headers[index])).collect();
    match candidates[..] {
        [] => Words::None,
        [only] => Words::At(only),
        _ => match candidates.iter().find(|&&index| entries[index].name == "words") {
            Some(&words) => Words::At(words),
            None => Words::Unclear(candidates.iter().map(|&index| format!("`{}`", harmless(&entries[index].name))).collect()),
        },
    }
}
