//! The files in an archive.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use crate::store::error::{FileError, FileResult, Place};
use crate::store::format::number::harmless;

/// Where a file of the archive is, and how it is stored.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its name without `.npy`.
    pub(super) name: String,
    /// Bytes of its contents, as the archive says. More are never read.
    pub(super) bytes: u64,
    at: u64,
    stored_bytes: u64,
    deflated: bool,
    pub(super) crc32: u32,
}

/// An archive whose files can be read at the same time.
pub(super) struct Archive<R> {
    source: Arc<Mutex<R>>,
    pub(super) entries: Vec<Entry>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory. What is no array is left out.
    pub(super) fn open(mut source: R, name: &str) -> FileResult<Archive<R>> {
        let mut entries = Vec::new();
        {
            let fail = |error: zip::result::ZipError| match error {
                zip::result::ZipError::Io(error) => super::super::source::cannot_read(name)(error),
                error => FileError::malformed(
                    name,
                    Place::Whole,
                    format!("the zip archive is damaged: {}", harmless(&error.to_string())),
                ),
            };
            let mut archive = ZipArchive::new(&mut source).map_err(fail)?;
            for index in 0..archive.len() {
                let file = archive.by_index_raw(index).map_err(fail)?;
                let full_name = file.name().map_err(fail)?.into_owned();
                let Some(array) = full_name.strip_suffix(".npy") else { continue };
                let unsupported = |what: &str| Err(FileError::unsupported(name, format!("`{}.npy` is {what}", harmless(array))));
                let deflated = match file.compression() {
                    CompressionMethod::Stored => false,
                    CompressionMethod::Deflated => true,
                    _ => return unsupported("compressed by a method other than deflate, the one that NumPy has"),
                };
                if file.encrypted() {
                    return unsupported("encrypted");
                }
                let Some(at) = file.data_start() else { return unsupported("not found in the archive") };
                let (name, bytes, stored_bytes) = (array.to_owned(), file.size(), file.compressed_size());
                entries.push(Entry { name, bytes, at, stored_bytes, deflated, crc32: file.crc32() });
            }
        }
        Ok(Archive { source: Arc::new(Mutex::new(source)), entries })
    }

    /// The contents of a file of the archive.
    pub(super) fn contents(&self, entry: &Entry) -> Contents<R> {
        let part = BufReader::with_capacity(64 << 10, Part { source: self.source.clone(), at: entry.at, left: entry.stored_bytes });
        let inner = if entry.deflated { Inner::Deflated(DeflateDecoder::new(part)) } else { Inner::Stored(part) };
        Contents { inner, left: entry.bytes, crc32: crc32fast::Hasher::new(), expected: entry.crc32, name: entry.name.clone() }
    }
}

/// A stretch of the archive.
struct Part<R> {
    source: Arc<Mutex<R>>,
    at: u64,
    left: u64,
}

impl<R: Read + Seek> Read for Part<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.seek(SeekFrom::Start(self.at))?;
        let read = source.read(&mut buffer[..want])?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

enum Inner<R: Read + Seek> {
    Stored(BufReader<Part<R>>),
    Deflated(DeflateDecoder<BufReader<Part<R>>>),
}

/// The contents of a file of the archive, as many bytes as the directory says.
pub(super) struct Contents<R: Read + Seek> {
    inner: Inner<R>,
    left: u64,
    crc32: crc32fast::Hasher,
    expected: u32,
    name: String,
}

impl<R: Read + Seek> Contents<R> {
    /// Reads what is left and compares the checksum.
    pub(super) fn verify(&mut self, path: &str) -> FileResult<()> {
        io::copy(self, &mut io::sink()).map_err(super::super::source::cannot_read(path))?;
        let found = self.crc32.clone().finalize();
        if self.left == 0 && found == self.expected {
            return Ok(());
        }
        let what = format!("`{}.npy`", harmless(&self.name));
        Err(FileError::Checksum { path: path.to_owned(), what, expected: self.expected, found })
    }
}

impl<R: Read + Seek> Read for Contents<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = match &mut self.inner {
            Inner::Stored(part) => part.read(&mut buffer[..want])?,
            Inner::Deflated(part) => part.read(&mut buffer[..want])?,
        };
        self.left -= read as u64;
        self.crc32.update(&buffer[..read]);
        Ok(read)
    }
}
