//! Steps of an optimizer: the gradients of each row are summed and applied at once, tile by tile.
//!
//! A tile's rows belong to one worker. It sums the gradients of a few rows, which stay in the nearest cache, applies the rule to those rows,
//! and goes on; meanwhile the rows, states and gradients that come next are on their way from memory. Rows with so many gradients that one
//! worker would be held up are summed first, by all workers, each some of the columns.

use crate::element::Element;
use crate::error::Result;
use crate::index::grow;
use crate::kernel::{Sources, StepRows, prefetch_distance, unpack};
use crate::ops::gradient::{Gradient, Run};
use crate::ops::sums::{Chunk, ROWS, Room, Rooms, Shares, Span, count_rows, cut_sums, sum_tile};
use crate::ops::{SparseGrad, Workspace};
use crate::optim::{Optimizer, Parts, RowRule, Rule, StepOptions, WithRule, refuse_non_finite};
use crate::par::{self, Grid, Tile, TileMut, Tiles};
use crate::simd::Tier;
use crate::table::{AnyViewMut, TableViewMut};

impl Optimizer {
    /// One step: the gradients of equal ids are summed in the order of the ids, and each row that has any moves once.
    ///
    /// ```
    /// use hotrow::{Gradient, Optimizer, Sgd, Table};
    ///
    /// let mut table = Table::<f32>::zeros(10, 2)?;
    /// let mut optimizer = Optimizer::new(Sgd { lr: 0.5, ..Sgd::default() }, 10, 2)?;
    /// optimizer.step(&mut table, Gradient::of_gather(&[4, 4], &[1.0f32, 2.0, 1.0, 2.0]))?;
    /// assert_eq!(table.row(4), Some(&[-1.0, -2.0][..]));
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Workspace::step`].
    pub fn step<'t, E: Element>(&mut self, table: impl Into<TableViewMut<'t, E>>, gradient: Gradient<'_>) -> Result<()> {
        Workspace::new().step(self, table, gradient)
    }
}

impl Workspace {
    /// [`Optimizer::step`] in this workspace: allocates nothing once the workspace has seen as many ids, unless the optimizer
    /// has to look at the whole gradient first (`clip_norm`, finite check) or rows are wider than 2,048 values.
    ///
    /// # Errors
    /// Those of the lookup and of its gradient, as [`sparse_grad`](crate::sparse_grad());
    /// [`Error::OptimizerShape`](crate::Error::OptimizerShape) when the optimizer was made for a table of another shape;
    /// [`Error::NonFiniteGradient`](crate::Error::NonFiniteGradient) where the optimizer checks. Table and state are unchanged then.
    pub fn step<'t, E: Element>(
        &mut self,
        optimizer: &mut Optimizer,
        table: impl Into<TableViewMut<'t, E>>,
        gradient: Gradient<'_>,
    ) -> Result<()> {
        self.step_any(optimizer, table.into().erase(), gradient)
    }

    /// Matches the element, so that the kernels are compiled in this crate and not in every crate that trains.
    fn step_any(&mut self, optimizer: &mut Optimizer, table: AnyViewMut<'_>, gradient: Gradient<'_>) -> Result<()> {
        match table {
            AnyViewMut::F32(table) => self.step_typed(optimizer, table, gradient),
            AnyViewMut::F16(table) => self.step_typed(optimizer, table, gradient),
            AnyViewMut::BF16(table) => self.step_typed(optimizer, table, gradient),
        }
    }

    fn step_typed<E: Element>(
        &mut self,
        optimizer: &mut Optimizer,
        table: TableViewMut<'_, E>,
        gradient: Gradient<'_>,
    ) -> Result<()> {
        let [rows, dim] = [table.rows(), table.dim()];
        optimizer.check_table(rows, dim)?;
        // Of the table, or of a wider one that it is some columns of.
        let width = optimizer.gradient_dim();
        self.rooms.reserve(self.parallelism.degree(), width)?;
        if optimizer.needs_whole_gradient() {
            let mut summed = self.sparse_grad(gradient, rows, width)?;
            look_at(optimizer, &mut summed)?;
            self.step_summed(optimizer, table, &summed);
        } else if let Some(summed) = gradient.summed([rows, width])? {
            self.step_summed(optimizer, table, summed);
        } else {
            let run = Run { tier: self.tier, parallelism: self.parallelism };
            let batch = gradient.take(&mut self.batch, [rows, width], run)?;
            let sources = gradient.sources(batch, width, &mut self.scales)?;
            let bytes = batch.rows().len().saturating_mul(width * 2 * size_of::<E>());
            let workers = run.parallelism.workers_for(bytes);
            let spans = [Span { base: 0, rows, dim: width }];
            self.shares.cut(batch.plan(), &spans, workers);
            let job = Job { sources, words: batch.plan().words(), spans: &spans, tier: self.tier };
            let rooms = &self.rooms;
            self.heavy.sum(&job, &self.shares, workers)?;
            let Parts { rule, step, options, states } = optimizer.parts();
            let own = Rows { rule, step, options };
            let mut grids = [(Grid::from(table), grids(states, rows))];
            let heavy = &self.heavy;
            par::tiles(workers, &mut grids, &heavy.tiles, &|tile, part| job.step_summed(own, tile, part, (heavy, rooms)));
            par::tiles(workers, &mut grids, &self.shares.even, &|tile, part| job.step(own, tile, part, rooms));
            if let Some(touched) = optimizer.touched_mut() {
                touched.mark_words(batch.updates(), 0);
            }
        }
        optimizer.advance();
        Ok(())
    }

    /// A step on gradients that have been summed by row. There are rooms for their rows.
    pub(super) fn step_summed<E: Element>(&mut self, optimizer: &mut Optimizer, table: TableViewMut<'_, E>, summed: &SparseGrad) {
        let [rows, dim] = [table.rows(), table.dim()];
        let workers = self.parallelism.workers_for(summed.values().len().saturating_mul(size_of::<f32>() + 2 * size_of::<E>()));
        self.tiles.clear();
        let numbers = summed.rows();
        let share = numbers.len().div_ceil(8 * workers).max(64);
        for from in (0..numbers.len()).step_by(share) {
            let updates = from..(from + share).min(numbers.len());
            let own = numbers[from] as usize..numbers[updates.end - 1] as usize + 1;
            self.tiles.push(Tile { grid: 0, rows: own, columns: 0..dim, updates });
        }
        let Parts { rule, step, options, states } = optimizer.parts();
        let own = Rows { rule, step, options };
        let mut grids = [(Grid::from(table), grids(states, rows))];
        let (tier, rooms) = (self.tier, &self.rooms);
        par::tiles(workers, &mut grids, &self.tiles, &|tile, (table, states)| {
            let (rows, width) = (&numbers[tile.updates.clone()], summed.dim());
            let source = Summed { rows, values: &summed.values()[tile.updates.start * width..], width, stride: width };
            own.rule.prepare(own.step, StepSummed { tier, options, table, states, source, rooms });
        });
        if let Some(touched) = optimizer.touched_mut() {
            numbers.iter().for_each(|&row| touched.set(row as usize));
        }
    }
}

/// What an optimizer does with the whole gradient before anything is changed: refuse it, or scale it.
pub(super) fn look_at(optimizer: &Optimizer, gradient: &mut SparseGrad) -> Result<()> {
    if optimizer.finite_check() {
        refuse_non_finite(gradient.rows(), gradient.values(), gradient.dim())?;
    }
    if let Some(max) = optimizer.clip_norm() {
        gradient.clip_by_norm(max);
    }
    Ok(())
}

/// The states of an optimizer, to be cut along with the rows of its table.
pub(super) fn grids(states: [TableViewMut<'_, f32>; 3], rows: usize) -> [Grid<'_, f32>; 3] {
    states.map(|state| if state.dim() == 0 { Grid::none(rows) } else { Grid::from(state) })
}

/// What is done to the rows of one table.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) rule: Rule,
    pub(super) step: u64,
    pub(super) options: StepOptions,
}

/// A tile of a table and of the states of its optimizer.
pub(super) type Part<'p, E> = (TileMut<'p, E>, [TileMut<'p, f32>; 3]);

/// One step of one or many tables.
pub(super) struct Job<'a> {
    pub(super) sources: Sources<'a>,
    pub(super) words: &'a [u64],
    pub(super) spans: &'a [Span],
    pub(super) tier: Tier,
}

impl Job<'_> {
    /// Sums and steps the rows of a tile.
    pub(super) fn step<E: Element>(&self, own: Rows, tile: &Tile, (table, states): Part<'_, E>, rooms: &Rooms) {
        let Span { base, dim, .. } = self.spans[tile.grid];
        let words = &self.words[tile.updates.clone()];
        let step = StepWords {
            tier: self.tier,
            options: own.options,
            table,
            states,
            words,
            sources: &self.sources,
            base: base as u32,
            dim,
            rooms,
        };
        own.rule.prepare(own.step, step);
    }

    /// Steps the rows of a tile whose sums have been made.
    pub(super) fn step_summed<E: Element>(
        &self,
        own: Rows,
        tile: &Tile,
        (table, states): Part<'_, E>,
        (heavy, rooms): (&Heavy, &Rooms),
    ) {
        let rows = &heavy.rows[tile.updates.clone()];
        let values = &heavy.values[tile.updates.start * heavy.stride..];
        let source = Summed { rows, values, width: self.spans[tile.grid].dim, stride: heavy.stride };
        own.rule.prepare(own.step, StepSummed { tier: self.tier, options: own.options, table, states, source, rooms });
    }
}

/// The sums of rows that have very many gradients.
#[derive(Debug, Default)]
pub(crate) struct Heavy {
    /// Where they belong: `updates` of these are places among the rows below.
    pub(super) tiles: Tiles,
    rows: Vec<u32>,
    values: Vec<f32>,
    stride: usize,
    sums: Tiles,
}

impl Heavy {
    /// Sums the heavy tiles of `shares`, columns apart.
    pub(super) fn sum(&mut self, job: &Job<'_>, shares: &Shares, workers: usize) -> Result<()> {
        self.tiles.clear();
        self.sums.clear();
        if shares.heavy.as_slice().is_empty() {
            return Ok(());
        }
        self.stride = job.spans.iter().map(|span| span.dim).max().unwrap_or(0).max(1);
        let mut n = 0;
        for tile in shares.heavy.as_slice() {
            let rows = n..n + count_rows(&job.words[tile.updates.clone()]);
            n = rows.end;
            cut_sums(&mut self.sums, (0, tile), job.spans[tile.grid].dim, rows.clone(), 2 * workers);
            self.tiles.push(Tile { updates: rows, ..tile.clone() });
        }
        grow(&mut self.rows, n)?;
        grow(&mut self.values, n * self.stride)?;
        let values = Grid::dense(&mut self.values[..n * self.stride], self.stride);
        let mut grids = [(values, Grid::dense(&mut self.rows[..n], 1))];
        par::tiles(workers, &mut grids, &self.sums, &|tile, part| {
            // Which table a tile belongs to is told by its first word.
            let first = unpack(job.words[tile.updates.start]).0 as usize;
            let table = job.spans.partition_point(|span| span.base <= first) - 1;
            let Span { base, dim, .. } = job.spans[table];
            sum_tile(job.tier, &job.sources, job.words, (tile, dim, base as u32), part);
        });
        Ok(())
    }
}

/// Words whose gradients are summed and applied.
struct StepWords<'a, 'p, E> {
    tier: Tier,
    options: StepOptions,
    table: TileMut<'p, E>,
    states: [TileMut<'p, f32>; 3],
    words: &'a [u64],
    sources: &'a Sources<'a>,
    base: u32,
    dim: usize,
    rooms: &'a Rooms,
}

impl<E: Element> WithRule for StepWords<'_, '_, E> {
    type Output = ();

    fn run<R: RowRule>(mut self, rule: R) {
        let mut chunk = Chunk::new(self.dim, Some(self.rooms));
        let mut weights = Room::new(self.dim, Some(self.rooms));
        let mut coming = Coming { words: self.words, at: 0, row: None, run: 0 };
        let mut next = [0; ROWS];
        for _ in 0..prefetch_distance(self.dim * size_of::<E>()) {
            if let Some(row) = coming.row(self.sources, self.dim) {
                fetch_row(&self.table, &self.states, row - self.base);
            }
        }
        let mut at = 0;
        while at < self.words.len() {
            let (rows, grads, used) = chunk.sum(self.tier, self.sources, &self.words[at..], 0..self.dim);
            let mut known = 0;
            for row in &mut *rows {
                *row -= self.base;
                if let Some(row) = coming.row(self.sources, self.dim) {
                    next[known] = row - self.base;
                    known += 1;
                }
            }
            let (table, states, next) = (&mut self.table, &mut self.states, &next[..known]);
            let weights = weights.values();
            self.tier.run(StepRows { rule, options: self.options, table, states, rows, grads, weights, next });
            at += used;
        }
    }
}

/// The words that memory is asked for, some way ahead of those that are summed.
struct Coming<'a> {
    words: &'a [u64],
    at: usize,
    row: Option<u32>,
    /// How many words of this row there have been.
    run: usize,
}

impl Coming<'_> {
    /// The next row. Asks for the gradients on the way to it, but not for all of a long run: they would be gone before they are used.
    fn row(&mut self, sources: &Sources<'_>, dim: usize) -> Option<u32> {
        const OF_A_RUN: usize = 16;
        while let Some(&word) = self.words.get(self.at) {
            let (row, second) = unpack(word);
            self.at += 1;
            self.run = if self.row == Some(row) { self.run + 1 } else { 0 };
            if self.run < OF_A_RUN {
                sources.fetch(second, dim);
            }
            if self.run == 0 {
                self.row = Some(row);
                return Some(row);
            }
        }
        None
    }
}

/// Gradients that have been summed by row.
#[derive(Clone, Copy)]
struct Summed<'a> {
    rows: &'a [u32],
    /// A row has `width` sums, which lie `stride` apart from the next one's.
    values: &'a [f32],
    width: usize,
    stride: usize,
}

/// Summed gradients that are applied.
struct StepSummed<'a, 'p, E> {
    tier: Tier,
    options: StepOptions,
    table: TileMut<'p, E>,
    states: [TileMut<'p, f32>; 3],
    source: Summed<'a>,
    rooms: &'a Rooms,
}

impl<E: Element> WithRule for StepSummed<'_, '_, E> {
    type Output = ();

    fn run<R: RowRule>(mut self, rule: R) {
        let Summed { rows, values, width, stride } = self.source;
        let ahead = prefetch_distance(width * size_of::<E>());
        let mut chunk = Chunk::new(width, Some(self.rooms));
        let mut weights = Room::new(width, Some(self.rooms));
        for &row in rows.iter().take(ahead) {
            fetch_row(&self.table, &self.states, row);
        }
        let mut at = 0;
        while at < rows.len() {
            // A step uses up its gradients, so it gets a copy.
            let grads = chunk.copy(&values[at * stride..], stride, rows.len() - at);
            let some = &rows[at..at + grads.len().checked_div(width).unwrap_or(rows.len() - at)];
            let next = &rows[(at + ahead).min(rows.len())..(at + ahead + some.len()).min(rows.len())];
            let (table, states, weights) = (&mut self.table, &mut self.states, weights.values());
            self.tier.run(StepRows { rule, options: self.options, table, states, rows: some, grads, weights, next });
            at += some.len();
        }
    }
}

/// Asks for a row and its states.
#[inline(always)]
fn fetch_row<E>(table: &TileMut<'_, E>, states: &[TileMut<'_, f32>; 3], row: u32) {
    fetch(table.peek(row).unwrap_or(&[]));
    for state in states {
        fetch(state.peek(row).unwrap_or(&[]));
    }
}

#[inline(always)]
fn fetch<T>(row: &[T]) {
    if !row.is_empty() {
        crate::simd::prefetch_lines(row);
    }
}
