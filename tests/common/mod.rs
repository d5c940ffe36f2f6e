//! What the tests share: every way to run an operation, values that try it, and comparison by bits.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part

pub mod bags;
pub mod recorded;
pub mod shaky;
pub mod states;

use hotrow::{Element, Level, Parallelism, Workspace};

/// Dims around lane and cache-line boundaries.
pub const DIMS: [usize; 14] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 130, 257];

/// Thread counts: more than this machine may have, too.
pub const THREADS: [usize; 4] = [1, 2, 3, 8];

/// A workspace for every level of this processor and every thread count.
pub fn workspaces() -> Vec<Workspace> {
    let mut all = Vec::new();
    for &level in Level::available() {
        for threads in THREADS {
            let workspace = Workspace::new().with_parallelism(Parallelism::threads(threads));
            all.push(workspace.with_level(level).expect("the level is available"));
        }
    }
    all
}

pub fn label(workspace: &Workspace) -> String {
    format!("{} on {} threads", workspace.level(), workspace.parallelism().degree())
}

/// A small generator (SplitMix64): tests need seeds, not quality.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number of ordinary size.
    pub fn real(&mut self) -> f32 {
        (self.next() as i32) as f32 / 2.0f32.powi(29)
    }

    /// Mostly ordinary numbers, and everything that is not: NaN, infinities, zeros of both signs, subnormals, the largest.
    pub fn odd(&mut self) -> f32 {
        match self.next() % 16 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => -0.0,
            4 => f32::from_bits((self.next() % 0x0080_0000) as u32),
            5 => f32::MAX,
            6 => f32::from_bits(self.next() as u32),
            7 => 65_519.9,
            _ => self.real(),
        }
    }

    pub fn values<E: Element>(&mut self, n: usize, odd: bool) -> Vec<E> {
        (0..n).map(|_| E::from_f32(if odd { self.odd() } else { self.real() })).collect()
    }
}

/// How ids repeat.
#[derive(Clone, Copy, Debug)]
pub enum Repeats {
    None,
    Some,
    Half,
    All,
}

/// `n` ids below `rows` (which is not zero); without repeats, at most `rows` of them.
pub fn draw_ids(random: &mut Random, n: usize, rows: usize, repeats: Repeats) -> Vec<i64> {
    let hot = random.below(rows) as i64;
    match repeats {
        Repeats::None => {
            let mut all: Vec<i64> = (0..rows as i64).collect();
            for at in (1..all.len()).rev() {
                all.swap(at, random.below(at + 1));
            }
            all.truncate(n);
            all
        }
        Repeats::Some => (0..n).map(|_| random.below(rows) as i64).collect(),
        Repeats::Half => (0..n).map(|k| if k % 2 == 0 { hot } else { random.below(rows) as i64 }).collect(),
        Repeats::All => vec![hot; n],
    }
}

/// Equal bits; for results of arithmetic, any NaN equals any other, since payloads are not specified.
pub fn assert_same<E: Element>(got: &[E], want: &[E], context: &str) {
    assert_eq!(got.len(), want.len(), "{context}: lengths");
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let (got, want) = (got.to_f32(), want.to_f32());
        assert!(
            got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
            "{context}: value {at} is {got:?} instead of {want:?}"
        );
    }
}

/// Equal bits, NaN payloads too: for what is only moved.
pub fn assert_identical<E: Element>(got: &[E], want: &[E], context: &str) {
    assert_eq!(bytes(got), bytes(want), "{context}");
}

/// The bit patterns, widened. Widening is exact but quiets a signalling NaN, which both sides do alike.
fn bytes<E: Element>(values: &[E]) -> Vec<u32> {
    values.iter().map(|x| x.to_f32().to_bits()).collect()
}
