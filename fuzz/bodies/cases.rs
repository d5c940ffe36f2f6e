//! What the checks of gather and scatter share: tables, ids and values drawn from a fuzzer's bytes, and comparison by bits.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use hotrow::{Cast, Element, IdPolicy, Level, Negative, OutOfRange, Parallelism, Workspace, bf16, f16};

use super::input::Input;

/// An element by its bits.
pub trait Bits: Element {
    fn of_bits(bits: u32) -> Self;
    fn bits(self) -> u32;
}

impl Bits for f32 {
    fn of_bits(bits: u32) -> f32 {
        f32::from_bits(bits)
    }
    fn bits(self) -> u32 {
        self.to_bits()
    }
}

impl Bits for f16 {
    fn of_bits(bits: u32) -> f16 {
        f16::from_bits(bits as u16)
    }
    fn bits(self) -> u32 {
        u32::from(self.to_bits())
    }
}

impl Bits for bf16 {
    fn of_bits(bits: u32) -> bf16 {
        bf16::from_bits(bits as u16)
    }
    fn bits(self) -> u32 {
        u32::from(self.to_bits())
    }
}

/// The sizes of a call.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub rows: usize,
    pub dim: usize,
    pub stride: usize,
    pub ids: usize,
}

impl Sizes {
    /// Mostly small; sometimes large enough (256 KiB) that the call is shared among threads, which no fuzzer's input of a few
    /// hundred bytes is by itself.
    pub fn draw(input: &mut Input<'_>) -> Sizes {
        let large = input.seldom();
        let (rows, dim, ids) = if large {
            (1 + input.below(600), input.pick(&[33, 48]), 2500 + input.below(1000))
        } else {
            (input.below(40), input.below(140), input.below(24))
        };
        // Rows of a cache line and a bit, and rows whose alignment differs from one to the next.
        let stride = dim + input.pick(&[0, 1, 3, 16]);
        Sizes { rows, dim, stride, ids }
    }

    /// The values of such a table, padding after its last row included.
    pub fn cells(&self) -> usize {
        self.rows * self.stride
    }
}

/// Ids that repeat a short pattern, each time shifted by the same step: a step of zero makes rows that take many updates. Where
/// there are rows, all of them are in range but for the strays, which stand at every n-th place.
pub fn ids(input: &mut Input<'_>, rows: usize, count: usize) -> Vec<i64> {
    let (step, every) = (input.below(256), input.below(256));
    let end = rows as i64;
    let stray = input.pick(&[-1, end, -end, -end - 1, i64::MIN, i64::MAX, 1 << 32, (1 << 32) - 1, i64::from(i32::MIN)]);
    let pattern: Vec<usize> = (0..1 + input.below(16)).map(|_| input.below(rows)).collect();
    let id = |k: usize| match k {
        _ if rows == 0 || (every > 0 && (k + 1).is_multiple_of(every)) => stray,
        _ => ((pattern[k % pattern.len()] + k / pattern.len() * step) % rows) as i64,
    };
    (0..count).map(id).collect()
}

/// Every answer to negative ids and to ids out of range. How ids are cast is the matter of another check.
pub fn policy(input: &mut Input<'_>) -> IdPolicy {
    let negative = input.pick(&[Negative::Refused, Negative::FromEnd, Negative::Skipped]);
    let out_of_range = match input.below(4) {
        0 => OutOfRange::Error,
        1 => OutOfRange::Clamp,
        2 => OutOfRange::Fill(input.pick(&[0.0, -0.0, f32::NAN, f32::INFINITY, 0.1, 65_520.0])),
        _ => OutOfRange::Fill(f32::from_bits(input.word() as u32)),
    };
    IdPolicy::new(Cast::Checked, negative, out_of_range)
}

/// What values are like.
#[derive(Clone, Copy)]
enum Kind {
    /// Sums of these are exact.
    Quarters,
    /// Sums of these round.
    Reals,
    /// Reals, and now and then what is odd: infinities, zeros, subnormals, the largest, what rounds to a half's infinity.
    Odd,
    /// Anything, signalling NaN included.
    Bits,
}

/// `n` values, which a few bytes of input decide.
pub fn values<E: Bits>(input: &mut Input<'_>, n: usize) -> Vec<E> {
    const ODD: [f32; 8] =
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE / 8.0, f32::MAX, 65_519.99, 65_520.0];
    let kind = input.pick(&[Kind::Reals, Kind::Quarters, Kind::Odd, Kind::Bits]);
    let seed = input.word();
    let value = |k: usize| {
        let z = mix(seed.wrapping_add(k as u64));
        let real = (z as i32) as f32 / 2.0f32.powi(29);
        match kind {
            Kind::Quarters => E::from_f32((z % 33) as f32 / 4.0 - 4.0),
            Kind::Reals => E::from_f32(real),
            Kind::Odd if z >> 60 == 0 => E::from_f32(ODD[(z >> 32) as usize % ODD.len()]),
            Kind::Odd => E::from_f32(real),
            Kind::Bits => E::of_bits(z as u32),
        }
    };
    (0..n).map(value).collect()
}

/// SplitMix64's output function.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A workspace for every level of this processor, on so many threads.
pub fn workspaces(threads: usize) -> impl Iterator<Item = Workspace> {
    let at = move |&level: &Level| Workspace::new().with_parallelism(Parallelism::threads(threads)).with_level(level);
    Level::available().iter().map(at).map(|workspace| workspace.expect("the level is available"))
}

pub fn label(workspace: &Workspace) -> String {
    format!("{} on {} threads", workspace.level(), workspace.parallelism().degree())
}

/// Equal bits, NaN payloads too: for what is only moved.
pub fn assert_identical<E: Bits>(got: &[E], want: &[E], context: &str) {
    assert_equal(got, want, context, |got, want| got.bits() == want.bits());
}

/// Equal bits, where any NaN equals any other: for results of arithmetic, whose payloads are not specified.
pub fn assert_same<E: Bits>(got: &[E], want: &[E], context: &str) {
    let nan = |x: E| x.to_f32().is_nan();
    assert_equal(got, want, context, |got, want| got.bits() == want.bits() || (nan(got) && nan(want)));
}

fn assert_equal<E: Bits>(got: &[E], want: &[E], context: &str, equal: impl Fn(E, E) -> bool) {
    assert_eq!(got.len(), want.len(), "{context}: lengths");
    let differs = got.iter().zip(want).position(|(&got, &want)| !equal(got, want));
    if let Some(at) = differs {
        let (got, want) = (got[at], want[at]);
        panic!("{context}: value {at} is {got:?} ({:#x}) instead of {want:?} ({:#x})", got.bits(), want.bits());
    }
}
