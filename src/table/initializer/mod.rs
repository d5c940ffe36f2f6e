//! How tables are filled at first: Keras's initializers. Each row has a random stream of its own, so that who draws it does not
//! matter.

mod draw;
mod names;
mod orthogonal;
mod part;

/// How a table is filled at first. Names, parameters and defaults are those of Keras 3.15; the random numbers are this crate's own.
///
/// A table `[rows, dim]` has `fan_in = rows` and `fan_out = dim`. Every value depends on the seed, the shape, its row and its
/// column alone. By name, with Keras's default parameters: `"uniform"`, `"glorot_uniform"`, `"HeNormal"`, …
///
/// ```
/// use hotrow::{Initializer, Table};
///
/// let table = Table::<f32>::init(100, 8, Initializer::Uniform { low: 0.0, high: 1.0 }, 42)?;
/// assert!(table.iter().flatten().all(|x| (0.0..1.0).contains(x)));
///
/// let he: Initializer = "he_uniform".parse()?;
/// assert_eq!(he, Initializer::HeUniform);
/// assert_eq!("TruncatedNormal".parse::<Initializer>()?, Initializer::TRUNCATED_NORMAL);
/// assert_eq!(Initializer::UNIFORM.to_string(), "random_uniform");
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
    /// One value everywhere.
    Constant(f32),
    /// Uniform from `low` (included) to `high` (excluded, but for rounding into a narrow element).
    Uniform {
        /// The lower bound; Keras's `minval`.
        low: f32,
        /// The upper bound; Keras's `maxval`.
        high: f32,
    },
    /// Normal.
    Normal {
        /// The mean.
        mean: f32,
        /// The standard deviation; Keras's `stddev`.
        std: f32,
    },
    /// Normal, but what lies more than two standard deviations from the mean is drawn again.
    TruncatedNormal {
        /// The mean.
        mean: f32,
        /// The standard deviation before anything is cut off; Keras's `stddev`.
        std: f32,
    },
    /// Of variance `scale / fan`, whatever the distribution.
    VarianceScaling {
        /// The variance times the fan: above zero.
        scale: f32,
        /// Which fan.
        mode: Fan,
        /// Drawn from what.
        distribution: Spread,
    },
    /// Variance scaling by 1 / average fan, uniform: within the root of `6 / (rows + dim)`.
    GlorotUniform,
    /// Variance scaling by 1 / average fan, truncated normal.
    GlorotNormal,
    /// Variance scaling by 2 / fan in, uniform: within the root of `6 / rows`.
    HeUniform,
    /// Variance scaling by 2 / fan in, truncated normal.
    HeNormal,
    /// Variance scaling by 1 / fan in, uniform: within the root of `3 / rows`.
    LecunUniform,
    /// Variance scaling by 1 / fan in, truncated normal.
    LecunNormal,
    /// Orthogonal columns, or orthogonal rows where there are fewer of these, each of length `gain`: the Q of the QR decomposition,
    /// with a positive diagonal of R, of a matrix of normal draws.
    ///
    /// It takes `2 · max(rows, dim) · min(rows, dim)²` multiplications and additions, and 12 bytes a value beside the table while
    /// it is made. More than 2^38 multiplications are refused.
    Orthogonal {
        /// The length of each vector.
        gain: f32,
    },
    /// `gain` where row and column are the same number, else 0; any shape.
    Identity {
        /// The value on the diagonal.
        gain: f32,
    },
}

/// Which of a table's sizes [`Initializer::VarianceScaling`] divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fan {
    /// Keras's `fan_in`: the rows.
    In,
    /// Keras's `fan_out`: the dim.
    Out,
    /// Keras's `fan_avg`: the average of both.
    Average,
}

/// What [`Initializer::VarianceScaling`] draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spread {
    /// Keras's `truncated_normal`: normal, what lies more than two standard deviations off drawn again, and widened so that the
    /// variance is right after that.
    TruncatedNormal,
    /// Keras's `untruncated_normal`.
    Normal,
    /// Keras's `uniform`.
    Uniform,
}

impl Initializer {
    /// Keras's `"uniform"` and `"random_uniform"`.
    pub const UNIFORM: Initializer = Initializer::Uniform { low: -0.05, high: 0.05 };
    /// Keras's `"normal"` and `"random_normal"`.
    pub const NORMAL: Initializer = Initializer::Normal { mean: 0.0, std: 0.05 };
    /// Keras's `"truncated_normal"`.
    pub const TRUNCATED_NORMAL: Initializer = Initializer::TruncatedNormal { mean: 0.0, std: 0.05 };
    /// Keras's `"variance_scaling"`.
    pub const VARIANCE_SCALING: Initializer =
        Initializer::VarianceScaling { scale: 1.0, mode: Fan::In, distribution: Spread::TruncatedNormal };
    /// Keras's `"orthogonal"`.
    pub const ORTHOGONAL: Initializer = Initializer::Orthogonal { gain: 1.0 };
    /// Keras's `"identity"`.
    pub const IDENTITY: Initializer = Initializer::Identity { gain: 1.0 };

    /// Whether there is something to draw from.
    pub(crate) fn is_sound(self) -> bool {
        match self {
            Initializer::Uniform { low, high } => low.is_finite() && high.is_finite() && low <= high && (high - low).is_finite(),
            Initializer::Normal { mean, std } | Initializer::TruncatedNormal { mean, std } => {
                mean.is_finite() && std.is_finite() && std >= 0.0
            }
            Initializer::VarianceScaling { scale, .. } => scale.is_finite() && scale > 0.0,
            Initializer::Orthogonal { gain } | Initializer::Identity { gain } => gain.is_finite(),
            Initializer::Zeros
            | Initializer::Ones
            | Initializer::Constant(_)
            | Initializer::GlorotUniform
            | Initializer::GlorotNormal
            | Initializer::HeUniform
            | Initializer::HeNormal
            | Initializer::LecunUniform
            | Initializer::LecunNormal => true,
        }
    }

    /// Whether its spread depends on the table's shape.
    pub(crate) fn has_fans(self) -> bool {
        matches!(
            self,
            Initializer::VarianceScaling { .. }
                | Initializer::GlorotUniform
                | Initializer::GlorotNormal
                | Initializer::HeUniform
                | Initializer::HeNormal
                | Initializer::LecunUniform
                | Initializer::LecunNormal
        )
    }

    /// Whether the seed has a say.
    pub(crate) fn is_random(self) -> bool {
        !matches!(self, Initializer::Zeros | Initializer::Ones | Initializer::Constant(_) | Initializer::Identity { .. })
    }
}
