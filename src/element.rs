//! What a table is made of: f32, f16 or bf16.

use std::fmt;
use std::str::FromStr;

use half::{bf16, f16};

use crate::error::{Error, Result};
use crate::simd::{MAX_LANES, Out, Simd};

/// The type of a table's values, as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision: 11 bits of precision, up to 65,504.
    F16,
    /// The upper half of an f32: 8 bits of precision, the range of f32.
    BF16,
}

impl DType {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::F16 | DType::BF16 => 2,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
        })
    }
}

impl FromStr for DType {
    type Err = Error;

    fn from_str(name: &str) -> Result<DType> {
        match name {
            "f32" => Ok(DType::F32),
            "f16" => Ok(DType::F16),
            "bf16" => Ok(DType::BF16),
            _ => Err(Error::UnknownName { what: "element type", given: name.to_owned(), expected: "f32, f16, bf16" }),
        }
    }
}

/// A type that a table can hold: [`f32`], [`struct@f16`] or [`bf16`]. Sealed.
///
/// Arithmetic happens in f32: widening is exact, and storing rounds to nearest, ties to even; a NaN stays a NaN.
///
/// ```
/// use hotrow::{Element, bf16, f16};
///
/// assert_eq!(f16::from_f32(0.1).to_f32(), 0.099975586);
/// assert_eq!(bf16::from_f32(0.1).to_f32(), 0.100097656);
/// ```
pub trait Element: lanes::Lanes + Copy + Default + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The type, as a value.
    const DTYPE: DType;
    /// Widens exactly.
    fn to_f32(self) -> f32;
    /// Rounds to nearest, ties to even.
    fn from_f32(x: f32) -> Self;
}

/// `Self` can be read as `O`: as itself, or widened to f32. Sealed.
pub trait Widen<O: Element>: Element + lanes::WidenRow<O> {}

impl<E: Element> Widen<E> for E {}
impl Widen<f32> for f16 {}
impl Widen<f32> for bf16 {}

impl Element for f32 {
    const DTYPE: DType = DType::F32;

    fn to_f32(self) -> f32 {
        self
    }

    fn from_f32(x: f32) -> f32 {
        x
    }
}

impl Element for f16 {
    const DTYPE: DType = DType::F16;

    fn to_f32(self) -> f32 {
        self.to_f32()
    }

    fn from_f32(x: f32) -> f16 {
        f16::from_f32(x)
    }
}

impl Element for bf16 {
    const DTYPE: DType = DType::BF16;

    /// A move of bits. `half`'s conversion also quiets a signalling NaN, and a lookup should change nothing.
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    fn from_f32(x: f32) -> bf16 {
        bf16::from_f32(x)
    }
}

/// The part of the element traits that only kernels see. Public in a private module: that seals the traits.
pub(crate) mod lanes {
    use super::*;

    /// Values of any element. Operations match on it once and are compiled in this crate, rather than in every crate that calls them.
    #[derive(Clone, Copy, Debug)]
    pub enum AnySlice<'a> {
        F32(&'a [f32]),
        F16(&'a [f16]),
        BF16(&'a [bf16]),
    }

    impl AnySlice<'_> {
        pub(crate) fn len(&self) -> usize {
            match self {
                AnySlice::F32(values) => values.len(),
                AnySlice::F16(values) => values.len(),
                AnySlice::BF16(values) => values.len(),
            }
        }
    }

    /// [`AnySlice`], to be changed.
    #[derive(Debug)]
    pub enum AnySliceMut<'a> {
        F32(&'a mut [f32]),
        F16(&'a mut [f16]),
        BF16(&'a mut [bf16]),
    }

    /// An output of any element.
    pub enum AnyOut<'o, 'b> {
        F32(&'o mut Out<'b, f32>),
        F16(&'o mut Out<'b, f16>),
        BF16(&'o mut Out<'b, bf16>),
    }

    /// How vectors of an element are read and written.
    pub trait Lanes: Sized {
        /// The same values, their type as a value.
        fn erase(values: &[Self]) -> AnySlice<'_>;
        /// The same values, their type as a value.
        fn erase_mut(values: &mut [Self]) -> AnySliceMut<'_>;
        /// The same output, its type as a value.
        fn erase_out<'o, 'b>(out: &'o mut Out<'b, Self>) -> AnyOut<'o, 'b>;
        /// Reads `LANES` values.
        fn load<S: Simd>(simd: S, from: &[Self]) -> S::V;
        /// Writes `LANES` values, rounded.
        fn store<S: Simd>(simd: S, v: S::V, to: &mut [Self]);
        /// Rounds to one of the two neighbours: away from zero with a probability equal to the fraction of a last place that is
        /// lost, as the random bits have it.
        fn round_at_random(x: f32, random: u32) -> Self;
    }

    impl Lanes for f32 {
        fn erase(values: &[f32]) -> AnySlice<'_> {
            AnySlice::F32(values)
        }
        fn erase_mut(values: &mut [f32]) -> AnySliceMut<'_> {
            AnySliceMut::F32(values)
        }
        fn erase_out<'o, 'b>(out: &'o mut Out<'b, f32>) -> AnyOut<'o, 'b> {
            AnyOut::F32(out)
        }
        #[inline(always)]
        fn load<S: Simd>(simd: S, from: &[f32]) -> S::V {
            simd.load_f32(from)
        }
        #[inline(always)]
        fn store<S: Simd>(simd: S, v: S::V, to: &mut [f32]) {
            simd.store_f32(v, to);
        }
        #[inline(always)]
        fn round_at_random(x: f32, _random: u32) -> f32 {
            x
        }
    }

    impl Lanes for f16 {
        fn erase(values: &[f16]) -> AnySlice<'_> {
            AnySlice::F16(values)
        }
        fn erase_mut(values: &mut [f16]) -> AnySliceMut<'_> {
            AnySliceMut::F16(values)
        }
        fn erase_out<'o, 'b>(out: &'o mut Out<'b, f16>) -> AnyOut<'o, 'b> {
            AnyOut::F16(out)
        }
        #[inline(always)]
        fn load<S: Simd>(simd: S, from: &[f16]) -> S::V {
            simd.load_f16(from)
        }
        #[inline(always)]
        fn store<S: Simd>(simd: S, v: S::V, to: &mut [f16]) {
            simd.store_f16(v, to);
        }
        /// Adds random bits below the last place that stays, and truncates. Finite numbers above 65,504 may become infinite; from
        /// 65,536 on they do, as when rounded to nearest.
        #[inline(always)]
        fn round_at_random(x: f32, random: u32) -> f16 {
            let bits = x.to_bits();
            let sign = ((bits >> 16) & 0x8000) as u16;
            let magnitude = bits & 0x7fff_ffff;
            // From 2^-14 on 13 bits are lost. A carry runs into the exponent, as it should.
            let normal = (magnitude.wrapping_add(random & 0x1fff).wrapping_sub(0x3800_0000)) >> 13;
            // Below, the value is the mantissa times 2^(exponent - 126), in places of 2^-24: so many bits are lost, of which 31
            // can be drawn.
            let exponent = (magnitude >> 23).max(1);
            let mantissa = if magnitude >= 0x0080_0000 { magnitude & 0x007f_ffff | 0x0080_0000 } else { magnitude };
            let lost = 126_u32.saturating_sub(exponent);
            let drawn = lost.min(31);
            let small = ((mantissa >> (lost - drawn).min(31)) + (random & ((1 << drawn) - 1))) >> drawn;
            let rounded = if magnitude > 0x7f80_0000 {
                0x7e00 | ((magnitude >> 13) & 0x03ff)
            } else if magnitude >= 0x4780_0000 {
                0x7c00
            } else if magnitude >= 0x3880_0000 {
                normal
            } else {
                small
            };
            f16::from_bits(sign | rounded as u16)
        }
    }

    impl Lanes for bf16 {
        fn erase(values: &[bf16]) -> AnySlice<'_> {
            AnySlice::BF16(values)
        }
        fn erase_mut(values: &mut [bf16]) -> AnySliceMut<'_> {
            AnySliceMut::BF16(values)
        }
        fn erase_out<'o, 'b>(out: &'o mut Out<'b, bf16>) -> AnyOut<'o, 'b> {
            AnyOut::BF16(out)
        }
        #[inline(always)]
        fn load<S: Simd>(simd: S, from: &[bf16]) -> S::V {
            simd.load_bf16(from)
        }
        #[inline(always)]
        fn store<S: Simd>(simd: S, v: S::V, to: &mut [bf16]) {
            simd.store_bf16(v, to);
        }
        /// Adds 16 random bits below the last place that stays, and truncates.
        #[inline(always)]
        fn round_at_random(x: f32, random: u32) -> bf16 {
            let bits = x.to_bits();
            let magnitude = bits & 0x7fff_ffff;
            // Infinity stays itself, and a NaN one; a sum of bits would carry out of them.
            let noise = if magnitude >= 0x7f80_0000 { 0 } else { random & 0xffff };
            let quiet = if magnitude > 0x7f80_0000 { 0x0040 } else { 0 };
            bf16::from_bits((bits.wrapping_add(noise) >> 16) as u16 | quiet)
        }
    }

    /// Reads fewer than `LANES` values; the lanes above are zero.
    #[inline(always)]
    pub(crate) fn load_part<E: Element, S: Simd>(simd: S, from: &[E]) -> S::V {
        let mut padded = [E::default(); MAX_LANES];
        padded[..from.len()].copy_from_slice(from);
        E::load(simd, &padded)
    }

    /// Writes fewer than `LANES` values.
    #[inline(always)]
    pub(crate) fn store_part<E: Element, S: Simd>(simd: S, v: S::V, to: &mut [E]) {
        let mut padded = [E::default(); MAX_LANES];
        E::store(simd, v, &mut padded);
        to.copy_from_slice(&padded[..to.len()]);
    }

    /// How a row reaches an output.
    pub trait WidenRow<O: Copy>: Sized {
        /// Writes the whole row.
        fn write_row<S: Simd>(simd: S, row: &[Self], to: &mut Out<'_, O>);
        /// [`write_row`](WidenRow::write_row) past the caches, for rows that are whole cache lines and start one.
        fn stream_row<S: Simd>(simd: S, row: &[Self], to: &mut Out<'_, O>);
        fn widen(self) -> O;
    }

    impl<E: Element> WidenRow<E> for E {
        #[inline(always)]
        fn write_row<S: Simd>(simd: S, row: &[E], to: &mut Out<'_, E>) {
            simd.copy(row, to);
        }
        #[inline(always)]
        fn stream_row<S: Simd>(simd: S, row: &[E], to: &mut Out<'_, E>) {
            simd.stream(row, to);
        }
        fn widen(self) -> E {
            self
        }
    }

    macro_rules! widen_to_f32 {
        ($half:ty) => {
            impl WidenRow<f32> for $half {
                #[inline(always)]
                fn write_row<S: Simd>(simd: S, row: &[$half], to: &mut Out<'_, f32>) {
                    let vectors = row.chunks_exact(S::LANES);
                    let tail = vectors.remainder();
                    for vector in vectors {
                        simd.write_f32(<$half>::load(simd, vector), to);
                    }
                    if !tail.is_empty() {
                        let mut padded = [0.0; MAX_LANES];
                        simd.store_f32(load_part(simd, tail), &mut padded);
                        to.push_slice(&padded[..tail.len()]);
                    }
                }
                #[inline(always)]
                fn stream_row<S: Simd>(simd: S, row: &[$half], to: &mut Out<'_, f32>) {
                    let vectors = row.chunks_exact(S::LANES);
                    if !(to.is_aligned() && vectors.remainder().is_empty()) {
                        return Self::write_row(simd, row, to);
                    }
                    for vector in vectors {
                        simd.stream_f32(<$half>::load(simd, vector), to);
                    }
                }
                fn widen(self) -> f32 {
                    Element::to_f32(self)
                }
            }
        };
    }

    widen_to_f32!(f16);
    widen_to_f32!(bf16);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in every range of a half: normal, subnormal, between the last finite one and infinity, and odd ones.
    fn numbers() -> Vec<f32> {
        let mut numbers = vec![0.0, 1.0, 1.0 + f32::EPSILON, 3.3, 65_504.0, 65_519.9, 65_535.9, 6.1e-5, 1e-6, 5.97e-8, 3e-8, 1e-7];
        numbers.extend((0..200).map(|k| f32::from_bits(0x3000_0000 + k * 0x0012_3457)));
        numbers.iter().flat_map(|&x| [x, -x]).collect()
    }

    /// With every word of the bits that are drawn once, the mean of what a number is rounded to is the number.
    #[test]
    fn rounding_at_random_is_unbiased_to_the_bit() {
        for x in numbers().into_iter().filter(|x| x.abs() < 65_504.0) {
            let mean = |sum: f64, bits: u32| sum / f64::from(1u32 << bits);
            let sum = (0..1 << 16).map(|word| f64::from(<bf16 as lanes::Lanes>::round_at_random(x, word).to_f32())).sum();
            assert_eq!(mean(sum, 16), f64::from(x), "bf16 of {x:e}");
            // Below 2^-14 a half loses more bits, one for each power of two.
            let exponent = (x.abs().to_bits() >> 23) as i32 - 127;
            let bits = 13 + (-14 - exponent).max(0) as u32;
            if x == 0.0 || bits > 20 {
                continue;
            }
            let sum = (0..1 << bits).map(|word| f64::from(<f16 as lanes::Lanes>::round_at_random(x, word).to_f32())).sum();
            assert_eq!(mean(sum, bits), f64::from(x), "f16 of {x:e}");
        }
    }

    /// What an element can hold stays as it is, whatever the words: zeros, infinities and NaN, too.
    #[test]
    fn rounding_at_random_keeps_what_is_exact() {
        for bits in 0..=u16::MAX {
            for word in [0, 1, 0x1fff, 0xffff, 0x7fff_ffff, u32::MAX] {
                let (half, brain) = (f16::from_bits(bits), bf16::from_bits(bits));
                let got = <f16 as lanes::Lanes>::round_at_random(half.to_f32_const(), word);
                assert!(got == half && got.to_bits() == bits || got.is_nan() && half.is_nan(), "{half:?} became {got:?}");
                let got = <bf16 as lanes::Lanes>::round_at_random(Element::to_f32(brain), word);
                assert!(got.to_bits() == bits || got.is_nan() && brain.is_nan(), "{brain:?} became {got:?}");
            }
        }
    }

    /// A half's neighbours and no others; infinity only above the last finite number.
    #[test]
    fn rounding_at_random_stays_beside_the_number() {
        let mut word = 1u32;
        for x in numbers().into_iter().chain([1e-10, 1e-30, f32::from_bits(1), 65_536.0, 1e30, f32::MAX]) {
            for _ in 0..100 {
                word = word.wrapping_mul(0x9e37_79b1).wrapping_add(12_345);
                let got = f64::from(<f16 as lanes::Lanes>::round_at_random(x, word).to_f32());
                let exponent = ((x.abs().to_bits() >> 23) as i32 - 127).max(-14);
                let beside = (got - f64::from(x)).abs() < 2.0f64.powi(exponent - 10);
                let infinite = got.is_infinite() && x.abs() > 65_504.0;
                assert!((beside && x.abs() < 65_536.0) || infinite, "{x:e} became {got:e}");
            }
        }
    }
}
