//! What the memory can do, measured beside each workload: the two limits that its speed is compared with.
//!
//! Both run on the workload's own table, with its threads and its SIMD level, and both are measured three times in turn with
//! the workload. The median of all is the limit, as it is the workload's time: what disturbs one disturbs the other.

use std::hint::black_box;

use hotrow::{Buffer, Element, Result, Table, Workspace, ceiling};

use super::ids::IdPool;
use super::measure::{Policy, Timings, time};

/// What one copy moves at least to its destination: less would stay in a cache.
const MIN_COPY_BYTES: usize = 32 << 20;

/// But a small table is not copied more often than this: each copy is a call, and short ones take long to add up.
const MAX_COPIES: usize = 64;

/// What one round of reads touches at least: fewer rows take too little time for two threads.
const MIN_READ_IDS: usize = 1 << 14;

/// The ceilings for one table: copying, and one way of reading.
#[derive(Debug)]
pub(super) struct Ceilings<E: Element> {
    workspace: Workspace,
    /// Where copies go.
    target: Buffer<E>,
    /// What is copied in place of a table whose rows have gaps between them.
    stand_in: Option<Buffer<E>>,
    copied: usize,
    copy: Speed,
    read: Speed,
    scan: Speed,
}

/// The speeds that were measured, in GB/s.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Copying, read and written.
    pub(super) copy: f64,
    /// Reading random rows.
    pub(super) read: Option<f64>,
    /// Reading all rows in order.
    pub(super) scan: Option<f64>,
}

/// Timings, and the speed that they make.
#[derive(Debug, Default)]
struct Speed {
    timings: Timings,
    gb_per_s: f64,
}

/// How many bytes the ceilings write to, for a table of `table_bytes` and outputs of `out_bytes`.
pub(super) fn target_bytes(table_bytes: usize, out_bytes: usize) -> usize {
    out_bytes.max(MIN_COPY_BYTES.min(table_bytes.saturating_mul(MAX_COPIES)))
}

impl<E: Element> Ceilings<E> {
    /// Ceilings on `table`, for a workload whose output takes `out_bytes`.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(super) fn new(table: &Table<E>, out_bytes: usize, workspace: Workspace) -> Result<Ceilings<E>> {
        let size = E::DTYPE.size();
        let values = target_bytes(table.rows() * table.dim() * size, out_bytes) / size;
        let mut stand_in = None;
        if table.as_slice().is_none() {
            let mut buffer = Buffer::zeros(values)?;
            buffer.fill(E::from_f32(1.0));
            stand_in = Some(buffer);
        }
        let target = Buffer::zeros(values)?;
        Ok(Ceilings {
            workspace,
            target,
            stand_in,
            copied: 0,
            copy: Speed::default(),
            read: Speed::default(),
            scan: Speed::default(),
        })
    }

    /// Measures copying: bytes read and written, with streaming stores.
    ///
    /// # Errors
    ///
    /// What the engine says.
    pub(super) fn measure_copy(&mut self, table: &Table<E>, policy: Policy) -> Result<()> {
        let Ceilings { workspace, target, stand_in, copied, copy, .. } = self;
        let source: &[E] = table.as_slice().or(stand_in.as_deref()).unwrap_or_default();
        let bytes = 2 * std::mem::size_of_val::<[E]>(target);
        copy.round(bytes, policy, || copy_through(source, target, copied, workspace))
    }

    /// Measures reading whole rows at random places, those of the workload's ids: `ids` at a time, of one table after the other.
    ///
    /// # Errors
    ///
    /// What the engine says.
    pub(super) fn measure_read(&mut self, tables: &[&Table<E>], pool: &IdPool, ids: usize, policy: Policy) -> Result<()> {
        let Ceilings { workspace, read, .. } = self;
        let ids = pool.window(0, ids.max(MIN_READ_IDS)).len();
        let mut calls = 0;
        let row_bytes = tables[0].dim() * E::DTYPE.size();
        read.round(ids * row_bytes, policy, || {
            calls += 1;
            black_box(ceiling::read_rows(tables[calls % tables.len()], pool.window(calls, ids), workspace)?);
            Ok(())
        })
    }

    /// Measures reading the whole table in order.
    ///
    /// # Errors
    ///
    /// None at all: as the others.
    pub(super) fn measure_scan(&mut self, table: &Table<E>, policy: Policy) -> Result<()> {
        let Ceilings { workspace, scan, .. } = self;
        scan.round(table.rows() * table.dim() * E::DTYPE.size(), policy, || {
            black_box(ceiling::read_in_order(table, workspace));
            Ok(())
        })
    }

    /// What was measured.
    pub(super) fn limits(&self) -> Limits {
        let measured = |speed: &Speed| Some(speed.gb_per_s).filter(|&speed| speed > 0.0);
        Limits { copy: self.copy.gb_per_s, read: measured(&self.read), scan: measured(&self.scan) }
    }
}

impl Speed {
    fn round(&mut self, bytes: usize, policy: Policy, mut call: impl FnMut() -> Result<()>) -> Result<()> {
        self.timings.repeat(policy, |calls| time(calls, &mut call))?;
        self.gb_per_s = bytes as f64 / self.timings.median() / 1e9;
        Ok(())
    }
}

/// Fills `target` with the next pieces of `source`, wherever the last copy stopped, round and round: a source larger than
/// the caches is never found in them.
fn copy_through<E: Element>(source: &[E], target: &mut [E], at: &mut usize, workspace: &mut Workspace) -> Result<()> {
    // Whole cache lines, where the source has that many.
    let piece = source.len().min(target.len());
    let piece = if piece < 64 { piece } else { piece & !63 };
    for part in target.chunks_mut(piece) {
        if *at + part.len() > source.len() {
            *at = 0;
        }
        ceiling::stream_copy(&source[*at..*at + part.len()], part, workspace)?;
        *at += part.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_go_round_the_source_and_fill_the_target() {
        let source: Vec<f32> = (0..200).map(|i| i as f32).collect();
        let (mut target, mut at) = (vec![-1.0; 500], 0);
        let mut workspace = Workspace::new();
        copy_through(&source, &mut target, &mut at, &mut workspace).expect("equal lengths");
        let expected: Vec<f32> = (0..500).map(|i| (i % 192) as f32).collect();
        assert_eq!(target, expected, "pieces of 192, the whole cache lines in 200");
        let mut target = vec![-1.0; 64];
        for start in [116, 0, 64] {
            copy_through(&source, &mut target, &mut at, &mut workspace).expect("equal lengths");
            assert_eq!(target[0], start as f32);
        }
    }
}
