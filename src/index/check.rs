//! The one pass that reads ids: each is read once, cast, checked against the row count and narrowed to u32. What was checked is
//! what is used, even if somebody writes to the ids meanwhile.

use super::cast::{Id, sealed::Cast as _};
use super::ids::{IdData, Ids, for_id_type};
use super::policy::{Cast, IdPolicy, Negative, OutOfRange};
use super::value::IdType;
use crate::error::{Error, Result};
use crate::par::{self, Parallelism};
use crate::simd::{Kernel, Simd, Tier};

/// Stands for "no row": a table has at most 2^32 - 1 rows, so no row has this number.
pub(crate) const MISSING: u32 = u32::MAX;

/// Row numbers below `bound`, or [`MISSING`] where ids out of range are filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowIds<'a> {
    rows: &'a [u32],
    bound: usize,
}

impl<'a> RowIds<'a> {
    /// Row numbers that [`check_into`] wrote, with a base of 0.
    pub(crate) fn checked(rows: &'a [u32], bound: usize) -> RowIds<'a> {
        RowIds { rows, bound }
    }

    pub(crate) fn as_slice(self) -> &'a [u32] {
        self.rows
    }

    pub(crate) fn len(self) -> usize {
        self.rows.len()
    }

    /// The row count that every id was checked against.
    pub(crate) fn bound(self) -> usize {
        self.bound
    }
}

/// Ids a task of the pass: small enough to balance, large enough to forget the counter.
const BLOCK: usize = 32 * 1024;

/// Checks `ids` against a table of `rows` rows, into `buffer`.
pub(crate) fn check<'b>(
    ids: &Ids<'_>,
    rows: usize,
    buffer: &'b mut Vec<u32>,
    tier: Tier,
    parallelism: Parallelism,
) -> Result<RowIds<'b>> {
    let n = ids.len();
    if n > u32::MAX as usize {
        return Err(Error::TooManyIds { ids: n });
    }
    grow(buffer, n)?;
    let buffer = &mut buffer[..n];
    check_into(ids, rows, 0, buffer, tier, parallelism)?;
    Ok(RowIds { rows: buffer, bound: rows })
}

/// [`check`] into as many numbers as there are ids, all but [`MISSING`] raised by `base`: `base + rows` must not be above 2^32 - 1.
pub(crate) fn check_into(
    ids: &Ids<'_>,
    rows: usize,
    base: u32,
    out: &mut [u32],
    tier: Tier,
    parallelism: Parallelism,
) -> Result<()> {
    let policy = ids.policy();
    let dtype = ids.dtype();
    debug_assert!(ids.len() == out.len() && base as usize + rows <= MISSING as usize);
    if policy.cast == Cast::NoCast && !matches!(ids.data(), IdData::I32(_) | IdData::I64(_)) {
        return Err(Error::IdTypeRefused { dtype });
    }
    let workers = if out.len() > 2 * BLOCK { parallelism.degree() } else { 1 };
    let sound = for_id_type!(ids.data(), typed => {
        if workers == 1 {
            tier.run(Pass { ids: typed, policy, rows, base, out })
        } else {
        let failed = std::sync::atomic::AtomicBool::new(false);
        par::chunks_mut(workers, out, BLOCK, &|first, out| {
            let pass = Pass { ids: &typed[first..first + out.len()], policy, rows, base, out };
            if !tier.run(pass) {
                failed.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        });
        !failed.into_inner()
        }
    });
    if sound { Ok(()) } else { Err(explain(ids, rows, out)) }
}

/// Makes room for `n` values. What is there already stays, so that a buffer in use for long is not filled at every call.
pub(crate) fn grow<T: Copy + Default>(buffer: &mut Vec<T>, n: usize) -> Result<()> {
    if buffer.len() < n {
        let bytes = n.saturating_mul(size_of::<T>());
        buffer.try_reserve_exact(n - buffer.len()).map_err(|_| Error::OutOfMemory { bytes })?;
        buffer.resize(n, T::default());
    }
    Ok(())
}

/// The slow half: where and why. The fast pass left [`MISSING`] at every id that it refused.
fn explain(ids: &Ids<'_>, rows: usize, checked: &[u32]) -> Error {
    let policy = ids.policy();
    let filled = matches!(policy.out_of_range, OutOfRange::Fill(_));
    let skips = policy.negative == Negative::Skipped;
    for_id_type!(ids.data(), typed => {
        // Where filling or skipping is allowed, MISSING is no sign of failure: only a failed cast is.
        let bad = |&at: &usize| checked[at] == MISSING && {
            let (integer, castable) = to_integer(typed[at], policy.cast);
            !(castable && (filled || skips && integer < 0))
        };
        let flat = (0..checked.len()).find(bad).unwrap_or(0);
        let (position, value) = (ids.unravel(flat), typed[flat].value());
        if to_integer(typed[flat], policy.cast).1 {
            Error::IdOutOfRange { position, value, rows, from_end: policy.negative == Negative::FromEnd }
        } else {
            Error::IdNotCastable { position, value, dtype: ids.dtype() }
        }
    })
}

#[inline(always)]
fn to_integer<T: Id>(id: T, cast: Cast) -> (i64, bool) {
    if wraps::<T>(cast) { (i64::from(id.wrapped()), true) } else { id.checked() }
}

/// Whether this cast goes through int32.
#[inline(always)]
fn wraps<T: Id>(cast: Cast) -> bool {
    match cast {
        Cast::Checked | Cast::NoCast => false,
        Cast::KeepInt64 => !matches!(T::TYPE, IdType::I64),
        Cast::KerasCall => true,
    }
}

/// One block of ids. Returns whether all were good.
struct Pass<'a, T> {
    ids: &'a [T],
    policy: IdPolicy,
    rows: usize,
    base: u32,
    out: &'a mut [u32],
}

impl<T: Id> Kernel for Pass<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        if wraps::<T>(self.policy.cast) { self.each::<true>() } else { self.each::<false>() }
    }
}

impl<T: Id> Pass<'_, T> {
    /// The other choices are numbers, so that one loop serves them all and compiles to a straight line.
    #[inline(always)]
    fn each<const WRAP: bool>(self) -> bool {
        let rows = self.rows as i64;
        let from_end = if self.policy.negative == Negative::FromEnd { rows } else { 0 };
        let clamps = matches!(self.policy.out_of_range, OutOfRange::Clamp) && rows > 0;
        let (low, high) = if clamps { (0, rows - 1) } else { (i64::MIN, i64::MAX) };
        let fills = matches!(self.policy.out_of_range, OutOfRange::Fill(_));
        let skips = self.policy.negative == Negative::Skipped;
        let base = self.base;
        let mut sound = true;
        for (&id, out) in self.ids.iter().zip(self.out) {
            let (integer, castable) = if WRAP { (i64::from(id.wrapped()), true) } else { id.checked() };
            let row = (integer + if integer < 0 { from_end } else { 0 }).clamp(low, high);
            let skipped = skips & (integer < 0);
            let inside = ((row as u64) < rows as u64) & !skipped;
            sound &= castable & (inside | fills | skipped);
            *out = if inside & castable { row as u32 + base } else { MISSING };
        }
        sound
    }
}
