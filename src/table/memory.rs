//! Memory for tables and results: aligned, on huge pages when large, refused without an abort, never filled in vain.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use aligned_vec::{AVec, RuntimeAlign};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::par::{self, Parallelism};
use crate::simd::{CACHE_LINE, Out};

/// From this size on memory is aligned to it and advised onto huge pages.
const HUGE_PAGE: usize = 2 << 20;

/// What one task writes at a time when memory is filled or copied.
pub(crate) const FILL_BYTES: usize = 1 << 20;

/// Owned values: aligned to a cache line, or from 2 MiB on to 2 MiB and advised onto huge pages.
///
/// What is read at random from 4 KiB pages misses the address cache at nearly every row; on huge pages the same lookup takes about
/// a fifth less time. Outputs that are allocated once belong here too:
///
/// ```
/// use hotrow::{Buffer, Table, Workspace};
///
/// let table = Table::<f32>::uniform(1000, 16, 7)?;
/// let mut workspace = Workspace::new();
/// let mut out = Buffer::<f32>::zeros(3 * 16)?;
/// workspace.gather_into(&table, &[5, 2, 5], &mut out)?;
/// assert_eq!(out[..16], *table.row(5).unwrap());
/// # Ok::<(), hotrow::Error>(())
/// ```
pub struct Buffer<E> {
    values: AVec<E, RuntimeAlign>,
}

/// Where the bytes of a table or buffer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// Bytes of the values themselves.
    pub payload_bytes: usize,
    /// Bytes asked of the system for them: payload, padding between rows, and rounding to whole huge pages.
    pub allocated_bytes: usize,
    /// Bytes that are on huge pages now. `None` where the system does not tell, or nothing was advised. The system counts by
    /// mapping: neighbouring advised memory can be counted in, up to the bytes of this one.
    pub huge_page_bytes: Option<usize>,
}

impl<E: Element> Buffer<E> {
    /// `len` zeros, written in parallel.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`], [`Error::OutOfMemory`].
    pub fn zeros(len: usize) -> Result<Buffer<E>> {
        let workers = Parallelism::Auto.workers_for(len.saturating_mul(size_of::<E>()));
        Buffer::written(len, workers, FILL_BYTES / size_of::<E>(), &|_, piece| piece.push_fill(E::default(), piece.remaining()))
    }

    /// `len` values that `write(first index, piece)` writes, in pieces of `chunk`.
    pub(crate) fn written(
        len: usize,
        workers: usize,
        chunk: usize,
        write: &(impl Fn(usize, &mut Out<'_, E>) + Sync),
    ) -> Result<Buffer<E>> {
        let mut values = reserve::<E>(len)?;
        let start = values.as_mut_ptr().cast::<MaybeUninit<E>>();
        // SAFETY: the capacity is at least `len`, and uninitialized memory is a valid `MaybeUninit`.
        let uninit = unsafe { std::slice::from_raw_parts_mut(start, len) };
        par::chunks(workers, Out::over_uninit(uninit), chunk, write);
        // SAFETY: `chunks` returns only when all `len` values have been written: pieces are filled front to back, and it asserts
        // that nothing remains of any.
        unsafe { values.set_len(len) };
        Ok(Buffer { values })
    }

    /// A copy, made in parallel.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn try_clone(&self) -> Result<Buffer<E>> {
        let workers = Parallelism::Auto.workers_for(2 * size_of_val(&**self));
        Buffer::written(self.len(), workers, FILL_BYTES / size_of::<E>(), &|first, piece| {
            piece.push_slice(&self[first..first + piece.remaining()]);
        })
    }

    /// How much memory this is, and of what kind.
    pub fn memory(&self) -> MemoryReport {
        self.report(size_of_val(&**self))
    }

    pub(crate) fn report(&self, payload_bytes: usize) -> MemoryReport {
        let allocated_bytes = self.values.capacity() * size_of::<E>();
        let advised = self.values.alignment() >= HUGE_PAGE;
        let huge_page_bytes = if advised { huge_page_bytes(self.values.as_ptr().addr(), allocated_bytes) } else { None };
        MemoryReport { payload_bytes, allocated_bytes, huge_page_bytes }
    }
}

/// Room for `len` values, uninitialized.
fn reserve<E>(len: usize) -> Result<AVec<E, RuntimeAlign>> {
    let overflow = || Error::SizeOverflow { shape: vec![len], element_bytes: size_of::<E>() };
    let bytes = len.checked_mul(size_of::<E>()).filter(|&bytes| bytes <= isize::MAX as usize - HUGE_PAGE).ok_or_else(overflow)?;
    let (align, capacity) = if bytes >= HUGE_PAGE {
        // Whole huge pages: the last one would otherwise be made of small ones.
        (HUGE_PAGE, bytes.next_multiple_of(HUGE_PAGE) / size_of::<E>())
    } else {
        (CACHE_LINE, len)
    };
    let mut values = AVec::<E, RuntimeAlign>::new(align);
    values.try_reserve_exact(capacity).map_err(|_| Error::OutOfMemory { bytes })?;
    if align == HUGE_PAGE {
        advise_huge_pages(values.as_mut_ptr().cast(), capacity * size_of::<E>());
    }
    Ok(values)
}

#[cfg(target_os = "linux")]
fn advise_huge_pages(start: *mut u8, bytes: usize) {
    // SAFETY: the range is memory that we own, aligned to 2 MiB, and the advice changes no contents. A refusal (a kernel without
    // huge pages) only costs speed.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_start: *mut u8, _bytes: usize) {}

/// The bytes on huge pages in the mapping that holds `start`, as Linux tells them.
#[cfg(target_os = "linux")]
fn huge_page_bytes(start: usize, bytes: usize) -> Option<usize> {
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let mut inside = false;
    let mut found = None;
    for line in maps.lines() {
        if let Some((from, to)) = address_range(line) {
            inside = from < start.saturating_add(bytes) && start < to;
        } else if inside && let Some(rest) = line.strip_prefix("AnonHugePages:") {
            let kib: usize = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
            found = Some(found.unwrap_or(0) + kib * 1024);
        }
    }
    found.map(|found| found.min(bytes))
}

#[cfg(not(target_os = "linux"))]
fn huge_page_bytes(_start: usize, _bytes: usize) -> Option<usize> {
    None
}

/// The addresses of a mapping, from its headline `from-to perms …`.
#[cfg(target_os = "linux")]
fn address_range(line: &str) -> Option<(usize, usize)> {
    let (from, to) = line.split_once(' ')?.0.split_once('-')?;
    Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
}

impl<E> Deref for Buffer<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.values
    }
}

impl<E> DerefMut for Buffer<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.values
    }
}

impl<E: fmt::Debug> fmt::Debug for Buffer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_its_overhead_bounded() {
        for len in [0, 1, 7, 1000, HUGE_PAGE / 4 - 1, HUGE_PAGE / 4, HUGE_PAGE / 4 + 1, 5 << 20] {
            let buffer = Buffer::<f32>::zeros(len).unwrap();
            let report = buffer.memory();
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|&x| x.to_bits() == 0));
            let align = if len * 4 >= HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE };
            assert!(len == 0 || buffer.as_ptr().addr().is_multiple_of(align));
            assert_eq!(report.payload_bytes, len * 4);
            assert!(report.allocated_bytes - report.payload_bytes <= report.payload_bytes / 50 + (4 << 20));
        }
    }

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        assert!(matches!(Buffer::<f32>::zeros(1 << 58), Err(Error::OutOfMemory { .. })));
        assert!(matches!(Buffer::<f32>::zeros(usize::MAX), Err(Error::SizeOverflow { .. })));
    }
}
