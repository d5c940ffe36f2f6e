//! Levels: which instructions an operation may use. Detected once, kept as a value, passed down.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use super::Kernel;
#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
use super::portable::Portable;
use crate::error::{Error, Result};

/// Which vector instructions are used. Results do not depend on it, only speed does.
///
/// The environment variable `HOTROW_LEVEL` (`portable`, `avx2` or `avx512`) caps what [`Level::best`] finds, so that every
/// level can be tested and timed on one machine. It is read once.
///
/// ```
/// use hotrow::{Level, Workspace};
///
/// assert!(Level::available().contains(&Level::Portable));
/// let workspace = Workspace::new().with_level(Level::Portable)?;
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// What the target has at compile time (SSE2 on x86-64), through the crate `wide`.
    Portable,
    /// 256-bit vectors: AVX2 with F16C.
    Avx2,
    /// 512-bit vectors: AVX-512 F, BW and VL.
    Avx512,
}

impl Level {
    /// The best level of this processor, capped by `HOTROW_LEVEL`.
    pub fn best() -> Level {
        *Level::available().last().unwrap_or(&Level::Portable)
    }

    /// The levels of this processor, ascending, capped by `HOTROW_LEVEL`. A value of that variable that is no level's name
    /// caps nothing.
    pub fn available() -> &'static [Level] {
        static AVAILABLE: OnceLock<Vec<Level>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            let cap = std::env::var("HOTROW_LEVEL").ok().and_then(|name| name.parse().ok()).unwrap_or(Level::Avx512);
            let all = [Level::Portable, Level::Avx2, Level::Avx512];
            all.into_iter().filter(|&level| level <= cap && Tier::detect(level).is_some()).collect()
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        })
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(name: &str) -> Result<Level> {
        match name {
            "portable" => Ok(Level::Portable),
            "avx2" => Ok(Level::Avx2),
            "avx512" => Ok(Level::Avx512),
            _ => Err(Error::UnknownName { what: "SIMD level", given: name.to_owned(), expected: "portable, avx2, avx512" }),
        }
    }
}

/// A level that the processor was seen to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tier {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Tier {
    pub(crate) fn best() -> Tier {
        Tier::detect(Level::best()).unwrap_or(Tier::Portable(Portable))
    }

    /// `level`, if the processor has it and `HOTROW_LEVEL` allows it.
    pub(crate) fn at(level: Level) -> Result<Tier> {
        let unavailable = Error::LevelUnavailable { asked: level, best: Level::best() };
        if !Level::available().contains(&level) {
            return Err(unavailable);
        }
        Tier::detect(level).ok_or(unavailable)
    }

    fn detect(level: Level) -> Option<Tier> {
        match level {
            Level::Portable => Some(Tier::Portable(Portable)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::new().map(Tier::Avx2),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::new().map(Tier::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Tier::Portable(_) => Level::Portable,
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(_) => Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(_) => Level::Avx512,
        }
    }

    /// Runs `kernel` with the tier's instructions. Call it once a block, never once a row.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Tier::Portable(tier) => kernel.run(tier),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(tier) => tier.enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(tier) => tier.enter(kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Simd};

    const ODD: [f32; 16] = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        1e-42,
        f32::MAX,
        3.7,
        2.0,
        -7.25,
        1e20,
        -1e-20,
        f32::MIN_POSITIVE,
        4.0,
    ];

    struct Each {
        a: [f32; 16],
        b: [f32; 16],
    }

    impl Kernel for Each {
        type Output = [[f32; 16]; 7];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [[f32; 16]; 7] {
            let mut out = [[0.0; 16]; 7];
            for from in (0..16).step_by(S::LANES) {
                let (a, b) = (simd.load_f32(&self.a[from..]), simd.load_f32(&self.b[from..]));
                simd.store_f32(simd.add(a, b), &mut out[0][from..]);
                simd.store_f32(simd.sub(a, b), &mut out[1][from..]);
                simd.store_f32(simd.mul(a, b), &mut out[2][from..]);
                simd.store_f32(simd.div(a, b), &mut out[3][from..]);
                simd.store_f32(simd.sqrt(a), &mut out[4][from..]);
                simd.store_f32(simd.abs(a), &mut out[5][from..]);
                simd.store_f32(simd.select_gt(a, b, a, b), &mut out[6][from..]);
            }
            out
        }
    }

    struct Fold([[f32; 16]; 16]);

    impl Kernel for Fold {
        type Output = [f32; 16];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [f32; 16] {
            simd.fold(&self.0)
        }
    }

    #[test]
    fn every_tier_folds_rows_by_halves() {
        // Sums of these depend on their order.
        let parts: [[f32; 16]; 16] =
            std::array::from_fn(|row| std::array::from_fn(|k| ((row * 31 + k * 17) % 29) as f32 * 10.0f32.powi(k as i32 % 7 - 3)));
        let want = parts.map(|row| crate::reference::row_sum(row.into_iter()).to_bits());
        assert_ne!(want, parts.map(|row| row.iter().sum::<f32>().to_bits()));
        for &level in Level::available() {
            assert_eq!(Tier::at(level).unwrap().run(Fold(parts)).map(f32::to_bits), want, "{level}");
        }
    }

    #[test]
    fn every_tier_computes_as_scalars_do() {
        for &level in Level::available() {
            let tier = Tier::at(level).unwrap();
            for turn in 0..16 {
                let (a, mut b) = (ODD, ODD);
                b.rotate_left(turn);
                let out = tier.run(Each { a, b });
                for lane in 0..16 {
                    let (x, y) = (a[lane], b[lane]);
                    let want = [x + y, x - y, x * y, x / y, x.sqrt(), x.abs(), if x > y { x } else { y }];
                    for (op, want) in want.into_iter().enumerate() {
                        let got = out[op][lane];
                        let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
                        assert!(same, "{level}: operation {op} of {x:?} and {y:?} is {got:?} instead of {want:?}");
                    }
                }
            }
        }
    }
}
