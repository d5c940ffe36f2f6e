//! Where rows lie: pure arithmetic.

use crate::error::{Error, Result};
use crate::simd::CACHE_LINE;

/// Shape and stride of a table, checked: rows fit 32 bits, and every size fits the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    pub(crate) stride: usize,
}

impl Layout {
    /// A layout of our own choosing.
    pub(crate) fn new(rows: usize, dim: usize, element_bytes: usize) -> Result<Layout> {
        Layout::strided(rows, dim, stride(dim, element_bytes), element_bytes)
    }

    /// A layout with a given stride, in elements.
    pub(crate) fn strided(rows: usize, dim: usize, stride: usize, element_bytes: usize) -> Result<Layout> {
        if rows > u32::MAX as usize {
            return Err(Error::TooManyRows { rows });
        }
        if stride < dim {
            return Err(Error::StrideTooShort { stride, dim });
        }
        let layout = Layout { rows, dim, stride };
        let bytes = rows.checked_mul(stride).and_then(|values| values.checked_mul(element_bytes));
        match bytes {
            Some(bytes) if bytes <= isize::MAX as usize => Ok(layout),
            _ => Err(Error::SizeOverflow { shape: vec![rows, dim], element_bytes }),
        }
    }

    /// The values from the first of the first row to the last of the last.
    pub(crate) fn span(&self) -> usize {
        if self.rows == 0 { 0 } else { (self.rows - 1) * self.stride + self.dim }
    }

    /// All values, padding after the last row included.
    pub(crate) fn len(&self) -> usize {
        self.rows * self.stride
    }
}

/// The stride for rows of `dim` elements: padded to whole cache lines where that costs at most 2 % of the row, else `dim`.
///
/// A row of `b` bytes at an address that is only element-aligned touches `(b - element) / 64 + 1` lines on average, an aligned
/// one `ceil(b / 64)`: up to one line is saved, at every lookup. A row of 508 bytes (127 f32) touches 8.9 lines when packed and 8
/// when padded, for 0.8 % more memory; one of 400 bytes (100 f32) 7.0 instead of 7.2 (at 16-byte steps), for 12 %, which is memory
/// that a large table cannot spare. `ARCHITECTURE.md` has the measured times.
pub(crate) fn stride(dim: usize, element_bytes: usize) -> usize {
    let Some(bytes) = dim.checked_mul(element_bytes) else { return dim };
    let padding = bytes.wrapping_neg() % CACHE_LINE;
    if padding.saturating_mul(50) <= bytes { dim.saturating_add(padding / element_bytes) } else { dim }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_only_where_it_is_cheap() {
        assert_eq!(stride(64, 4), 64);
        assert_eq!(stride(100, 4), 100);
        assert_eq!(stride(127, 4), 128);
        assert_eq!(stride(63, 4), 64);
        assert_eq!(stride(31, 4), 31);
        assert_eq!(stride(0, 4), 0);
        assert_eq!(stride(1, 2), 1);
        for dim in 0..5000 {
            for element in [2, 4] {
                let stride = stride(dim, element);
                assert!((stride - dim) * 50 <= dim, "[_, {dim}] of {element} bytes: stride {stride}");
                assert!(stride == dim || (stride * element).is_multiple_of(64));
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        assert!(matches!(Layout::new(u32::MAX as usize + 1, 1, 4), Err(Error::TooManyRows { .. })));
        assert!(matches!(Layout::new(u32::MAX as usize, usize::MAX / 2, 4), Err(Error::SizeOverflow { .. })));
        assert!(matches!(Layout::new(3, usize::MAX / 4, 4), Err(Error::SizeOverflow { .. })));
        assert!(matches!(Layout::strided(3, 5, 4, 4), Err(Error::StrideTooShort { stride: 4, dim: 5 })));
        assert_eq!(Layout::new(0, 7, 4).unwrap().span(), 0);
        assert_eq!(Layout::strided(3, 5, 8, 4).unwrap().span(), 21);
    }
}
