//! Reads a fuzzer's bytes as numbers. Past the end everything is zero, so that every string of bytes is a whole input.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

/// Bytes not yet read.
pub struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    /// Eight bytes, little-endian.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `n`, from one byte where that can reach all of them and from four elsewhere; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let number = if n <= 256 { u32::from(self.byte()) } else { u32::from_le_bytes(std::array::from_fn(|_| self.byte())) };
        number as usize % n.max(1)
    }

    /// One of a few; the first past the end.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True for one byte in two; false past the end.
    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// True for one byte in 32; false past the end. For what is slow.
    pub fn seldom(&mut self) -> bool {
        self.byte() >= 248
    }
}
