//! Bytes to be read, at any place and from several threads.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{FileError, FileResult, Place};
use crate::error::Error;

/// Fills memory with the bytes at a place.
pub(crate) trait ReadAt: fmt::Debug + Send + Sync {
    /// All of them, or an error: [`io::ErrorKind::UnexpectedEof`] when there are fewer.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// The file, if it is one.
    fn file(&self) -> Option<&File> {
        None
    }
}

impl ReadAt for File {
    fn file(&self) -> Option<&File> {
        Some(self)
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, into, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, into, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    offset += read as u64;
                    into = &mut into[read..];
                }
            }
        }
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let bytes = from.and_then(|from| self.get(from..)?.get(..into.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

/// A file, or bytes with a name, and how many there are.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    len: u64,
    bytes: Box<dyn ReadAt>,
}

impl Source {
    /// A file that is there.
    pub(crate) fn open(path: &Path) -> FileResult<Source> {
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        let (file, metadata) = open().map_err(|error| FileError::io(path, "open the file", &error))?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "a folder" } else { "no regular file" };
            return Err(FileError::unsupported(path.display().to_string(), format!("it is {what}")));
        }
        Ok(Source { path: path.to_owned(), len: metadata.len(), bytes: Box::new(file) })
    }

    /// Bytes in memory.
    pub(crate) fn memory(name: impl Into<PathBuf>, bytes: Vec<u8>) -> Source {
        Source::of(name, bytes.len() as u64, bytes)
    }

    /// `len` bytes of anything.
    pub(crate) fn of(name: impl Into<PathBuf>, len: u64, bytes: impl ReadAt + 'static) -> Source {
        Source { path: name.into(), len, bytes: Box::new(bytes) }
    }

    /// How many bytes there were when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The file itself, if it is one: the one that was opened, whatever has taken its name since.
    pub(crate) fn file(&self) -> Option<&File> {
        self.bytes.file()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path, for errors.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Fills memory with the bytes at a place.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> FileResult<()> {
        self.bytes.read_at(offset, into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.malformed(Place::Byte(offset), "the file has become shorter while it was read"),
            _ => FileError::io(&self.path, "read the file", &error),
        })
    }

    /// `bytes` bytes, which the file was found to have. Memory that is not there is an error.
    pub(crate) fn read_vec(&self, offset: u64, bytes: u64) -> FileResult<Vec<u8>> {
        debug_assert!(offset.checked_add(bytes).is_some_and(|end| end <= self.len));
        let mut values = Vec::new();
        let len = usize::try_from(bytes).unwrap_or(usize::MAX);
        values.try_reserve_exact(len).map_err(|_| self.no_memory(len))?;
        values.resize(len, 0);
        self.read(offset, &mut values)?;
        Ok(values)
    }

    pub(crate) fn no_memory(&self, bytes: usize) -> FileError {
        FileError::engine(self.name(), Error::OutOfMemory { bytes })
    }

    pub(crate) fn malformed(&self, place: Place, problem: impl Into<String>) -> FileError {
        FileError::malformed(self.name(), place, problem)
    }

    pub(crate) fn unsupported(&self, problem: impl Into<String>) -> FileError {
        FileError::unsupported(self.name(), problem)
    }
}
