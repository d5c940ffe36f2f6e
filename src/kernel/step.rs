//! One step of an optimizer on a few rows whose gradients are summed.

use super::squares::sum_of_squares;
use crate::element::{DType, Element, lanes};
use crate::optim::{Noise, RUN, RowRule, StepOptions};
use crate::par::TileMut;
use crate::simd::{Kernel, Simd};

/// Applies `rule` to `rows`, once each.
pub(crate) struct StepRows<'a, 'g, 't, R, E> {
    pub(crate) rule: R,
    pub(crate) options: StepOptions,
    /// Whole rows if the rule or an option looks at a row as a whole; else any columns that start at a multiple of four.
    pub(crate) table: &'a mut TileMut<'t, E>,
    /// Two states for each value and one for each row (whose tile is one column wide). Those that the rule has not are not touched.
    pub(crate) states: &'a mut [TileMut<'t, f32>; 3],
    pub(crate) rows: &'a [u32],
    /// `[rows.len(), columns]`. Overwritten with whatever is of use on the way.
    pub(crate) grads: &'g mut [f32],
}

impl<R: RowRule, E: Element> Kernel for StepRows<'_, '_, '_, R, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let columns = self.table.columns();
        let dim = columns.len();
        if dim == 0 {
            return;
        }
        // An f32 weight is never rounded.
        let noise = if matches!(E::DTYPE, DType::F32) { None } else { self.options.noise };
        let staged = noise.is_some() || self.options.max_norm.is_some();
        let [first, second, per_row] = self.states;
        for (at, &row) in self.rows.iter().enumerate() {
            let Some(cells) = self.table.row(row) else { continue };
            let states = [state_row::<0, R>(first, row), state_row::<1, R>(second, row)];
            let grad = &mut self.grads[at * dim..(at + 1) * dim];
            if self.options.clip.is_some() || self.options.l2.is_some() {
                prepare(simd, self.options, cells, grad);
            }
            let factor = match per_row.row(row) {
                Some(state) if R::PER_ROW => self.rule.row(simd, grad, &mut state[0]),
                _ => 0.0,
            };
            if staged {
                update::<S, R, E, true>(simd, self.rule, factor, self.options.keep, cells, grad, states);
                if let Some(max) = self.options.max_norm {
                    limit_norm(simd, grad, max);
                }
                match noise {
                    Some(noise) => round_at_random(noise, row, columns.start, grad, cells),
                    None => round(simd, grad, cells),
                }
            } else {
                update::<S, R, E, false>(simd, self.rule, factor, self.options.keep, cells, grad, states);
            }
        }
    }
}

/// A row of the rule's state number `N`; nothing where it has fewer.
#[inline(always)]
fn state_row<'a, const N: usize, R: RowRule>(state: &'a mut TileMut<'_, f32>, row: u32) -> &'a mut [f32] {
    match state.row(row) {
        Some(cells) if N < R::PER_VALUE => cells,
        _ => &mut [],
    }
}

/// The gradient as the rule is to see it: clipped, and with the weights' decay in it.
#[inline(always)]
fn prepare<S: Simd, E: Element>(simd: S, options: StepOptions, cells: &[E], grad: &mut [f32]) {
    // Without a limit everything is within it, and an infinity is left as it is.
    let limit = options.clip.unwrap_or(f32::INFINITY);
    let (low, high) = (simd.splat(-limit), simd.splat(limit));
    let mut at = 0;
    while at < grad.len() {
        let mut g = load_any(simd, grad, at);
        g = simd.select_gt(g, high, high, g);
        g = simd.select_gt(low, g, low, g);
        if let Some(decay) = options.l2 {
            g = simd.add(g, simd.mul(simd.splat(decay), load_any(simd, cells, at)));
        }
        store_any(simd, g, grad, at);
        at += S::LANES;
    }
}

/// The rule on a whole row. The new weights go to the table, or with `STAGED` to where the gradient was, not yet rounded.
#[inline(always)]
fn update<S: Simd, R: RowRule, E: Element, const STAGED: bool>(
    simd: S,
    rule: R,
    factor: f32,
    keep: f32,
    cells: &mut [E],
    grad: &mut [f32],
    states: [&mut [f32]; 2],
) {
    let mut columns = Columns { cells, grad, states, factor: simd.splat(factor), keep: simd.splat(keep) };
    let dim = columns.grad.len();
    let mut at = 0;
    while at + S::LANES <= dim {
        columns.update::<S, R, STAGED, true>(simd, rule, at);
        at += S::LANES;
    }
    if at < dim {
        columns.update::<S, R, STAGED, false>(simd, rule, at);
    }
}

/// A row, and what goes with it.
struct Columns<'a, V, E> {
    cells: &'a mut [E],
    grad: &'a mut [f32],
    states: [&'a mut [f32]; 2],
    factor: V,
    keep: V,
}

impl<V: Copy, E: Element> Columns<'_, V, E> {
    /// The vector at `at`, all of whose lanes are there if it is `WHOLE`.
    #[inline(always)]
    fn update<S: Simd<V = V>, R: RowRule, const STAGED: bool, const WHOLE: bool>(&mut self, simd: S, rule: R, at: usize) {
        let w = simd.mul(load::<S, E, WHOLE>(simd, self.cells, at), self.keep);
        let g = load::<S, f32, WHOLE>(simd, self.grad, at);
        let mut state = [w; 2];
        if R::PER_VALUE > 0 {
            state[0] = load::<S, f32, WHOLE>(simd, self.states[0], at);
        }
        if R::PER_VALUE > 1 {
            state[1] = load::<S, f32, WHOLE>(simd, self.states[1], at);
        }
        let w = rule.update(simd, self.factor, w, g, &mut state);
        if R::PER_VALUE > 0 {
            store::<S, f32, WHOLE>(simd, state[0], self.states[0], at);
        }
        if R::PER_VALUE > 1 {
            store::<S, f32, WHOLE>(simd, state[1], self.states[1], at);
        }
        if STAGED {
            store::<S, f32, WHOLE>(simd, w, self.grad, at);
        } else {
            store::<S, E, WHOLE>(simd, w, self.cells, at);
        }
    }
}

/// Scales a row of a greater norm than `max` to that norm.
#[inline(always)]
fn limit_norm<S: Simd>(simd: S, row: &mut [f32], max: f32) {
    let norm = sum_of_squares(simd, row).sqrt();
    if norm > max {
        let scale = simd.splat(max / norm);
        let mut at = 0;
        while at < row.len() {
            store_any(simd, simd.mul(load_any(simd, row, at), scale), row, at);
            at += S::LANES;
        }
    }
}

/// Rounds to nearest.
#[inline(always)]
fn round<S: Simd, E: Element>(simd: S, from: &[f32], to: &mut [E]) {
    let mut at = 0;
    while at < from.len() {
        store_any(simd, load_any(simd, from, at), to, at);
        at += S::LANES;
    }
}

/// Rounds at random, in blocks of as many columns as there are words in a run.
#[inline(always)]
fn round_at_random<E: Element>(noise: Noise, row: u32, first_column: usize, from: &[f32], to: &mut [E]) {
    debug_assert!(first_column.is_multiple_of(4), "a run of random words starts at a multiple of four columns");
    let mut at = 0;
    while at < from.len() {
        let words = noise.run(row, first_column + at);
        let end = (at + words.len()).min(from.len());
        let mut exact = [0.0; RUN];
        let mut rounded = [E::default(); RUN];
        exact[..end - at].copy_from_slice(&from[at..end]);
        for k in 0..RUN {
            rounded[k] = E::round_at_random(exact[k], words[k]);
        }
        to[at..end].copy_from_slice(&rounded[..end - at]);
        at = end;
    }
}

/// A vector from `at` on; unless it is whole, the lanes past the end are zero.
#[inline(always)]
fn load<S: Simd, E: Element, const WHOLE: bool>(simd: S, from: &[E], at: usize) -> S::V {
    if WHOLE { E::load(simd, &from[at..]) } else { lanes::load_part(simd, &from[at..]) }
}

/// Writes a vector from `at` on; unless it is whole, as far as there is room.
#[inline(always)]
fn store<S: Simd, E: Element, const WHOLE: bool>(simd: S, v: S::V, to: &mut [E], at: usize) {
    if WHOLE { E::store(simd, v, &mut to[at..]) } else { lanes::store_part(simd, v, &mut to[at..]) }
}

/// A vector from `at` on, whole or not.
#[inline(always)]
fn load_any<S: Simd, E: Element>(simd: S, from: &[E], at: usize) -> S::V {
    if from.len() - at >= S::LANES { load::<S, E, true>(simd, from, at) } else { load::<S, E, false>(simd, from, at) }
}

/// Writes a vector from `at` on, whole or not.
#[inline(always)]
fn store_any<S: Simd, E: Element>(simd: S, v: S::V, to: &mut [E], at: usize) {
    if to.len() - at >= S::LANES { store::<S, E, true>(simd, v, to, at) } else { store::<S, E, false>(simd, v, to, at) }
}
