//! The tier that every machine has. `wide` picks its registers when the crate is compiled: SSE2 on x86-64, NEON on ARM.
#![allow(unsafe_code)]

use half::{bf16, f16};
use wide::f32x8;

use super::{Kernel, Out, Simd};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Simd for Portable {
    type V = f32x8;
    const LANES: usize = 8;

    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> f32x8 {
        f32x8::splat(x)
    }

    #[inline(always)]
    fn add(self, a: f32x8, b: f32x8) -> f32x8 {
        a + b
    }

    #[inline(always)]
    fn mul(self, a: f32x8, b: f32x8) -> f32x8 {
        a * b
    }

    #[inline(always)]
    fn sub(self, a: f32x8, b: f32x8) -> f32x8 {
        a - b
    }

    #[inline(always)]
    fn div(self, a: f32x8, b: f32x8) -> f32x8 {
        a / b
    }

    #[inline(always)]
    fn sqrt(self, v: f32x8) -> f32x8 {
        v.sqrt()
    }

    #[inline(always)]
    fn abs(self, v: f32x8) -> f32x8 {
        v.abs()
    }

    #[inline(always)]
    fn select_gt(self, a: f32x8, b: f32x8, x: f32x8, y: f32x8) -> f32x8 {
        a.simd_gt(b).select(x, y)
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> f32x8 {
        let mut lanes = [0.0; 8];
        lanes.copy_from_slice(&from[..8]);
        f32x8::new(lanes)
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> f32x8 {
        let from = &from[..8];
        let mut lanes = [0.0; 8];
        for (lane, &x) in lanes.iter_mut().zip(from) {
            *lane = widen_f16(x);
        }
        f32x8::new(lanes)
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16]) -> f32x8 {
        let from = &from[..8];
        let mut lanes = [0.0; 8];
        for (lane, &x) in lanes.iter_mut().zip(from) {
            *lane = f32::from_bits(u32::from(x.to_bits()) << 16);
        }
        f32x8::new(lanes)
    }

    #[inline(always)]
    fn store_f32(self, v: f32x8, to: &mut [f32]) {
        to[..8].copy_from_slice(&v.to_array());
    }

    #[inline(always)]
    fn store_f16(self, v: f32x8, to: &mut [f16]) {
        for (x, lane) in to[..8].iter_mut().zip(v.to_array()) {
            *x = narrow_f16(lane);
        }
    }

    #[inline(always)]
    fn store_bf16(self, v: f32x8, to: &mut [bf16]) {
        for (x, lane) in to[..8].iter_mut().zip(v.to_array()) {
            *x = narrow_bf16(lane);
        }
    }

    #[inline(always)]
    fn write_f32(self, v: f32x8, to: &mut Out<'_, f32>) {
        to.push_slice(&v.to_array());
    }

    #[inline(always)]
    fn copy<T: Copy>(self, from: &[T], to: &mut Out<'_, T>) {
        to.push_slice(from);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn stream<T: Copy>(self, from: &[T], to: &mut Out<'_, T>) {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        let bytes = size_of_val(from);
        if !(to.is_aligned() && bytes.is_multiple_of(super::CACHE_LINE)) {
            return self.copy(from, to);
        }
        let (source, target) = (from.as_ptr().cast::<u8>(), to.advance(from.len()).cast::<u8>());
        let mut at = 0;
        while at < bytes {
            // SAFETY: `bytes` is a multiple of 16, so bytes `at..at + 16` are inside both slices; the target is aligned to a cache
            // line, as streaming stores ask; both instructions are SSE2, which every x86-64 processor has.
            unsafe { _mm_stream_si128(target.add(at).cast::<__m128i>(), _mm_loadu_si128(source.add(at).cast())) };
            at += 16;
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn stream<T: Copy>(self, from: &[T], to: &mut Out<'_, T>) {
        self.copy(from, to);
    }

    #[inline(always)]
    fn stream_f32(self, v: f32x8, to: &mut Out<'_, f32>) {
        self.write_f32(v, to);
    }

    #[inline(always)]
    fn fence(self) {
        // SAFETY: the instruction (SSE) belongs to every x86-64 processor.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            std::arch::x86_64::_mm_sfence();
        }
    }
}

/// Exact. `half`'s own conversion asks for processor features at every call, so it cannot stand inside a kernel.
#[inline(always)]
fn widen_f16(x: f16) -> f32 {
    let bits = u32::from(x.to_bits());
    let sign = (bits & 0x8000) << 16;
    let magnitude = bits & 0x7fff;
    // A half's exponent and mantissa, moved into place, are the number times 2^-112: also for subnormals.
    let finite = f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000);
    let special = f32::from_bits(0x7f80_0000 | (magnitude << 13) | quiet(magnitude));
    let value = if magnitude >= 0x7c00 { special } else { finite };
    f32::from_bits(value.to_bits() | sign)
}

/// The quiet bit, for a NaN: hardware conversions quiet a signalling NaN, so all tiers do.
#[inline(always)]
fn quiet(magnitude: u32) -> u32 {
    if magnitude > 0x7c00 { 0x0040_0000 } else { 0 }
}

/// Round to nearest, ties to even.
#[inline(always)]
fn narrow_f16(x: f32) -> f16 {
    let bits = x.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    let rounded = if magnitude > 0x7f80_0000 {
        0x7e00 | ((magnitude >> 13) & 0x03ff) as u16
    } else if magnitude >= 0x4780_0000 {
        0x7c00
    } else if magnitude >= 0x3880_0000 {
        // Normal: drop 13 bits with rounding; a carry runs into the exponent, up to infinity, as it should.
        let even = (magnitude >> 13) & 1;
        ((magnitude + 0x0fff + even - 0x3800_0000) >> 13) as u16
    } else {
        // Subnormal: adding 0.5 makes the float adder align and round at the last bit of a half's subnormals.
        ((f32::from_bits(magnitude) + 0.5).to_bits() - 0x3f00_0000) as u16
    };
    f16::from_bits(sign | rounded)
}

/// Round to nearest, ties to even; a NaN keeps its upper bits and is made quiet.
#[inline(always)]
fn narrow_bf16(x: f32) -> bf16 {
    let bits = x.to_bits();
    let even = (bits >> 16) & 1;
    let rounded = (bits.wrapping_add(0x7fff + even) >> 16) as u16;
    let nan = (bits >> 16) as u16 | 0x0040;
    bf16::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 { nan } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_equals_half_on_all_65536_values() {
        for bits in 0..=u16::MAX {
            let x = f16::from_bits(bits);
            let want = x.to_f32_const();
            let got = widen_f16(x);
            assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{bits:#06x}: {got:?} instead of {want:?}");
            assert_eq!(got.is_nan(), x.is_nan());
        }
    }

    #[test]
    fn narrowing_equals_half_around_every_rounding_boundary() {
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x7fff, 0x8000, 0x8001, 0xffff_u32] {
                let x = f32::from_bits((u32::from(high) << 16) | low);
                let (got, want) = (narrow_f16(x), f16::from_f32_const(x));
                assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "f16 of {x:?}: {got:?} {want:?}");
                let (got, want) = (narrow_bf16(x), bf16::from_f32_const(x));
                assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "bf16 of {x:?}: {got:?} {want:?}");
            }
        }
    }
}
