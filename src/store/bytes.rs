//! Values as the bytes of files, which are little-endian.

use std::borrow::Cow;
use std::ops::Range;

use bytemuck::{Pod, cast_slice, cast_slice_mut};

use super::block::Values;
use crate::element::lanes::AnySlice;

/// Values as a file has them.
pub(crate) fn to_bytes(values: AnySlice<'_>) -> Cow<'_, [u8]> {
    fn cast<E: Pod>(values: &[E]) -> Cow<'_, [u8]> {
        let bytes: &[u8] = cast_slice(values);
        if cfg!(target_endian = "little") {
            return Cow::Borrowed(bytes);
        }
        let mut bytes = bytes.to_vec();
        turn(&mut bytes, size_of::<E>());
        Cow::Owned(bytes)
    }
    match values {
        AnySlice::F32(values) => cast(values),
        AnySlice::F16(values) => cast(values),
        AnySlice::BF16(values) => cast(values),
    }
}

/// Some of the values.
pub(crate) fn part(values: &Values, range: Range<usize>) -> AnySlice<'_> {
    match values {
        Values::F32(values) => AnySlice::F32(&values[range]),
        Values::F16(values) => AnySlice::F16(&values[range]),
        Values::BF16(values) => AnySlice::BF16(&values[range]),
    }
}

/// Lets `fill` write the bytes of values.
pub(crate) fn fill_bytes<E: Pod, X>(values: &mut [E], fill: impl FnOnce(&mut [u8]) -> Result<(), X>) -> Result<(), X> {
    let bytes: &mut [u8] = cast_slice_mut(values);
    fill(bytes)?;
    if cfg!(target_endian = "big") {
        turn(bytes, size_of::<E>());
    }
    Ok(())
}

/// Makes room for `len` values in all.
pub(crate) fn reserve(values: &mut Values, len: usize) -> crate::Result<()> {
    let bytes = len.saturating_mul(values.dtype().size());
    let more = len.saturating_sub(values.len());
    match values {
        Values::F32(values) => values.try_reserve_exact(more),
        Values::F16(values) => values.try_reserve_exact(more),
        Values::BF16(values) => values.try_reserve_exact(more),
    }
    .map_err(|_| crate::Error::OutOfMemory { bytes })
}

/// [`fill_bytes`] of `len` values.
pub(crate) fn fill_values<X>(values: &mut Values, len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), X>) -> Result<(), X> {
    fn resize<E: Pod, X>(values: &mut Vec<E>, len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), X>) -> Result<(), X> {
        values.resize(len, E::zeroed());
        fill_bytes(values, fill)
    }
    match values {
        Values::F32(values) => resize(values, len, fill),
        Values::F16(values) => resize(values, len, fill),
        Values::BF16(values) => resize(values, len, fill),
    }
}

fn turn(bytes: &mut [u8], size: usize) {
    bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
}
