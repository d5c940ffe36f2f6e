//! Draws rows.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::orthogonal::Orthogonal;
use super::{Fan, Initializer, Spread};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::simd::Out;

/// The standard deviation of a standard normal cut off at two of its deviations, as Keras has it.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// Where truncated normals are cut off, in standard deviations.
const CUT_OFF: f32 = 2.0;

enum Rule {
    Constant(f32),
    Uniform { low: f32, width: f32 },
    Normal { mean: f32, std: f32 },
    TruncatedNormal { mean: f32, std: f32 },
    Identity { gain: f32 },
    Orthogonal(Orthogonal),
}

/// An initializer with its bounds settled.
pub(in crate::table) struct Draw {
    rule: Rule,
    stream: ChaCha8Rng,
}

impl Initializer {
    /// Settles the bounds for a shape.
    pub(in crate::table) fn prepare(self, rows: usize, dim: usize, seed: u64) -> Result<Draw> {
        if !self.is_sound() {
            return Err(Error::InvalidInitializer { initializer: format!("{self:?}") });
        }
        let stream = ChaCha8Rng::seed_from_u64(seed);
        let rule = match self {
            Initializer::Zeros => Rule::Constant(0.0),
            Initializer::Ones => Rule::Constant(1.0),
            Initializer::Constant(value) => Rule::Constant(value),
            // There is nothing to draw; the sum is what drawing would give.
            Initializer::Uniform { low, high } if low == high => Rule::Constant(low + (high - low)),
            Initializer::Uniform { low, high } => Rule::Uniform { low, width: high - low },
            Initializer::Normal { mean, std } => Rule::Normal { mean, std },
            Initializer::TruncatedNormal { mean, std } => Rule::TruncatedNormal { mean, std },
            Initializer::VarianceScaling { scale, mode, distribution } => scaled(scale, mode, distribution, rows, dim),
            Initializer::GlorotUniform => scaled(1.0, Fan::Average, Spread::Uniform, rows, dim),
            Initializer::GlorotNormal => scaled(1.0, Fan::Average, Spread::TruncatedNormal, rows, dim),
            Initializer::HeUniform => scaled(2.0, Fan::In, Spread::Uniform, rows, dim),
            Initializer::HeNormal => scaled(2.0, Fan::In, Spread::TruncatedNormal, rows, dim),
            Initializer::LecunUniform => scaled(1.0, Fan::In, Spread::Uniform, rows, dim),
            Initializer::LecunNormal => scaled(1.0, Fan::In, Spread::TruncatedNormal, rows, dim),
            Initializer::Identity { gain } => Rule::Identity { gain },
            Initializer::Orthogonal { gain } => {
                let normal = Draw { rule: Rule::Normal { mean: 0.0, std: 1.0 }, stream: stream.clone() };
                Rule::Orthogonal(Orthogonal::of(rows, dim, gain, &normal)?)
            }
        };
        Ok(Draw { rule, stream })
    }
}

/// Variance scaling for a shape.
fn scaled(scale: f32, mode: Fan, distribution: Spread, rows: usize, dim: usize) -> Rule {
    let fan = match mode {
        Fan::In => rows as f64,
        Fan::Out => dim as f64,
        Fan::Average => (rows as f64 + dim as f64) / 2.0,
    };
    let variance = f64::from(scale) / fan.max(1.0);
    match distribution {
        Spread::TruncatedNormal => Rule::TruncatedNormal { mean: 0.0, std: (variance.sqrt() / TRUNCATED_STD) as f32 },
        Spread::Normal => Rule::Normal { mean: 0.0, std: variance.sqrt() as f32 },
        Spread::Uniform => {
            let limit = (3.0 * variance).sqrt() as f32;
            Rule::Uniform { low: -limit, width: 2.0 * limit }
        }
    }
}

impl Draw {
    /// Writes row `row`: its values come from the generator's stream of that number.
    pub(in crate::table) fn row<E: Element>(&self, row: usize, dim: usize, out: &mut Out<'_, E>) {
        let mut stream = self.stream.clone();
        stream.set_stream(row as u64);
        for column in 0..dim {
            let value = match &self.rule {
                Rule::Constant(value) => *value,
                Rule::Uniform { low, width } => low + width * unit(&mut stream),
                Rule::Normal { mean, std } => mean + std * normal(&mut stream),
                Rule::TruncatedNormal { mean, std } => mean + std * truncated(&mut stream),
                Rule::Identity { gain } => {
                    if row == column {
                        *gain
                    } else {
                        0.0
                    }
                }
                Rule::Orthogonal(matrix) => matrix.value(row, column),
            };
            out.push(E::from_f32(value));
        }
    }
}

/// Uniform in `[0, 1)`: 24 bits, all that an f32 of that range holds evenly.
fn unit(stream: &mut ChaCha8Rng) -> f32 {
    (stream.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
}

fn normal(stream: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(stream)
}

/// A standard normal within the cut-off: one draw in 22 is made again.
fn truncated(stream: &mut ChaCha8Rng) -> f32 {
    loop {
        let z = normal(stream);
        if z.abs() <= CUT_OFF {
            return z;
        }
    }
}
