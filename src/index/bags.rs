//! Bags: lists of ids whose rows are pooled into one. Like ids, they are described by the caller and checked by the operation.

use std::fmt;
use std::str::FromStr;

use super::cast::Id;
use super::check::grow;
use super::ids::Ids;
use super::policy::IdPolicy;
use crate::error::{Error, Result};

/// How the rows of a bag become one row. Sums are made in f32, in the order of the ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// `sum of w * row`
    #[default]
    Sum,
    /// The sum divided by the sum of the weights, or by the number of ids. A divisor of zero gives zeros, as TensorFlow's `div_no_nan`.
    Mean,
    /// Column by column, the largest value. A later value replaces an earlier one only if it is greater (PyTorch 2.14): so a NaN stays if it
    /// comes first, and is passed over otherwise. Takes no weights.
    Max,
    /// The sum divided by the root of the sum of the squared weights, or by the root of the number of ids: TensorFlow's `sqrtn`.
    Sqrtn,
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pooling::Sum => "sum",
            Pooling::Mean => "mean",
            Pooling::Max => "max",
            Pooling::Sqrtn => "sqrtn",
        })
    }
}

impl FromStr for Pooling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Pooling> {
        match name {
            "sum" => Ok(Pooling::Sum),
            "mean" => Ok(Pooling::Mean),
            "max" => Ok(Pooling::Max),
            "sqrtn" => Ok(Pooling::Sqrtn),
            _ => Err(Error::UnknownName { what: "pooling", given: name.to_owned(), expected: "sum, mean, max, sqrtn" }),
        }
    }
}

/// Ids in bags, borrowed: where each bag starts, and what else there is to know about it.
///
/// The splits are checked by the operation that uses them, every one of them and not only the first and the last.
///
/// ```
/// use hotrow::{Bags, Pooling, Table, bag};
///
/// let table = Table::<f32>::from_fn(10, 2, |row, _| row as f32)?;
/// let bags = Bags::from_offsets(&[4i64, 5, 9, 1], &[0i64, 2, 2]); // [4, 5], [], [9, 1]
/// let sums = bag(&table, &bags, Pooling::Sum)?;
/// assert_eq!(sums.shape(), [3, 2]);
/// assert_eq!(sums.as_slice(), [9.0, 9.0, 0.0, 0.0, 10.0, 10.0]);
/// let weighted = bag(&table, &bags.with_weights(&[1.0, 0.5, 2.0, 2.0]), Pooling::Mean)?;
/// assert_eq!(weighted.row(2), Some(&[5.0, 5.0][..]));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bags<'a> {
    ids: Ids<'a>,
    splits: Splits<'a>,
    weights: Option<&'a [f32]>,
    padding_idx: Option<i64>,
    default_row: Option<i64>,
}

/// How the ids are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Splits<'a> {
    /// Where each bag starts; the last one ends with the ids.
    Starts(OffsetData<'a>),
    /// Where each bag starts, and the end of the last.
    Bounds(OffsetData<'a>),
    /// How many ids each bag has.
    Lengths(OffsetData<'a>),
    /// So many bags of equal length.
    Equal(usize),
}

impl<'a> Bags<'a> {
    /// Bags by where each starts; the last runs to the end of the ids. PyTorch's `EmbeddingBag(input, offsets)`.
    pub fn from_offsets<O: Offset>(ids: impl Into<Ids<'a>>, offsets: &'a (impl AsRef<[O]> + ?Sized)) -> Bags<'a> {
        Bags::new(ids.into(), Splits::Starts(O::data(offsets.as_ref())))
    }

    /// Bags by where each starts and where the last one ends: one number more than there are bags. PyTorch's `include_last_offset`,
    /// FBGEMM's offsets, TensorFlow's `row_splits`.
    ///
    /// ```
    /// use hotrow::Bags;
    ///
    /// assert_eq!(Bags::from_splits(&[7i32, 8, 9], &[0i32, 1, 3]).count(), 2);
    /// ```
    pub fn from_splits<O: Offset>(ids: impl Into<Ids<'a>>, splits: &'a (impl AsRef<[O]> + ?Sized)) -> Bags<'a> {
        Bags::new(ids.into(), Splits::Bounds(O::data(splits.as_ref())))
    }

    /// Bags by how many ids each has. TorchRec's `lengths`, TensorFlow's `row_lengths`.
    ///
    /// ```
    /// use hotrow::Bags;
    ///
    /// assert_eq!(Bags::from_lengths(&[7i32, 8, 9], &[1i64, 0, 2]).count(), 3);
    /// ```
    pub fn from_lengths<O: Offset>(ids: impl Into<Ids<'a>>, lengths: &'a (impl AsRef<[O]> + ?Sized)) -> Bags<'a> {
        Bags::new(ids.into(), Splits::Lengths(O::data(lengths.as_ref())))
    }

    /// Each row of a `[bags, len]` array of ids is a bag: PyTorch's `EmbeddingBag` of a 2-D input.
    ///
    /// ```
    /// use hotrow::Bags;
    ///
    /// assert_eq!(Bags::from_matrix(&[[1, 2, 3], [4, 5, 6]])?.count(), 2);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BagShape`] when the ids have not two dimensions.
    pub fn from_matrix(ids: impl Into<Ids<'a>>) -> Result<Bags<'a>> {
        let ids = ids.into();
        match *ids.shape() {
            [bags, _] => Ok(Bags::new(ids, Splits::Equal(bags))),
            ref shape => Err(Error::BagShape { shape: shape.to_vec() }),
        }
    }

    fn new(ids: Ids<'a>, splits: Splits<'a>) -> Bags<'a> {
        Bags { ids, splits, weights: None, padding_idx: None, default_row: None }
    }

    /// One weight an id, in the order of the ids: `per_sample_weights`.
    #[must_use]
    pub fn with_weights(self, weights: &'a [f32]) -> Bags<'a> {
        Bags { weights: Some(weights), ..self }
    }

    /// The row that is padding: ids that name it are left out of their bag, do not count for its mean, and get no gradient. A negative
    /// number counts from the end. PyTorch's `padding_idx`.
    #[must_use]
    pub fn with_padding_idx(self, row: i64) -> Bags<'a> {
        Bags { padding_idx: Some(row), ..self }
    }

    /// The row that stands in an empty bag, with weight 1, as if the id had been there: TensorFlow's `safe_embedding_lookup_sparse`
    /// with a `default_id`. A negative number counts from the end. Without it, empty bags give zeros.
    #[must_use]
    pub fn with_default_row(self, row: i64) -> Bags<'a> {
        Bags { default_row: Some(row), ..self }
    }

    /// The same bags, their ids read by another policy.
    #[must_use]
    pub fn with_policy(self, policy: IdPolicy) -> Bags<'a> {
        Bags { ids: self.ids.with_policy(policy), ..self }
    }

    /// How many bags there are.
    pub fn count(&self) -> usize {
        match self.splits {
            Splits::Starts(offsets) | Splits::Lengths(offsets) => offsets.len(),
            Splits::Bounds(offsets) => offsets.len().saturating_sub(1),
            Splits::Equal(bags) => bags,
        }
    }

    /// All ids, bag after bag.
    pub fn ids(&self) -> Ids<'a> {
        self.ids
    }

    /// The weights, if there are any.
    pub fn weights(&self) -> Option<&'a [f32]> {
        self.weights
    }

    /// The row that is padding, if there is one.
    pub fn padding_idx(&self) -> Option<i64> {
        self.padding_idx
    }

    /// The row that stands in empty bags, if there is one.
    pub fn default_row(&self) -> Option<i64> {
        self.default_row
    }

    /// Where each bag starts and where the last one ends, `count() + 1` numbers: checked to start at 0, never to decrease, and to end at the
    /// number of ids.
    ///
    /// ```
    /// use hotrow::Bags;
    ///
    /// assert_eq!(Bags::from_lengths(&[7, 8, 9], &[1i64, 0, 2]).bounds()?, [0, 1, 1, 3]);
    /// let error = Bags::from_offsets(&[7, 8, 9], &[0i64, 2, 1]).bounds().unwrap_err();
    /// assert_eq!(error.to_string(), "offset 1 of bag 2 is below offset 2 of the bag before it");
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BagOffset`], [`Error::BagOrder`], [`Error::BagEnd`], [`Error::BagLength`] name the first number that is wrong;
    /// [`Error::BagSplitsEmpty`], [`Error::TooManyBags`], [`Error::TooManyIds`], [`Error::OutOfMemory`].
    pub fn bounds(&self) -> Result<Vec<u32>> {
        let mut bounds = Vec::new();
        grow(&mut bounds, self.checked_count(0)? + 1)?;
        self.write_bounds(0, &mut bounds)?;
        Ok(bounds)
    }

    /// How many bags there are, if they can be numbered after `before` others. An array without ids can have any number of rows.
    pub(crate) fn checked_count(&self, before: usize) -> Result<usize> {
        let bags = before.saturating_add(self.count());
        if bags < u32::MAX as usize { Ok(self.count()) } else { Err(Error::TooManyBags { bags }) }
    }

    /// [`bounds`](Bags::bounds) into `count() + 1` numbers, all of them `first` higher. Each offset is read once.
    pub(crate) fn write_bounds(&self, first: u32, bounds: &mut [u32]) -> Result<()> {
        let ids = self.ids.len();
        if ids > u32::MAX as usize - first as usize {
            return Err(Error::TooManyIds { ids: ids + first as usize });
        }
        match self.splits {
            Splits::Starts(offsets) => {
                offsets.write(ids, first, bounds)?;
                if let Some(end) = bounds.last_mut() {
                    *end = first + ids as u32;
                }
                if offsets.len() == 0 && ids > 0 {
                    return Err(Error::BagEnd { end: 0, ids });
                }
                Ok(())
            }
            Splits::Bounds(offsets) => {
                if offsets.len() == 0 {
                    return Err(Error::BagSplitsEmpty);
                }
                offsets.write(ids, first, bounds)?;
                match bounds.last() {
                    Some(&end) if end == first + ids as u32 => Ok(()),
                    end => Err(Error::BagEnd { end: end.map_or(0, |&end| (end - first) as usize), ids }),
                }
            }
            Splits::Lengths(lengths) => lengths.accumulate(ids, first, bounds),
            Splits::Equal(bags) => {
                let len = ids.checked_div(bags).unwrap_or(0);
                for (bag, bound) in bounds.iter_mut().enumerate() {
                    *bound = first + (bag * len) as u32;
                }
                Ok(())
            }
        }
    }
}

/// A type that offsets and lengths may have: i32, i64, u32, usize. Sealed.
pub trait Offset: sealed::Offset {}

pub(crate) mod sealed {
    use super::OffsetData;

    pub trait Offset: Copy + 'static {
        fn data(slice: &[Self]) -> OffsetData<'_>;
    }
}

/// The slice behind the splits, by type.
#[derive(Clone, Copy, Debug)]
pub enum OffsetData<'a> {
    I32(&'a [i32]),
    I64(&'a [i64]),
    U32(&'a [u32]),
    Usize(&'a [usize]),
}

macro_rules! offsets {
    ($($t:ty: $name:ident;)*) => { $(
        impl Offset for $t {}
        impl sealed::Offset for $t {
            fn data(slice: &[$t]) -> OffsetData<'_> {
                OffsetData::$name(slice)
            }
        }
    )* };
}

offsets! {
    i32: I32;
    i64: I64;
    u32: U32;
    usize: Usize;
}

macro_rules! for_offset_type {
    ($data:expr, $slice:ident => $body:expr) => {
        match $data {
            OffsetData::I32($slice) => $body,
            OffsetData::I64($slice) => $body,
            OffsetData::U32($slice) => $body,
            OffsetData::Usize($slice) => $body,
        }
    };
}

impl OffsetData<'_> {
    fn len(self) -> usize {
        for_offset_type!(self, offsets => offsets.len())
    }

    /// Writes the offsets, checked: the first is 0, none is below the one before it, none is above `ids`.
    fn write(self, ids: usize, first: u32, bounds: &mut [u32]) -> Result<()> {
        let mut before = 0;
        for_offset_type!(self, offsets => {
            for (bag, (&offset, bound)) in offsets.iter().zip(bounds).enumerate() {
                // Whatever does not fit 128 bits signed does not exist, so nothing is lost here.
                let offset = offset as i128;
                if offset < before || offset > ids as i128 || (bag == 0 && offset != 0) {
                    return Err(explain(bag, offset, before, ids));
                }
                before = offset;
                *bound = first + offset as u32;
            }
        });
        Ok(())
    }

    /// Writes where bags of these lengths start and end.
    fn accumulate(self, ids: usize, first: u32, bounds: &mut [u32]) -> Result<()> {
        let mut end = 0i128;
        bounds[0] = first;
        for_offset_type!(self, lengths => {
            for (bag, (&length, bound)) in lengths.iter().zip(&mut bounds[1..]).enumerate() {
                let length = length as i128;
                if length < 0 || length > ids as i128 - end {
                    return Err(Error::BagLength { bag, length: narrow(length), left: (ids as i128 - end) as usize });
                }
                end += length;
                *bound = first + end as u32;
            }
        });
        if end == ids as i128 { Ok(()) } else { Err(Error::BagEnd { end: end as usize, ids }) }
    }
}

fn explain(bag: usize, offset: i128, before: i128, ids: usize) -> Error {
    if (bag == 0 && offset != 0) || offset < 0 || offset > ids as i128 {
        Error::BagOffset { bag, offset: narrow(offset), ids }
    } else {
        Error::BagOrder { bag, offset: narrow(offset), before: narrow(before) }
    }
}

/// For messages: offsets of 64 unsigned bits above the signed ones are shown as the largest of those.
fn narrow(offset: i128) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// A list of lists of ids, put together: ragged data as NumPy, TensorFlow and Arrow keep it.
///
/// ```
/// use hotrow::{Pooling, Ragged, Table, bag};
///
/// let table = Table::<f32>::from_fn(10, 1, |row, _| row as f32)?;
/// let ragged = Ragged::new([vec![1, 2, 3], vec![], vec![9]]);
/// assert_eq!(bag(&table, &ragged.bags(), Pooling::Sum)?.as_slice(), [6.0, 0.0, 9.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ragged<T> {
    ids: Vec<T>,
    splits: Vec<usize>,
}

impl<T: Id> Ragged<T> {
    /// Copies the lists one behind the other.
    pub fn new<L: AsRef<[T]>>(lists: impl IntoIterator<Item = L>) -> Ragged<T> {
        let mut ragged = Ragged::default();
        for list in lists {
            ragged.ids.extend_from_slice(list.as_ref());
            ragged.splits.push(ragged.ids.len());
        }
        ragged
    }

    /// Each list as a bag.
    pub fn bags(&self) -> Bags<'_> {
        Bags::from_splits(&self.ids, &self.splits)
    }
}

/// No lists.
impl<T> Default for Ragged<T> {
    fn default() -> Ragged<T> {
        Ragged { ids: Vec::new(), splits: vec![0] }
    }
}
