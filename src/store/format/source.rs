//! Reading no more than there is.

use std::io::{self, Read};
use std::path::Path;

use crate::store::error::FileError;

/// The system's answer to a read, with the file's name.
pub(super) fn cannot_read(name: &str) -> impl Fn(io::Error) -> FileError + '_ {
    move |error| FileError::io(Path::new(name), "read the file", &error)
}

/// How much is read at once where the length comes from the file.
const PIECE: usize = 64 << 10;

/// Reads as many bytes as there are up to `count`, and hands them over in pieces whose lengths are multiples of `unit`, which divides
/// `count` and is at most 8. Memory is bounded by a piece, whatever the count. Returns how many bytes there were.
pub(super) fn pieces(source: &mut impl Read, count: u64, unit: usize, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut piece = [0; PIECE];
    let mut read = 0;
    while read < count {
        let want = (count - read).min(PIECE as u64) as usize;
        let got = fill(source, &mut piece[..want])?;
        take(&piece[..got - got % unit]);
        read += got as u64;
        if got < want {
            break;
        }
    }
    Ok(read)
}

/// Reads until the buffer is full or the source ends; returns how many bytes were read.
pub(super) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
