//! Tables that stay in their file and are read through the system's page cache.
#![allow(unsafe_code)]

use std::io;
use std::path::PathBuf;

use bytemuck::Pod;
use memmap2::{Mmap, MmapOptions};

use super::error::{FileError, FileResult};
use super::safetensors::{TensorInfo, check_at};
use super::source::Source;
use super::transfer::{Pieces, Progress};
use crate::element::{DType, Element};
use crate::par::{self, Parallelism};
use crate::table::{AnyView, TableView};
use crate::{bf16, f16};

/// What one task touches or hashes.
const PIECE_BYTES: usize = 1 << 20;

/// What helps when mapping does not.
pub(super) const ONLY_READ: &str = "reading the table works, mapping it does not";

/// How the pages of a mapped table will be used. It is advice: a system may do nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Rows here and there: neighbouring pages need not be read ahead. For lookups in a table that is larger than memory.
    Random,
    /// From front to back: pages are read ahead, and may be dropped soon after. For a search through the whole table.
    Sequential,
    /// Soon: the system begins to read all pages.
    WillNeed,
    /// On huge pages, where the file system and the kernel have them for files.
    HugePages,
}

/// A table in a file, mapped into memory: it opens at once whatever its size, costs no memory but the system's cache, and is shared by all
/// processes that map it. Every operation works on its [`view`](Mapped::view), without a copy.
///
/// # What is trusted
/// That nobody writes into the file or truncates it while it is mapped. Reading a page of a part that was cut off ends the process, and
/// what is written shows in the table. A file that is *replaced*, as everything that this library writes is, does no harm: the mapping
/// keeps the old one. The values are not looked at when the file is mapped; [`verify`](Mapped::verify) does that.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    tensor: TensorInfo,
    rows: usize,
    dim: usize,
    dtype: DType,
    /// Of the tensor's bytes alone; `None` when there are none.
    map: Option<Mmap>,
}

impl Mapped {
    /// Maps a tensor that the file was found to have. Its shape is `[rows, dim]`.
    pub(crate) fn new(source: &Source, tensor: TensorInfo, [rows, dim]: [usize; 2]) -> FileResult<Mapped> {
        let refuse = |problem: String| source.unsupported(format!("{problem}; {ONLY_READ}"));
        let Some(dtype) = tensor.dtype.dtype() else {
            return Err(refuse(format!("the table is of {} values, which have to be converted", tensor.dtype)));
        };
        if cfg!(target_endian = "big") {
            return Err(refuse("the numbers of files have their bytes in another order than this machine's".to_owned()));
        }
        let size = dtype.size() as u64;
        if !tensor.offset.is_multiple_of(size) {
            let problem =
                format!("the table begins at byte {}, which is no multiple of the {size} bytes of a value", tensor.offset);
            return Err(refuse(problem));
        }
        let map = if tensor.bytes == 0 { None } else { Some(map(source, &tensor)?) };
        let mapped = Mapped { path: source.path().to_owned(), tensor, rows, dim, dtype, map };
        mapped.checked().map_err(|error| FileError::engine(source.name(), error))?;
        Ok(mapped)
    }

    /// The table.
    pub fn view(&self) -> AnyView<'_> {
        // The same view was made when the file was mapped, and nothing of it has changed.
        self.checked().unwrap_or_else(|_| unreachable!("checked when the file was mapped"))
    }

    fn checked(&self) -> crate::Result<AnyView<'_>> {
        fn typed<E: Element + Pod>(bytes: &[u8], [rows, dim]: [usize; 2]) -> crate::Result<AnyView<'_>> {
            // No bytes are at no particular address.
            let values: &[E] = if bytes.is_empty() { &[] } else { bytemuck::cast_slice(bytes) };
            TableView::new(values, rows, dim, dim).map(AnyView::from)
        }
        let shape = [self.rows, self.dim];
        match self.dtype {
            DType::F32 => typed::<f32>(self.bytes(), shape),
            DType::F16 => typed::<f16>(self.bytes(), shape),
            DType::BF16 => typed::<bf16>(self.bytes(), shape),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Tells the system how the table will be used.
    ///
    /// # Errors
    /// [`FileError::Io`] when the system knows of no such advice. Nothing is lost then but speed. Elsewhere than on Unix this does nothing.
    pub fn advise(&self, advice: Advice) -> FileResult<()> {
        #[cfg(unix)]
        if let Some(map) = &self.map {
            let advice = match advice {
                Advice::Random => memmap2::Advice::Random,
                Advice::Sequential => memmap2::Advice::Sequential,
                Advice::WillNeed => memmap2::Advice::WillNeed,
                #[cfg(target_os = "linux")]
                Advice::HugePages => memmap2::Advice::HugePage,
                #[cfg(not(target_os = "linux"))]
                Advice::HugePages => return Ok(()),
            };
            map.advise(advice).map_err(|error| FileError::io(&self.path, "advise the system on the table's pages", &error))?;
        }
        #[cfg(not(unix))]
        let _ = advice;
        Ok(())
    }

    /// Brings all pages into memory and into the process's page tables, in parallel, so that the first lookups are as fast as later ones.
    /// For tables that fit into memory.
    pub fn prefault(&self) {
        const PAGE: usize = 4096;
        let bytes = self.bytes();
        par::run(Parallelism::Auto.workers_for(bytes.len()), bytes.len().div_ceil(PIECE_BYTES), &|task| {
            let piece = &bytes[task * PIECE_BYTES..bytes.len().min((task + 1) * PIECE_BYTES)];
            std::hint::black_box(piece.iter().step_by(PAGE).fold(0, |all, byte| all ^ byte));
        });
    }

    /// The CRC-32 that the file records for the table.
    pub fn crc32(&self) -> Option<u32> {
        self.tensor.crc32
    }

    /// Reads the whole table, in parallel, and compares its checksum with the one that the file records. Returns whether it records one:
    /// without, nothing is read.
    ///
    /// # Errors
    /// [`FileError::Checksum`] when they differ.
    pub fn verify(&self, progress: Progress<'_>) -> FileResult<bool> {
        if self.tensor.crc32.is_none() {
            return Ok(false);
        }
        let (bytes, pieces) = (self.bytes(), Pieces::default());
        par::run(Parallelism::Auto.workers_for(bytes.len()), bytes.len().div_ceil(PIECE_BYTES), &|task| {
            let from = task * PIECE_BYTES;
            let piece = &bytes[from..bytes.len().min(from + PIECE_BYTES)];
            pieces.add(from as u64, piece);
            progress(piece.len() as u64);
        });
        check_at(&self.path.display().to_string(), &self.tensor, pieces.crc32())?;
        Ok(true)
    }
}

/// The bytes of a tensor.
fn map(source: &Source, tensor: &TensorInfo) -> FileResult<Mmap> {
    let attempt = || {
        let file = source.file().ok_or(io::ErrorKind::Unsupported)?;
        if file.metadata()?.len() < tensor.offset + tensor.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(tensor.bytes).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut options = MmapOptions::new();
        options.offset(tensor.offset).len(len);
        // SAFETY: the bytes must not change while the slice lives. This process never writes into a file that it has finished: it writes
        // a new one and renames it, which leaves this one to whoever maps it. Other processes are trusted not to write into the file in
        // place or to truncate it: that cannot be prevented, and is why mapping is asked for, never the default, and `Mapped` says what it
        // trusts. Any bits are valid values of the elements.
        unsafe { options.map(file) }
    };
    attempt().map_err(|error| FileError::io(source.path(), "map the file into memory", &error))
}
