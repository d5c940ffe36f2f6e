//! One step of an optimizer on a few rows whose gradients are summed.
//!
//! The arithmetic is f32's whatever the table's element: a row of 16-bit weights is widened, stepped and rounded. So a rule is compiled once
//! for each tier, and an option once, not once for each rule and element; a row pays for that with a few calls.

use super::dot::sum_of_squares;
use crate::element::Element;
use crate::element::lanes::{self, AnySliceMut};
use crate::optim::{Noise, RUN, RowRule, StepOptions, Wider};
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
    /// `[rows.len(), columns]`, or the columns of the wider table that this one is a part of. Overwritten with whatever is of use on the way.
    pub(crate) grads: &'g mut [f32],
    /// Room for the weights of a row.
    pub(crate) weights: &'g mut [f32],
    /// Rows that come later, not more than there are `rows`: each is asked for while one of `rows` is computed, so that memory is never
    /// without work, nor the processor.
    pub(crate) next: &'a [u32],
}

impl<R: RowRule, E: Element> Kernel for StepRows<'_, '_, '_, R, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.options.wider {
            // What treats each column by itself never has one, and is not compiled for it.
            Some(wider) if R::PER_ROW => self.step::<S, true>(simd, wider),
            _ => {
                let whole = Wider { first: 0, dim: self.table.columns().len() };
                self.step::<S, false>(simd, whole);
            }
        }
    }
}

impl<R: RowRule, E: Element> StepRows<'_, '_, '_, R, E> {
    /// `PART`: the table is some of the columns that the gradients have.
    #[inline(always)]
    fn step<S: Simd, const PART: bool>(self, simd: S, wider: Wider) {
        let columns = self.table.columns();
        let dim = columns.len();
        if dim == 0 {
            return;
        }
        let width = if PART { wider.dim } else { dim };
        let [first, second, per_row] = self.states;
        for (at, &row) in self.rows.iter().enumerate() {
            if let Some(&next) = self.next.get(at) {
                fetch(simd, self.table, next);
                if R::PER_VALUE > 0 {
                    fetch(simd, first, next);
                }
                if R::PER_VALUE > 1 {
                    fetch(simd, second, next);
                }
                if R::PER_ROW {
                    fetch(simd, per_row, next);
                }
            }
            let Some(cells) = self.table.row(row) else { continue };
            let step = StepRow {
                rule: self.rule,
                options: self.options,
                grad: &mut self.grads[at * width..(at + 1) * width],
                first: wider.first,
                states: [state_row::<0, R>(first, row), state_row::<1, R>(second, row)],
                of_row: if R::PER_ROW { per_row.row(row).unwrap_or(&mut []) } else { &mut [] },
            };
            match E::erase_mut(cells) {
                AnySliceMut::F32(weights) => step.run::<S, true, PART>(simd, weights),
                AnySliceMut::F16(cells) => {
                    step.run_exactly::<S, _, PART>(simd, (row, columns.start), cells, &mut self.weights[..dim])
                }
                AnySliceMut::BF16(cells) => {
                    step.run_exactly::<S, _, PART>(simd, (row, columns.start), cells, &mut self.weights[..dim])
                }
            }
        }
    }
}

#[inline(always)]
fn fetch<S: Simd, E>(simd: S, tile: &TileMut<'_, E>, row: u32) {
    if let Some(row) = tile.peek(row) {
        simd.prefetch(row);
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

/// What goes with the weights of one row.
struct StepRow<'a, R> {
    rule: R,
    options: StepOptions,
    grad: &'a mut [f32],
    /// Which column of the gradient is the first of the weights.
    first: usize,
    states: [&'a mut [f32]; 2],
    /// The row's own state; nothing if the rule has none.
    of_row: &'a mut [f32],
}

impl<R: RowRule> StepRow<'_, R> {
    /// `HERE`: the rule is compiled into the caller, which is a tenth faster for rows of f32.
    #[inline(always)]
    fn run<S: Simd, const HERE: bool, const PART: bool>(self, simd: S, weights: &mut [f32]) {
        let StepOptions { clip, l2, keep, max_norm, .. } = self.options;
        let grad = self.grad;
        if clip.is_some() || l2.is_some() {
            simd.call(Prepare { clip, l2, weights, grad });
        }
        let (rule, first, states, of_row) = (self.rule, self.first, self.states, self.of_row);
        let update = Update::<R, PART> { rule, keep, weights, grad, first, states, of_row };
        if HERE {
            update.run(simd)
        } else {
            simd.call(update)
        }
        if let Some(max) = max_norm {
            simd.call(LimitNorm { row: weights, max });
        }
    }

    /// The row at this number and first column, widened into `exact`, stepped, and rounded once.
    #[inline(always)]
    fn run_exactly<S: Simd, E: Element, const PART: bool>(
        self,
        simd: S,
        (row, column): (u32, usize),
        cells: &mut [E],
        exact: &mut [f32],
    ) {
        let noise = self.options.noise;
        simd.call(WidenRow { from: cells, to: exact });
        self.run::<S, false, PART>(simd, exact);
        match noise {
            Some(noise) => simd.call(RoundAtRandom { noise, row, first_column: column, from: exact, to: cells }),
            None => simd.call(Round { from: exact, to: cells }),
        }
    }
}

/// The gradient as the rule is to see it: clipped, and with the weights' decay in it.
struct Prepare<'a> {
    clip: Option<f32>,
    l2: Option<f32>,
    weights: &'a [f32],
    grad: &'a mut [f32],
}

impl Kernel for Prepare<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // Without a limit everything is within it, and an infinity is left as it is.
        let limit = self.clip.unwrap_or(f32::INFINITY);
        let (low, high) = (simd.splat(-limit), simd.splat(limit));
        let mut at = 0;
        while at < self.grad.len() {
            let mut g = load_any(simd, self.grad, at);
            g = simd.select_gt(g, high, high, g);
            g = simd.select_gt(low, g, low, g);
            if let Some(decay) = self.l2 {
                g = simd.add(g, simd.mul(simd.splat(decay), load_any(simd, self.weights, at)));
            }
            store_any(simd, g, self.grad, at);
            at += S::LANES;
        }
    }
}

/// The rule on a row: on all of it, or, of a `PART`, on the columns of the gradient from `first` on.
struct Update<'a, R, const PART: bool> {
    rule: R,
    keep: f32,
    weights: &'a mut [f32],
    grad: &'a [f32],
    first: usize,
    states: [&'a mut [f32]; 2],
    of_row: &'a mut [f32],
}

impl<R: RowRule, const PART: bool> Kernel for Update<'_, R, PART> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let factor = match self.of_row.first_mut() {
            Some(state) => self.rule.row(simd, self.grad, state),
            None => 0.0,
        };
        let [first, second] = self.states;
        let weights = self.weights;
        let grad = if PART { &self.grad[self.first..self.first + weights.len()] } else { self.grad };
        let mut columns = Columns { weights, grad, first, second, factor: simd.splat(factor), keep: simd.splat(self.keep) };
        let dim = grad.len();
        let mut at = 0;
        while at + S::LANES <= dim {
            columns.update::<S, R, true>(simd, self.rule, at);
            at += S::LANES;
        }
        if at < dim {
            columns.update::<S, R, false>(simd, self.rule, at);
        }
    }
}

/// A row, and what goes with it.
struct Columns<'a, V> {
    weights: &'a mut [f32],
    grad: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    factor: V,
    keep: V,
}

impl<V: Copy> Columns<'_, V> {
    /// The vector at `at`, all of whose lanes are there if it is `WHOLE`.
    #[inline(always)]
    fn update<S: Simd<V = V>, R: RowRule, const WHOLE: bool>(&mut self, simd: S, rule: R, at: usize) {
        let w = simd.mul(load::<S, f32, WHOLE>(simd, self.weights, at), self.keep);
        let g = load::<S, f32, WHOLE>(simd, self.grad, at);
        let mut state = [w; 2];
        if R::PER_VALUE > 0 {
            state[0] = load::<S, f32, WHOLE>(simd, self.first, at);
        }
        if R::PER_VALUE > 1 {
            state[1] = load::<S, f32, WHOLE>(simd, self.second, at);
        }
        let w = rule.update(simd, self.factor, w, g, &mut state);
        if R::PER_VALUE > 0 {
            store::<S, f32, WHOLE>(simd, state[0], self.first, at);
        }
        if R::PER_VALUE > 1 {
            store::<S, f32, WHOLE>(simd, state[1], self.second, at);
        }
        store::<S, f32, WHOLE>(simd, w, self.weights, at);
    }
}

/// Scales a row of a greater norm than `max` to that norm.
struct LimitNorm<'a> {
    row: &'a mut [f32],
    max: f32,
}

impl Kernel for LimitNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let norm = sum_of_squares(simd, self.row).sqrt();
        if norm > self.max {
            let scale = simd.splat(self.max / norm);
            let mut at = 0;
            while at < self.row.len() {
                store_any(simd, simd.mul(load_any(simd, self.row, at), scale), self.row, at);
                at += S::LANES;
            }
        }
    }
}

/// Widens a row exactly.
struct WidenRow<'a, E> {
    from: &'a [E],
    to: &'a mut [f32],
}

impl<E: Element> Kernel for WidenRow<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        copy_row(simd, self.from, self.to);
    }
}

/// Rounds a row to nearest.
struct Round<'a, E> {
    from: &'a [f32],
    to: &'a mut [E],
}

impl<E: Element> Kernel for Round<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        copy_row(simd, self.from, self.to);
    }
}

#[inline(always)]
fn copy_row<S: Simd, A: Element, B: Element>(simd: S, from: &[A], to: &mut [B]) {
    let mut at = 0;
    while at < from.len() {
        store_any(simd, load_any(simd, from, at), to, at);
        at += S::LANES;
    }
}

/// Rounds a row at random, in blocks of as many columns as there are words in a run.
struct RoundAtRandom<'a, E> {
    noise: Noise,
    row: u32,
    first_column: usize,
    from: &'a [f32],
    to: &'a mut [E],
}

impl<E: Element> Kernel for RoundAtRandom<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        debug_assert!(self.first_column.is_multiple_of(4), "a run of random words starts at a multiple of four columns");
        let mut at = 0;
        while at < self.from.len() {
            let words = self.noise.run(self.row, self.first_column + at);
            let end = (at + words.len()).min(self.from.len());
            let mut exact = [0.0; RUN];
            let mut rounded = [E::default(); RUN];
            exact[..end - at].copy_from_slice(&self.from[at..end]);
            for k in 0..RUN {
                rounded[k] = E::round_at_random(exact[k], words[k]);
            }
            self.to[at..end].copy_from_slice(&rounded[..end - at]);
            at = end;
        }
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

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::optim::{Optimizer, Parts, Rounding, Rule, Sgd, WeightDecay, WithRule};
    use crate::par::{self, Grid, Tile, Tiles};
    use crate::reference::{self, RowGradients};
    use crate::simd::{Level, Tier};
    use crate::table::{Table, TableViewMut};

    /// A step on one thread, without anything around it.
    struct Step<'a, E> {
        tier: Tier,
        table: TableViewMut<'a, E>,
        states: [TableViewMut<'a, f32>; 3],
        options: StepOptions,
        gradient: &'a RowGradients,
    }

    impl<E: Element> WithRule for Step<'_, E> {
        type Output = ();

        fn run<R: RowRule>(self, rule: R) {
            let (rows, dim, options) = (self.table.rows(), self.table.dim(), self.options);
            let numbers: Vec<u32> = self.gradient.keys().map(|&row| row as u32).collect();
            let values: Vec<f32> = self.gradient.values().flatten().copied().collect();
            let mut whole = Tiles::default();
            whole.push(Tile { grid: 0, rows: 0..rows, columns: 0..dim, updates: 0..0 });
            let [first, second, row] = self.states;
            let mut grids = [(Grid::from(self.table), [grid(first, rows), grid(second, rows), grid(row, rows)])];
            par::tiles(1, &mut grids, &whole, &|_, (mut table, mut states)| {
                let (mut grads, mut weights) = (values.clone(), vec![0.0; dim]);
                let (table, states) = (&mut table, &mut states);
                self.tier.run(StepRows {
                    rule,
                    options,
                    table,
                    states,
                    rows: &numbers,
                    grads: &mut grads,
                    weights: &mut weights,
                    next: &[],
                });
            });
        }
    }

    /// A state's grid; of no columns if there is none.
    fn grid(state: TableViewMut<'_, f32>, rows: usize) -> Grid<'_, f32> {
        if state.dim() == 0 { Grid::none(rows) } else { Grid::from(state) }
    }

    /// SplitMix64.
    fn next(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Ordinary numbers, now and then of extreme size; NaN and infinities among them if `odd`.
    fn value(seed: &mut u64, odd: bool) -> f32 {
        let z = next(seed);
        match z % 24 {
            0 if odd => f32::NAN,
            1 if odd => f32::INFINITY,
            2 if odd => f32::NEG_INFINITY,
            3 if odd => f32::from_bits(z as u32 ^ (z >> 32) as u32),
            4 => -0.0,
            5 => 0.0,
            6 => f32::from_bits((z >> 40) as u32 % 0x0080_0000),
            7 => 1e-20,
            8 => 1e-5,
            9 if odd => 65_519.9,
            10 if odd => f32::MAX,
            _ => ((z >> 32) as i32) as f32 / 2.0f32.powi(31),
        }
    }

    fn assert_same<E: Element>(got: &[E], want: &[E], context: &str) {
        for (at, (got, want)) in got.iter().zip(want).enumerate() {
            let (got, want) = (got.to_f32(), want.to_f32());
            assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{context}: {at} is {got:?}, not {want:?}");
        }
    }

    /// Three steps of the kernel on every tier, and of the reference.
    fn check<E: Element>(make: &dyn Fn() -> Optimizer, odd: bool) {
        let (rows, dim, width) = (make().rows(), make().dim(), make().gradient_dim());
        let mut seed = (dim as u64) << 1 | u64::from(odd);
        let values: Vec<E> = (0..rows * dim).map(|_| E::from_f32(value(&mut seed, odd))).collect();
        let mut steps: Vec<RowGradients> = Vec::new();
        for step in 0..3 {
            let named = (0..rows).filter(|row| (row + step) % 3 != 0);
            steps.push(named.map(|row| (row, (0..width).map(|_| value(&mut seed, odd)).collect())).collect());
        }
        let mut want = make();
        let mut want_table = Table::from_slice(&values, rows, dim).unwrap();
        for gradient in &steps {
            reference::step(&mut want, want_table.view_mut(), gradient).unwrap();
        }
        for &level in Level::available() {
            let mut got = make();
            let mut table = Table::from_slice(&values, rows, dim).unwrap();
            for gradient in &steps {
                let Parts { rule, step, options, states } = got.parts();
                let tier = Tier::at(level).unwrap();
                rule.prepare(step, Step { tier, table: table.view_mut(), states, options, gradient });
                got.advance();
            }
            let context = format!("{want:?} of {} on {level}, odd {odd}", E::DTYPE);
            assert_same(&table.to_vec(), &want_table.to_vec(), &context);
            for ((name, got), (_, want)) in got.state().zip(want.state()) {
                assert_same(&got.to_vec(), &want.to_vec(), &format!("{name} of {context}"));
            }
        }
    }

    fn check_all(make: &dyn Fn() -> Optimizer) {
        for odd in [false, true] {
            check::<f32>(make, odd);
            check::<f16>(make, odd);
            check::<bf16>(make, odd);
        }
    }

    fn rules() -> Vec<Rule> {
        let mut rules: Vec<Rule> = Rule::NAMES.iter().map(|name| name.parse().unwrap()).collect();
        rules.push(Sgd { momentum: 0.9, ..Sgd::default() }.into());
        rules.push(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() }.into());
        rules.into_iter().map(|rule| rule.with_lr(0.1)).collect()
    }

    #[test]
    fn every_rule_and_dim_is_the_reference() {
        for rule in rules() {
            for dim in [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 130, 257] {
                check_all(&|| Optimizer::new(rule, 5, dim).unwrap());
            }
        }
    }

    #[test]
    fn every_part_of_a_row_is_the_reference() {
        for rule in rules().into_iter().filter(|rule| rule.states().per_row.is_some()) {
            for (dim, first, whole) in [(1, 0, 2), (3, 4, 7), (16, 16, 33), (41, 1, 130)] {
                let new = || Optimizer::new(rule, 5, dim).unwrap().of_columns(first..first + dim, whole).unwrap();
                check_all(&new);
                check_all(&|| new().with_clip_value(0.25).unwrap().with_rounding(Rounding::Stochastic { seed: 9 }));
                check_all(&|| new().with_weight_decay(WeightDecay::Decoupled(0.3)).unwrap());
            }
        }
    }

    #[test]
    fn every_option_is_the_reference() {
        let random = Rounding::Stochastic { seed: 0x0123_4567_89ab_cdef };
        for rule in rules() {
            for dim in [3, 16, 41] {
                let new = || Optimizer::new(rule, 7, dim).unwrap();
                check_all(&|| new().with_rounding(random));
                check_all(&|| new().with_clip_value(0.25).unwrap());
                check_all(&|| new().with_max_row_norm(0.5).unwrap());
                check_all(&|| new().with_max_row_norm(1e30).unwrap().with_rounding(random).with_clip_value(1e-3).unwrap());
                if !matches!(rule, Rule::AdamW(_)) {
                    check_all(&|| new().with_weight_decay(WeightDecay::L2(0.1)).unwrap());
                    check_all(&|| new().with_weight_decay(WeightDecay::L2(0.1)).unwrap().with_clip_value(0.1).unwrap());
                }
                if !matches!(rule, Rule::AdamW(_) | Rule::Ftrl(_)) {
                    check_all(&|| new().with_weight_decay(WeightDecay::Decoupled(0.3)).unwrap().with_rounding(random));
                }
            }
        }
    }
}
