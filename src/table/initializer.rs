//! Random tables. Each row has a stream of its own, so that who draws it does not matter.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::simd::Out;

/// How a table is filled at first. Names and defaults are Keras's.
///
/// ```
/// use hotrow::{Initializer, Table};
///
/// let table = Table::<f32>::init(100, 8, Initializer::Uniform { low: 0.0, high: 1.0 }, 42)?;
/// assert!(table.iter().flatten().all(|x| (0.0..1.0).contains(x)));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// Zeros.
    Zeros,
    /// One value everywhere.
    Constant(f32),
    /// Uniform from `low` (included) to `high` (excluded, but for rounding into a narrow element).
    Uniform {
        /// The lower bound.
        low: f32,
        /// The upper bound.
        high: f32,
    },
    /// Normal.
    Normal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        std: f32,
    },
    /// Uniform within the root of `6 / (rows + dim)`, as `[rows, dim]` is a weight matrix with `rows` inputs and `dim` outputs.
    GlorotUniform,
}

impl Initializer {
    /// Keras's `"uniform"`.
    pub const UNIFORM: Initializer = Initializer::Uniform { low: -0.05, high: 0.05 };
    /// Keras's `"normal"`.
    pub const NORMAL: Initializer = Initializer::Normal { mean: 0.0, std: 0.05 };

    pub(super) fn prepare(self, rows: usize, dim: usize, seed: u64) -> Result<Draw> {
        let sound = match self {
            Initializer::Uniform { low, high } => low.is_finite() && high.is_finite() && low <= high && (high - low).is_finite(),
            Initializer::Normal { mean, std } => mean.is_finite() && std.is_finite() && std >= 0.0,
            Initializer::Zeros | Initializer::Constant(_) | Initializer::GlorotUniform => true,
        };
        if !sound {
            return Err(Error::InvalidInitializer { initializer: format!("{self:?}") });
        }
        let rule = match self {
            Initializer::Zeros => Rule::Constant(0.0),
            Initializer::Constant(value) => Rule::Constant(value),
            Initializer::Uniform { low, high } => Rule::Uniform { low, width: high - low },
            Initializer::Normal { mean, std } => Rule::Normal { mean, std },
            Initializer::GlorotUniform => {
                let limit = (6.0 / (rows as f64 + dim as f64).max(1.0)).sqrt() as f32;
                Rule::Uniform { low: -limit, width: 2.0 * limit }
            }
        };
        Ok(Draw { rule, stream: ChaCha8Rng::seed_from_u64(seed) })
    }
}

enum Rule {
    Constant(f32),
    Uniform { low: f32, width: f32 },
    Normal { mean: f32, std: f32 },
}

/// An initializer with its bounds settled.
pub(super) struct Draw {
    rule: Rule,
    stream: ChaCha8Rng,
}

impl Draw {
    /// Writes row `row`: its values come from the generator's stream of that number.
    pub(super) fn row<E: Element>(&self, row: usize, dim: usize, out: &mut Out<'_, E>) {
        let mut stream = self.stream.clone();
        stream.set_stream(row as u64);
        for _ in 0..dim {
            let value = match self.rule {
                Rule::Constant(value) => value,
                Rule::Uniform { low, width } => low + width * unit(&mut stream),
                Rule::Normal { mean, std } => {
                    let z: f32 = StandardNormal.sample(&mut stream);
                    mean + std * z
                }
            };
            out.push(E::from_f32(value));
        }
    }
}

/// Uniform in `[0, 1)`: 24 bits, all that an f32 of that range holds evenly.
fn unit(stream: &mut ChaCha8Rng) -> f32 {
    (stream.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
}
