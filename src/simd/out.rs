//! Memory that is written once, front to back: an output that nobody has to fill with zeros first.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::CACHE_LINE;

/// A borrowed, exclusive slice that can only be filled, front to back. It may cover uninitialized memory or values that live:
/// nothing can be read through it, and only whole values are written, so both are sound. When nothing remains, everything
/// has been written: that is the proof by which [`Buffer`](crate::Buffer) takes uninitialized memory for values.
pub struct Out<'a, T> {
    next: *mut T,
    remaining: usize,
    borrow: PhantomData<&'a mut [MaybeUninit<T>]>,
}

// SAFETY: an `Out` is an exclusive borrow, like `&mut [T]`, which is `Send` for `T: Send`.
unsafe impl<T: Send> Send for Out<'_, T> {}

impl<'a, T: Copy> Out<'a, T> {
    pub(crate) fn over(values: &'a mut [T]) -> Self {
        Out { next: values.as_mut_ptr(), remaining: values.len(), borrow: PhantomData }
    }

    pub(crate) fn over_uninit(values: &'a mut [MaybeUninit<T>]) -> Self {
        Out { next: values.as_mut_ptr().cast(), remaining: values.len(), borrow: PhantomData }
    }

    /// How many values have yet to be written.
    #[inline(always)]
    pub(crate) fn remaining(&self) -> usize {
        self.remaining
    }

    /// Whether the next value starts a cache line.
    #[inline(always)]
    pub(crate) fn is_aligned(&self) -> bool {
        self.next.addr().is_multiple_of(CACHE_LINE)
    }

    /// Where the next values go: room for `n`, which the caller must write at once.
    #[inline(always)]
    pub(super) fn advance(&mut self, n: usize) -> *mut T {
        assert!(n <= self.remaining, "{n} values do not fit into {}", self.remaining);
        let here = self.next;
        // SAFETY: `n <= remaining`, so the result is inside the borrow or one past its end.
        self.next = unsafe { here.add(n) };
        self.remaining -= n;
        here
    }

    /// Writes one value.
    #[inline(always)]
    pub(crate) fn push(&mut self, value: T) {
        let here = self.advance(1);
        // SAFETY: `advance` made room for one.
        unsafe { here.write(value) };
    }

    /// Writes `value` `n` times.
    #[inline(always)]
    pub(crate) fn push_fill(&mut self, value: T, n: usize) {
        let here = self.advance(n);
        for at in 0..n {
            // SAFETY: `advance` made room for `n`.
            unsafe { here.add(at).write(value) };
        }
    }

    /// Writes a copy of `values`.
    #[inline(always)]
    pub(crate) fn push_slice(&mut self, values: &[T]) {
        let here = self.advance(values.len());
        // SAFETY: `advance` made room for them, and an exclusive borrow cannot overlap a shared one.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), here, values.len()) };
    }

    /// Cuts the slice into pieces of `chunk` values (the last may be shorter); the piece `index`.
    ///
    /// # Safety
    /// While one piece lives, no other call may ask for the same index, and `self` must not be written to.
    pub(crate) unsafe fn piece(&self, index: usize, chunk: usize) -> Out<'a, T> {
        let from = index.saturating_mul(chunk).min(self.remaining);
        // SAFETY: `from <= remaining`, and the piece ends inside the borrow; the caller keeps pieces apart.
        Out { next: unsafe { self.next.add(from) }, remaining: chunk.min(self.remaining - from), borrow: PhantomData }
    }
}
