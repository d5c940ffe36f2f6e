//! Orthogonal matrices: modified Gram-Schmidt in f64, in a fixed order.
//!
//! Gram-Schmidt and not Householder: its R has a positive diagonal, which is the sign that Keras corrects the Q of a Householder
//! decomposition to, and each of its steps is one independent task per remaining vector. What it loses of orthogonality grows with
//! the condition of the matrix times 1e-16; a square matrix of normal draws is conditioned no worse than about its size squared.

use super::draw::Draw;
use crate::error::{Error, Result};
use crate::par::{self, Parallelism};
use crate::simd::{Kernel, Out, Simd, Tier};
use crate::sums::dot;
use crate::table::memory::{Buffer, FILL_BYTES};

/// The most multiplications: some minutes on two cores.
const MOST_WORK: u128 = 1 << 38;

/// `[rows, dim]` with orthogonal columns, or rows where these are fewer.
pub(super) struct Orthogonal {
    /// The orthogonal vectors one after the other, each of length 1.
    vectors: Vec<f64>,
    /// The length of a vector: the larger of rows and dim.
    len: usize,
    /// Whether the vectors are the table's columns.
    columns: bool,
    gain: f64,
}

impl Orthogonal {
    /// The Q of a matrix of draws.
    pub(super) fn of(rows: usize, dim: usize, gain: f32, normal: &Draw) -> Result<Orthogonal> {
        let (len, count, columns) = (rows.max(dim), rows.min(dim), rows >= dim);
        let work = len as u128 * (count as u128).pow(2);
        if work > MOST_WORK {
            return Err(Error::OrthogonalTooLarge { rows, dim });
        }
        let mut vectors = draw(rows, dim, columns, normal)?;
        orthonormalize(&mut vectors, len);
        Ok(Orthogonal { vectors, len, columns, gain: f64::from(gain) })
    }

    pub(super) fn value(&self, row: usize, column: usize) -> f32 {
        let at = if self.columns { column * self.len + row } else { row * self.len + column };
        (self.gain * self.vectors[at]) as f32
    }
}

/// Normal draws as vectors. Each row comes from its own stream, as in any random table.
fn draw(rows: usize, dim: usize, columns: bool, normal: &Draw) -> Result<Vec<f64>> {
    let n = rows * dim;
    let bytes = n.saturating_mul(size_of::<f64>());
    let workers = Parallelism::Auto.workers_for(bytes);
    let block = (FILL_BYTES / size_of::<f32>() / dim.max(1)).max(1) * dim;
    let drawn = Buffer::<f32>::written(n, workers, block, &|first, piece: &mut Out<'_, f32>| {
        let mut row = first / dim.max(1);
        while piece.remaining() > 0 {
            normal.row(row, dim, piece);
            row += 1;
        }
    })?;
    let mut vectors: Vec<f64> = Vec::new();
    vectors.try_reserve_exact(n).map_err(|_| Error::OutOfMemory { bytes })?;
    vectors.resize(n, 0.0);
    let len = rows.max(dim);
    par::chunks_mut(workers, &mut vectors, len, &|first, vector| {
        for (at, value) in vector.iter_mut().enumerate() {
            let from = if columns { at * dim + first / len } else { first + at };
            *value = f64::from(drawn[from]);
        }
    });
    Ok(vectors)
}

fn orthonormalize(vectors: &mut [f64], len: usize) {
    let tier = Tier::best();
    let mut rest = vectors;
    while !rest.is_empty() {
        let (pivot, others) = rest.split_at_mut(len);
        tier.run(Normalize { vector: pivot });
        let workers = Parallelism::Auto.workers_for(2 * size_of_val(others));
        let pivot = &*pivot;
        par::chunks_mut(workers, others, len, &|_, vector| tier.run(Project { vector, pivot }));
        rest = others;
    }
}

/// Makes a vector's length 1; zeros stay.
struct Normalize<'a> {
    vector: &'a mut [f64],
}

impl Kernel for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let norm = dot(self.vector, self.vector).sqrt();
        if norm > 0.0 {
            for value in self.vector {
                *value /= norm;
            }
        }
    }
}

/// Takes what points along `pivot` out of a vector.
struct Project<'a> {
    vector: &'a mut [f64],
    pivot: &'a [f64],
}

impl Kernel for Project<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let along = dot(self.vector, self.pivot);
        for (value, pivot) in self.vector.iter_mut().zip(self.pivot) {
            *value -= along * pivot;
        }
    }
}
