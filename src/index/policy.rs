//! The three choices that tell the systems apart, and their names.

/// How an id of any type becomes an integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cast {
    /// The default. Floats truncate toward zero, as Keras's cast does (-0.75 is 0); NaN, infinity and whatever does not fit a
    /// signed 64-bit integer is an error. Equals [`KerasCall`](Cast::KerasCall) wherever that loses nothing.
    #[default]
    Checked,
    /// What the `call` of Keras 2's first `Embedding` does: everything that is not int32 is C-cast to int32. Integers wrap
    /// (2^32 + 1 is row 1); NaN and floats outside of int32 become -2^31, as on x86. JAX and Keras 3 on PyTorch cast so too.
    KerasCall,
    /// As `KerasCall`, but int64 stays int64: tf_keras 2, Keras 3 on TensorFlow and NumPy.
    KeepInt64,
    /// int32 and int64 alone are ids, every other type is an error: PyTorch.
    NoCast,
}

/// What a negative id means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Negative {
    /// The default: it is out of range. Keras 2, PyTorch, TensorFlow's gather.
    #[default]
    Refused,
    /// -1 is the last row, and -rows the first. Keras 3, NumPy, JAX.
    FromEnd,
    /// It is no id: gathering gives a row of the fill value or of zeros, scattering skips it, and bags leave it out, as they then do
    /// with every id that names no row. TensorFlow's `safe_embedding_lookup_sparse`, and the habit of padding with -1.
    Skipped,
}

/// What happens to an id that names no row.
#[derive(Clone, Copy, Debug, Default)]
pub enum OutOfRange {
    /// The default: the call is refused and nothing is written. TensorFlow on a CPU, PyTorch, NumPy.
    #[default]
    Error,
    /// The nearest row is meant: JAX's `clip` mode. A table without rows has none, so there it is an error.
    Clamp,
    /// Gathering gives a row of this value, scattering skips the update. NaN is JAX's `fill` mode; zero is TensorFlow's gather
    /// on a GPU, and FBGEMM's answer for a pruned row (-1).
    Fill(f32),
}

/// Compared by bits: a fill of NaN equals itself.
impl PartialEq for OutOfRange {
    fn eq(&self, other: &OutOfRange) -> bool {
        match (self, other) {
            (OutOfRange::Error, OutOfRange::Error) | (OutOfRange::Clamp, OutOfRange::Clamp) => true,
            (OutOfRange::Fill(a), OutOfRange::Fill(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

/// How ids are read: three independent choices. The default is strict: nothing wraps, nothing is guessed.
///
/// | name | cast | negative | out of range | recorded from |
/// |---|---|---|---|---|
/// | [`STRICT`](IdPolicy::STRICT) (default) | checked | refused | error | |
/// | [`KERAS_CALL`](IdPolicy::KERAS_CALL) | Keras call | refused | error | the `call` of Keras 2's first `Embedding`, on TensorFlow 2.21.0 |
/// | [`TF_KERAS2`](IdPolicy::TF_KERAS2) | keep int64 | refused | error | tf_keras 2.21.0 |
/// | [`KERAS3_TENSORFLOW`](IdPolicy::KERAS3_TENSORFLOW) | keep int64 | from the end | error | Keras 3.15.1, TensorFlow 2.21.0 |
/// | [`KERAS3_NUMPY`](IdPolicy::KERAS3_NUMPY) | keep int64 | from the end | error | Keras 3.15.1, NumPy 2.4.6 |
/// | [`KERAS3_JAX`](IdPolicy::KERAS3_JAX) | Keras call | from the end | fill NaN | Keras 3.15.1, JAX 0.10.2 |
/// | [`KERAS3_TORCH`](IdPolicy::KERAS3_TORCH) | Keras call | from the end | error | Keras 3.15.1, PyTorch 2.14.1 |
/// | [`TORCH`](IdPolicy::TORCH) | no cast | refused | error | `torch.nn.functional.embedding` of PyTorch 2.14.1 |
/// | [`JAX_CLIP`](IdPolicy::JAX_CLIP) | Keras call | from the end | clamp | JAX's documented `clip` mode; not recorded |
/// | [`TF_SAFE`](IdPolicy::TF_SAFE) | keep int64 | skipped | error | `safe_embedding_lookup_sparse` of TensorFlow 2.21.0 |
/// | [`ZERO_FILL`](IdPolicy::ZERO_FILL) | checked | refused | fill 0 | TensorFlow's documented gather on a GPU, FBGEMM's pruned rows; not recorded |
///
/// The recorded answers, 290 cases for each of seven systems, are tests of this crate.
///
/// ```
/// use hotrow::{IdPolicy, Ids, Table, gather};
///
/// let table = Table::<f32>::from_fn(4, 2, |row, _| row as f32)?;
/// let ids = [0i64, -1];
/// assert!(gather(&table, &ids).is_err());
/// let rows = gather(&table, Ids::from(&ids).with_policy(IdPolicy::KERAS3_NUMPY))?;
/// assert_eq!(rows.as_slice(), [0.0, 0.0, 3.0, 3.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IdPolicy {
    /// How an id becomes an integer.
    pub cast: Cast,
    /// What a negative id means.
    pub negative: Negative,
    /// What happens to an id that names no row.
    pub out_of_range: OutOfRange,
}

impl IdPolicy {
    /// The default.
    pub const STRICT: IdPolicy = IdPolicy::new(Cast::Checked, Negative::Refused, OutOfRange::Error);
    /// The `call` of Keras 2's first `Embedding`, word for word.
    pub const KERAS_CALL: IdPolicy = IdPolicy::new(Cast::KerasCall, Negative::Refused, OutOfRange::Error);
    /// `tf_keras.layers.Embedding`, the last Keras 2.
    pub const TF_KERAS2: IdPolicy = IdPolicy::new(Cast::KeepInt64, Negative::Refused, OutOfRange::Error);
    /// `keras.layers.Embedding` of Keras 3 on TensorFlow.
    pub const KERAS3_TENSORFLOW: IdPolicy = IdPolicy::new(Cast::KeepInt64, Negative::FromEnd, OutOfRange::Error);
    /// `keras.layers.Embedding` of Keras 3 on NumPy.
    pub const KERAS3_NUMPY: IdPolicy = IdPolicy::new(Cast::KeepInt64, Negative::FromEnd, OutOfRange::Error);
    /// `keras.layers.Embedding` of Keras 3 on JAX. Where JAX's float cast saturates (NaN is 0), ours gives -2^31 as x86 does.
    pub const KERAS3_JAX: IdPolicy = IdPolicy::new(Cast::KerasCall, Negative::FromEnd, OutOfRange::Fill(f32::NAN));
    /// `keras.layers.Embedding` of Keras 3 on PyTorch, which has no uint64: here it is cast like the others.
    pub const KERAS3_TORCH: IdPolicy = IdPolicy::new(Cast::KerasCall, Negative::FromEnd, OutOfRange::Error);
    /// `torch.nn.functional.embedding`.
    pub const TORCH: IdPolicy = IdPolicy::new(Cast::NoCast, Negative::Refused, OutOfRange::Error);
    /// `jnp.take(mode="clip")`.
    pub const JAX_CLIP: IdPolicy = IdPolicy::new(Cast::KerasCall, Negative::FromEnd, OutOfRange::Clamp);
    /// `tf.nn.safe_embedding_lookup_sparse`: bags leave negative ids out.
    pub const TF_SAFE: IdPolicy = IdPolicy::new(Cast::KeepInt64, Negative::Skipped, OutOfRange::Error);
    /// Rows of zeros for ids that name no row.
    pub const ZERO_FILL: IdPolicy = IdPolicy::new(Cast::Checked, Negative::Refused, OutOfRange::Fill(0.0));

    /// A policy of the three choices.
    pub const fn new(cast: Cast, negative: Negative, out_of_range: OutOfRange) -> IdPolicy {
        IdPolicy { cast, negative, out_of_range }
    }
}
