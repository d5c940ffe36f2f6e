//! Many tables in one call: one parallel region for the forward, one partition and one region for the backward.

use crate::element::Widen;
use crate::element::lanes::AnySlice;
use crate::error::Result;
use crate::index::Pooling;
use crate::kernel::{Gather, Sources};
use crate::ops::bag::{block_ids, pool_tile};
use crate::ops::batch::Feature;
use crate::ops::gradient::settle_scales;
use crate::ops::sparse_grad::collect;
use crate::ops::step::{Job, Rows, grids, look_at};
use crate::ops::sums::Span;
use crate::ops::{Batch, Workspace};
use crate::optim::{Optimizer, Parts};
use crate::par::{self, AnyGrid, AnyTile, Grid, Tile, TileMut};
use crate::simd::{CACHE_LINE, Out, Tier};
use crate::table::{AnyTable, AnyView, AnyViewMut, TableView, TableViewMut};

/// What one feature of a batch looks up, and where its output goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    /// Which table.
    pub(crate) table: usize,
    pub(crate) pooling: Pooling,
    /// Where its columns start in the pooled output, or its rows in the values of the one that is not pooled.
    pub(crate) start: usize,
    /// The values of a row of it.
    pub(crate) dim: usize,
}

impl Workspace {
    /// Pools every feature of a batch into its columns of `out`, `[bags, sum of dims]`.
    pub(crate) fn pool_many(&mut self, batch: &Batch, lookups: &[Lookup], tables: &[AnyTable], out: TableViewMut<'_, f32>) {
        let bags = out.rows();
        let views: Vec<AnyView<'_>> = lookups.iter().map(|lookup| tables[lookup.table].view()).collect();
        let features = batch.features();
        let moved = features.iter().zip(&views).map(|(feature, view)| feature.ids.len() * row_bytes(*view)).sum::<usize>();
        let workers = self.parallelism.workers_for(moved + bags * out.dim() * size_of::<f32>());
        self.tiles.clear();
        for (at, ((feature, lookup), view)) in features.iter().zip(lookups).zip(&views).enumerate() {
            let own = feature.bags.clone().unwrap_or(0..0);
            let (bounds, bytes) = (&batch.bounds()[own.start..own.end + 1], row_bytes(*view));
            let unit = CACHE_LINE * lookup.dim / bytes.max(1);
            self.tiles.cut_bags(at, bounds, lookup.dim, unit.max(1), block_ids(bytes, workers), workers);
        }
        let columns = Grid::from(out).columns(lookups.iter().map(|lookup| lookup.dim));
        let mut outs: Vec<_> = columns.into_iter().map(|out| (out, Grid::none(bags))).collect();
        let tier = self.tier;
        par::tiles(workers, &mut outs, &self.tiles, &|tile, (out, argmax)| {
            let (feature, pooling) = (&features[tile.grid], lookups[tile.grid].pooling);
            let part = (tile.rows.clone(), out, argmax);
            match views[tile.grid] {
                AnyView::F32(table) => pool_tile(batch, feature, table, pooling, tier, part),
                AnyView::F16(table) => pool_tile(batch, feature, table, pooling, tier, part),
                AnyView::BF16(table) => pool_tile(batch, feature, table, pooling, tier, part),
            }
        });
    }

    /// Gathers every feature of a batch, widened, one behind the other: `[ids, dim]` of the first, and so on.
    pub(crate) fn gather_many(&mut self, batch: &Batch, lookups: &[Lookup], tables: &[AnyTable], mut out: &mut [f32]) {
        let views: Vec<AnyView<'_>> = lookups.iter().map(|lookup| tables[lookup.table].view()).collect();
        let features = batch.features();
        let workers = self.parallelism.workers_for(2 * size_of_val(out));
        self.tiles.clear();
        let mut outs = Vec::new();
        for (at, (feature, lookup)) in features.iter().zip(lookups).enumerate() {
            let (own, rest) = out.split_at_mut(feature.ids.len() * lookup.dim);
            out = rest;
            let ids = feature.ids.len();
            outs.push(if lookup.dim == 0 { Grid::none(ids) } else { Grid::dense(own, lookup.dim) });
            let block = block_ids(lookup.dim * size_of::<f32>(), workers).min(ids.max(1));
            for from in (0..if lookup.dim == 0 { 0 } else { ids }).step_by(block) {
                let rows = from..(from + block).min(ids);
                let updates = feature.ids.start + rows.start..feature.ids.start + rows.end;
                self.tiles.push(Tile { grid: at, rows, columns: 0..lookup.dim, updates });
            }
        }
        let tier = self.tier;
        par::tiles(workers, &mut outs, &self.tiles, &|tile, out| {
            let feature = &features[tile.grid];
            let rows = &batch.rows()[tile.updates.start..feature.ids.end];
            match views[tile.grid] {
                AnyView::F32(table) => gather_tile(table, feature, rows, tier, out),
                AnyView::F16(table) => gather_tile(table, feature, rows, tier, out),
                AnyView::BF16(table) => gather_tile(table, feature, rows, tier, out),
            }
        });
    }

    /// One step of every table. `values` is the gradient of the output, which lies where `lookups` say; pooled rows are `stride` apart.
    pub(crate) fn step_many(
        &mut self,
        batch: &mut Batch,
        lookups: &[Lookup],
        tables: &mut [AnyTable],
        optimizers: &mut [&mut Optimizer],
        (values, stride): (&[f32], usize),
    ) -> Result<()> {
        let mut spans = Vec::new();
        let mut base = 0;
        for (table, optimizer) in tables.iter().zip(optimizers.iter()) {
            let [rows, _] = table.shape();
            spans.push(Span { base, rows, dim: optimizer.gradient_dim() });
            base += rows;
        }
        let updated: usize = batch.features().iter().zip(lookups).map(|(feature, lookup)| feature.ids.len() * lookup.dim).sum();
        let workers = self.parallelism.workers_for(updated.saturating_mul(2 * size_of::<f32>()));
        let widest = spans.iter().map(|span| span.dim).max().unwrap_or(0);
        self.rooms.reserve(self.parallelism.degree(), widest)?;
        batch.make_plan(workers)?;
        let starts = starts(batch, lookups, stride);
        let scaled = settle_scales(batch, &|at| lookups[at].pooling, &mut self.scales)?;
        let pooled = batch.features().iter().any(|feature| feature.bags.is_some());
        let sources = Sources {
            values: AnySlice::F32(values),
            stride,
            scales: scaled.then_some(&self.scales[..]),
            bag_of: (pooled && !batch.by_bag()).then(|| batch.bag_of()),
            starts: Some(&starts),
            argmax: None,
            by_freq: false,
        };
        self.shares.cut(batch.plan(), &spans, workers);
        let job = Job { sources, words: batch.plan().words(), spans: &spans, tier: self.tier };
        if optimizers.iter().any(|optimizer| optimizer.needs_whole_gradient()) {
            let mut gradients = collect(&job, &self.shares, workers)?;
            for (optimizer, gradient) in optimizers.iter().zip(&mut gradients) {
                look_at(optimizer, gradient)?;
            }
            for ((optimizer, table), gradient) in optimizers.iter_mut().zip(tables).zip(&gradients) {
                match table.view_mut() {
                    AnyViewMut::F32(table) => self.step_summed(optimizer, table, gradient),
                    AnyViewMut::F16(table) => self.step_summed(optimizer, table, gradient),
                    AnyViewMut::BF16(table) => self.step_summed(optimizer, table, gradient),
                }
                optimizer.advance();
            }
            return Ok(());
        }
        self.heavy.sum(&job, &self.shares, workers)?;
        let mut rules = Vec::new();
        let mut targets = Vec::new();
        for (optimizer, table) in optimizers.iter_mut().zip(tables) {
            let rows = table.shape()[0];
            let Parts { rule, step, options, states } = optimizer.parts();
            rules.push(Rows { rule, step, options });
            targets.push((AnyGrid::from(table.view_mut()), grids(states, rows)));
        }
        let (heavy, rooms) = (&self.heavy, &self.rooms);
        par::tiles(workers, &mut targets, &heavy.tiles, &|tile, (table, states)| {
            let own = rules[tile.grid];
            match table {
                AnyTile::F32(table) => job.step_summed(own, tile, (table, states), (heavy, rooms)),
                AnyTile::F16(table) => job.step_summed(own, tile, (table, states), (heavy, rooms)),
                AnyTile::BF16(table) => job.step_summed(own, tile, (table, states), (heavy, rooms)),
            }
        });
        par::tiles(workers, &mut targets, &self.shares.even, &|tile, (table, states)| {
            let own = rules[tile.grid];
            match table {
                AnyTile::F32(table) => job.step(own, tile, (table, states), rooms),
                AnyTile::F16(table) => job.step(own, tile, (table, states), rooms),
                AnyTile::BF16(table) => job.step(own, tile, (table, states), rooms),
            }
        });
        for (optimizer, span) in optimizers.iter_mut().zip(&spans) {
            if let Some(touched) = optimizer.touched_mut() {
                touched.mark_words(batch.updates(), span.base);
            }
            optimizer.advance();
        }
        Ok(())
    }
}

fn row_bytes(view: AnyView<'_>) -> usize {
    match view {
        AnyView::F32(table) => table.dim() * 4,
        AnyView::F16(table) => table.dim() * 2,
        AnyView::BF16(table) => table.dim() * 2,
    }
}

fn gather_tile<E: Widen<f32>>(table: TableView<'_, E>, feature: &Feature, rows: &[u32], tier: Tier, mut out: TileMut<'_, f32>) {
    if let Some(out) = out.dense() {
        let count = out.len() / table.dim().max(1);
        let mut out = Out::over(out);
        tier.run(Gather { table, base: feature.base, rows, count, fill: feature.fill, stream: false, out: &mut out });
    }
}

/// Where the gradient of each bag starts, or that of each id where they are not pooled.
fn starts(batch: &Batch, lookups: &[Lookup], stride: usize) -> Vec<usize> {
    let mut starts = Vec::new();
    for (feature, lookup) in batch.features().iter().zip(lookups) {
        match &feature.bags {
            Some(bags) => starts.extend((0..bags.len()).map(|bag| bag * stride + lookup.start)),
            None => starts.extend((0..feature.ids.len()).map(|id| lookup.start + id * lookup.dim)),
        }
    }
    starts
}
