//! What the writers write to.

use std::io::{self, Write};
use std::path::Path;

use crate::store::atomic::Target;
use crate::store::error::{FileError, FileResult};

/// A file in the making: bytes one after the other, and corrections of what is known only at the end.
pub(super) trait Sink: Write {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]) -> FileResult<()>;
    /// Overwrites bytes that were written before.
    fn patch(&mut self, at: u64, bytes: &[u8]) -> FileResult<()>;
    /// What a failed write means.
    fn failure(&self, error: &io::Error) -> FileError;
    /// Puts the file in place.
    fn commit(self) -> FileResult<()>
    where
        Self: Sized;
}

impl Sink for Target {
    fn put(&mut self, bytes: &[u8]) -> FileResult<()> {
        Target::put(self, bytes)
    }

    fn patch(&mut self, at: u64, bytes: &[u8]) -> FileResult<()> {
        // What is to be overwritten may still be in the buffer.
        self.flush().map_err(|error| Target::failure(self, &error))?;
        self.write_at(at, bytes)
    }

    fn failure(&self, error: &io::Error) -> FileError {
        Target::failure(self, error)
    }

    fn commit(self) -> FileResult<()> {
        Target::commit(self)
    }
}

/// A file in memory.
impl Sink for &mut Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> FileResult<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn patch(&mut self, at: u64, bytes: &[u8]) -> FileResult<()> {
        let at = at as usize;
        self[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn failure(&self, error: &io::Error) -> FileError {
        FileError::io(Path::new("memory"), "write the file", error)
    }

    fn commit(self) -> FileResult<()> {
        Ok(())
    }
}
