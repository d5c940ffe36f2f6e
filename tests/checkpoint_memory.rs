//! What checkpoints need beside the tables: at most 64 MiB, however large those are.
#![allow(unsafe_code)] // an allocator that counts has to be one

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hotrow::store::{Checkpoints, PartName, PartTable, Snapshot};
use hotrow::{Adagrad, DType, Optimizer, RowSet, Table};

struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs something and returns how much more memory was in use meanwhile, and afterwards.
fn measured<T>(what: &str, bytes: usize, run: impl FnOnce() -> T) -> (T, usize) {
    let before = USED.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = Instant::now();
    let result = run();
    let seconds = start.elapsed().as_secs_f64();
    let over = PEAK.load(Ordering::Relaxed) - before;
    println!("{what}: {:.2} GB/s, {:.1} MiB", bytes as f64 / seconds / 1e9, over as f64 / f64::from(1 << 20));
    (result, over)
}

#[test]
fn a_checkpoint_needs_little_memory_beside_its_tables() {
    const MIB: usize = 1 << 20;
    // Padded rows, so that they are packed on the way; with a state, 240 MiB.
    let (rows, dim) = (500_000, 63);
    let table = Table::<f32>::uniform(rows, dim, 7).unwrap();
    let optimizer = Optimizer::new(Adagrad::default(), rows, dim).unwrap();
    let memory = 2 * table.memory().allocated_bytes;
    let payload = 2 * rows * dim * 4;
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::open(folder.path()).shard_bytes(100 << 20);
    let snapshot = |step| Snapshot::new(step).table("t", &table).unwrap().optimizer("t", &optimizer).unwrap();
    let (saved, over) = measured("save", payload, || checkpoints.save(&snapshot(1)));
    assert!(saved.unwrap().bytes > 200 << 20 && over < 64 * MIB, "{over} bytes");
    let mut touched = RowSet::new(rows).unwrap();
    (0..rows).step_by(3).for_each(|row| touched.mark(row as u32).unwrap());
    let (saved, over) = measured("save of a delta", payload / 3, || checkpoints.save_delta(&snapshot(2), &[("t", &touched)]));
    assert!(saved.unwrap().bytes > 60 << 20 && over < 64 * MIB, "{over} bytes");
    let (loaded, over) = measured("load of both", payload / 3 * 4, || checkpoints.load(2));
    assert!(over < memory + 64 * MIB, "{over} bytes for tables of {memory}");
    drop(loaded.unwrap());
    let (verified, over) = measured("verify", payload / 3 * 4, || checkpoints.verify(2));
    assert!(verified.unwrap() > 300 << 20 && over < 64 * MIB, "{over} bytes");

    // In parts: what is written and read lies in the tables themselves.
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::open(folder.path());
    let generation = checkpoints.begin(1).unwrap();
    let announced = PartTable::new("t", DType::F32, [rows, dim]).unwrap().optimizer(&optimizer.record()).unwrap();
    let (record, over) = measured("save of a part", payload, || {
        let mut part = checkpoints.part(PartName { step: 1, generation, at: 1, count: 1 }, &[announced]).unwrap();
        part.write("t", &table).unwrap();
        part.write_state("t", "sum", optimizer.state().next().unwrap().1).unwrap();
        part.finish().unwrap()
    });
    assert!(over < 64 * MIB, "{over} bytes");
    checkpoints.commit(1, generation, &["t"], &[record], "null").unwrap();
    let mut out = Table::<f32>::zeros(rows / 2, 20).unwrap();
    let reader = checkpoints.reader(1).unwrap();
    let (read, over) = measured("read of a part", payload / 2, || reader.read("t", rows / 4..rows / 4 + rows / 2, 3..23, &mut out));
    read.unwrap();
    assert!(over < 64 * MIB, "{over} bytes");
    assert_eq!(out.row(7), Some(&table.row(rows / 4 + 7).unwrap()[3..23]));
}
