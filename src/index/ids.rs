//! Ids as a user has them: a slice of any numeric type, a shape, and how to read them.

use super::cast::{Id, sealed::Cast as _};
use super::policy::IdPolicy;
use super::value::{IdType, IdValue};
use crate::error::{Error, Result};
use half::{bf16, f16};

/// Borrowed ids of any numeric type and any shape.
///
/// Made from slices, arrays, nested arrays (two dimensions) and references to single numbers (no dimension), or from a slice
/// with a shape:
///
/// ```
/// use hotrow::{Ids, Table, gather};
///
/// let table = Table::<f32>::zeros(10, 4)?;
/// assert_eq!(gather(&table, &[3, 1])?.shape(), [2, 4]);
/// assert_eq!(gather(&table, &[[3u8, 1, 0], [4, 1, 5]])?.shape(), [2, 3, 4]);
/// assert_eq!(gather(&table, &7.9f32)?.shape(), [4]); // row 7: floats truncate toward zero
/// assert_eq!(gather(&table, Ids::new(&[3u64, 1, 0, 4], &[2, 1, 2])?)?.shape(), [2, 1, 2, 4]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a> {
    data: IdData<'a>,
    shape: Shape<'a>,
    policy: IdPolicy,
}

/// The slice behind [`Ids`], by type: one pass is compiled for each, everything after it sees row numbers.
#[derive(Clone, Copy, Debug)]
pub enum IdData<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    Usize(&'a [usize]),
    Bool(&'a [bool]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
    F32(&'a [f32]),
    F64(&'a [f64]),
}

/// Evaluates `$body` with `$slice` bound to the typed slice.
macro_rules! for_id_type {
    ($data:expr, $slice:ident => $body:expr) => {
        match $data {
            IdData::I8($slice) => $body,
            IdData::I16($slice) => $body,
            IdData::I32($slice) => $body,
            IdData::I64($slice) => $body,
            IdData::U8($slice) => $body,
            IdData::U16($slice) => $body,
            IdData::U32($slice) => $body,
            IdData::U64($slice) => $body,
            IdData::Usize($slice) => $body,
            IdData::Bool($slice) => $body,
            IdData::F16($slice) => $body,
            IdData::BF16($slice) => $body,
            IdData::F32($slice) => $body,
            IdData::F64($slice) => $body,
        }
    };
}
pub(crate) use for_id_type;

/// Up to two dimensions are kept in place, so that the common shapes borrow and allocate nothing.
#[derive(Clone, Copy, Debug)]
enum Shape<'a> {
    Scalar,
    Vector([usize; 1]),
    Matrix([usize; 2]),
    Slice(&'a [usize]),
}

impl<'a> Ids<'a> {
    /// Ids of a shape, in row-major order.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when the product of `shape` is not the number of ids; [`Error::SizeOverflow`] when that
    /// product does not fit.
    pub fn new<T: Id>(ids: &'a [T], shape: &'a [usize]) -> Result<Ids<'a>> {
        let needed = product(shape).ok_or(Error::SizeOverflow { shape: shape.to_vec(), element_bytes: size_of::<T>() })?;
        if needed != ids.len() {
            return Err(Error::ShapeMismatch { what: "ids", expected: shape.to_vec(), needed, actual: ids.len() });
        }
        Ok(Ids { data: T::data(ids), shape: Shape::Slice(shape), policy: IdPolicy::STRICT })
    }

    /// The same ids, read by another policy.
    #[must_use]
    pub fn with_policy(self, policy: IdPolicy) -> Ids<'a> {
        Ids { policy, ..self }
    }

    /// How these ids are read.
    pub fn policy(&self) -> IdPolicy {
        self.policy
    }

    /// The dimensions; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        match &self.shape {
            Shape::Scalar => &[],
            Shape::Vector(dims) => dims,
            Shape::Matrix(dims) => dims,
            Shape::Slice(dims) => dims,
        }
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        for_id_type!(self.data, ids => ids.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the ids.
    pub fn dtype(&self) -> IdType {
        fn of<T: Id>(_: &[T]) -> IdType {
            T::TYPE
        }
        for_id_type!(self.data, ids => of(ids))
    }

    /// The id at a flat position, as given; `None` past the end.
    pub fn get(&self, position: usize) -> Option<IdValue> {
        for_id_type!(self.data, ids => ids.get(position).map(|id| id.value()))
    }

    /// A part of a flat list of ids.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Ids<'a> {
        fn of<T: Id>(ids: &[T], range: std::ops::Range<usize>) -> IdData<'_> {
            T::data(&ids[range])
        }
        let shape = Shape::Vector([range.len()]);
        Ids { data: for_id_type!(self.data, ids => of(ids, range)), shape, policy: self.policy }
    }

    /// Which ids are not zero, as given: NaN is not, -0.0 is.
    pub(crate) fn nonzero(&self) -> Vec<bool> {
        fn of<T: Id + Default + PartialEq>(ids: &[T]) -> Vec<bool> {
            ids.iter().map(|id| *id != T::default()).collect()
        }
        for_id_type!(self.data, ids => of(ids))
    }

    pub(crate) fn data(&self) -> IdData<'a> {
        self.data
    }

    /// A flat position as one number per dimension.
    pub(crate) fn unravel(&self, flat: usize) -> Vec<usize> {
        let mut rest = flat;
        let mut position: Vec<usize> = self
            .shape()
            .iter()
            .rev()
            .map(|&size| {
                let at = rest % size.max(1);
                rest /= size.max(1);
                at
            })
            .collect();
        position.reverse();
        position
    }
}

/// `None` when it does not fit. A zero anywhere makes it zero, whatever the others are.
pub(crate) fn product(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}

impl<'a, T: Id> From<&'a [T]> for Ids<'a> {
    fn from(ids: &'a [T]) -> Ids<'a> {
        Ids { data: T::data(ids), shape: Shape::Vector([ids.len()]), policy: IdPolicy::STRICT }
    }
}

impl<'a, T: Id> From<&'a Vec<T>> for Ids<'a> {
    fn from(ids: &'a Vec<T>) -> Ids<'a> {
        Ids::from(ids.as_slice())
    }
}

impl<'a, T: Id, const N: usize> From<&'a [T; N]> for Ids<'a> {
    fn from(ids: &'a [T; N]) -> Ids<'a> {
        Ids::from(ids.as_slice())
    }
}

impl<'a, T: Id, const N: usize, const M: usize> From<&'a [[T; N]; M]> for Ids<'a> {
    fn from(ids: &'a [[T; N]; M]) -> Ids<'a> {
        Ids { data: T::data(ids.as_flattened()), shape: Shape::Matrix([M, N]), policy: IdPolicy::STRICT }
    }
}

impl<'a, T: Id> From<&'a T> for Ids<'a> {
    fn from(id: &'a T) -> Ids<'a> {
        Ids { data: T::data(std::slice::from_ref(id)), shape: Shape::Scalar, policy: IdPolicy::STRICT }
    }
}
