//! When memory cannot be had, every operation returns an error, has changed nothing, and works when it is tried again: the system
//! refuses the first large allocation, then the second, and so on to the last that the operation makes.
#![allow(unsafe_code)] // an allocator that refuses has to be one

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};

use common::{Random, Repeats, draw_ids};
use hotrow::store::{Checkpoints, FileError, Snapshot};
use hotrow::{
    Adam, AnyTable, Bags, Error, Gradient, Optimizer, Parallelism, Pooling, RowSet, RowWiseAdagrad, SparseGrad, Table, Workspace,
    bag, bf16, gather, gather_f32,
};

/// What counts as large. Smaller ones are the size of a stack frame or of a list of tiles, and do not grow with the data.
const LARGE: usize = 32 * 1024;

struct Refusing;

/// How many large allocations are granted before one is refused; below zero, that one has been.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

// SAFETY: every call is passed on to the system's allocator unchanged, or refused with a null pointer as an allocator may.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE && LEFT.fetch_sub(1, Ordering::SeqCst) == 0 {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// One test at a time: the allocator is everybody's.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs an operation on what `make` makes, with each of its large allocations refused in turn.
fn refuse_each<T, O>(
    what: &str,
    make: impl Fn() -> T,
    run: impl Fn(&mut T) -> Result<O, Error>,
    bits: impl Fn(&T) -> Vec<u32>,
) -> usize {
    let armed = |left: i64, on: &mut T| {
        LEFT.store(left, Ordering::SeqCst);
        let result = run(on);
        let used = left - LEFT.swap(i64::MAX, Ordering::SeqCst);
        (result, used)
    };
    let before = bits(&make());
    let mut granted = make();
    let (result, count) = armed(i64::MAX / 2, &mut granted);
    result.unwrap_or_else(|error| panic!("{what}: {error}"));
    let after = bits(&granted);
    for nth in 0..count {
        let mut state = make();
        let (result, _) = armed(nth, &mut state);
        let Err(error) = result else { panic!("{what}: allocation {nth} of {count} was refused, and nobody noticed") };
        assert!(matches!(error, Error::OutOfMemory { .. }), "{what}: allocation {nth} of {count}: {error}");
        assert!(bits(&state) == before, "{what}: allocation {nth} of {count} was refused, and something changed");
        run(&mut state).unwrap_or_else(|error| panic!("{what}: after a refusal of allocation {nth}: {error}"));
        assert!(bits(&state) == after, "{what}: another result after a refusal of allocation {nth}");
    }
    count as usize
}

const ROWS: usize = 3000;
const DIM: usize = 24;
const IDS: usize = 40_000;

fn values(table: &Table<impl hotrow::Element>) -> Vec<u32> {
    table.iter().flatten().map(|value| value.to_f32().to_bits()).collect()
}

fn ids() -> Vec<i64> {
    draw_ids(&mut Random(7), IDS, ROWS, Repeats::Half)
}

fn workspace() -> Workspace {
    Workspace::new().with_parallelism(Parallelism::threads(2))
}

#[test]
fn tables() {
    let _turn = turn();
    let nothing = |_: &()| Vec::new();
    assert!(refuse_each("zeros", || (), |()| Table::<f32>::zeros(ROWS, DIM), nothing) > 0);
    assert!(refuse_each("uniform", || (), |()| Table::<bf16>::uniform(ROWS, DIM, 1), nothing) > 0);
    let table = Table::<f32>::uniform(ROWS, DIM, 1).unwrap();
    assert!(refuse_each("convert", || (), |()| table.convert::<bf16>(), nothing) > 0);
    let optimizer = |()| Optimizer::new(Adam::default(), ROWS, DIM);
    assert!(refuse_each("a state", || (), |_| optimizer(()), nothing) >= 2);
}

#[test]
fn lookups() {
    let _turn = turn();
    let (ids, nothing) = (ids(), |_: &()| Vec::new());
    let table = Table::<f32>::uniform(ROWS, DIM, 1).unwrap();
    let half = table.convert::<bf16>().unwrap();
    let offsets: Vec<i64> = (0..IDS as i64).step_by(8).collect();
    let weights = vec![0.5; IDS];
    assert!(refuse_each("gather", || (), |()| gather(&table, &ids), nothing) >= 2);
    assert!(refuse_each("gather of bf16", || (), |()| gather_f32(&half, &ids), nothing) >= 2);
    for pooling in [Pooling::Sum, Pooling::Mean, Pooling::Max] {
        let all = Bags::from_offsets(&ids, &offsets).with_padding_idx(ids[0]);
        let run = |_: &mut ()| bag(&table, &all, pooling);
        assert!(refuse_each("bag", || (), run, nothing) >= 3);
    }
    let run = |_: &mut ()| workspace().batch(&Bags::from_offsets(&ids, &offsets).with_weights(&weights), ROWS);
    assert!(refuse_each("batch", || (), run, nothing) >= 2);
}

#[test]
fn updates() {
    let _turn = turn();
    let ids = ids();
    let source: Vec<f32> = Random(3).values(IDS * DIM, false);
    let offsets: Vec<i64> = (0..IDS as i64).step_by(8).collect();
    let gradient = &source[..offsets.len() * DIM];

    let full = || Table::<f32>::uniform(ROWS, DIM, 1).unwrap();
    let half = || Table::<bf16>::uniform(ROWS, DIM, 1).unwrap();
    let run = |table: &mut Table<f32>| workspace().scatter_add(table, &ids, &source, 0.5);
    assert!(refuse_each("scatter-add", full, run, values) >= 2);
    let run = |table: &mut Table<bf16>| workspace().scatter_add(table, &ids, &source, 0.5);
    assert!(refuse_each("scatter-add to bf16", half, run, values) >= 2);

    let sparse =
        |_: &mut ()| -> Result<SparseGrad, Error> { workspace().sparse_grad(Gradient::of_gather(&ids, &source), ROWS, DIM) };
    assert!(refuse_each("sparse gradient", || (), sparse, |()| Vec::new()) >= 3);

    let make = || (full(), Optimizer::new(Adam::default(), ROWS, DIM).unwrap());
    let all = |(table, optimizer): &(Table<f32>, Optimizer)| {
        let states = optimizer.state().flat_map(|(_, state)| values(state));
        values(table).into_iter().chain(states).chain([optimizer.steps() as u32]).collect()
    };
    let run =
        |(table, optimizer): &mut (Table<f32>, Optimizer)| workspace().step(optimizer, table, Gradient::of_gather(&ids, &source));
    assert!(refuse_each("step", make, run, all) >= 2);
    let run = |(table, optimizer): &mut (Table<f32>, Optimizer)| {
        let bags = Bags::from_offsets(&ids, &offsets);
        workspace().step(optimizer, table, Gradient::of_bags(&bags, Pooling::Mean, gradient))
    };
    assert!(refuse_each("step of bags", make, run, all) >= 2);
    let clipped = || {
        let optimizer = Optimizer::new(RowWiseAdagrad::default(), ROWS, DIM).unwrap().with_clip_norm(1.0).unwrap();
        (full(), optimizer)
    };
    let run =
        |(table, optimizer): &mut (Table<f32>, Optimizer)| workspace().step(optimizer, table, Gradient::of_gather(&ids, &source));
    assert!(refuse_each("clipped step", clipped, run, all) >= 3);
}

/// Scratch that grows with the dim, not with the ids.
#[test]
fn wide_rows() {
    let _turn = turn();
    let (rows, dim) = (8, 100_000);
    let ids = [3i64, 5, 3, 3, 1, 3, 3, 3];
    let source: Vec<f32> = Random(5).values(ids.len() * dim, false);
    let full = || Table::<f32>::uniform(rows, dim, 1).unwrap();
    let half = || Table::<bf16>::uniform(rows, dim, 1).unwrap();
    let run = |table: &mut Table<f32>| workspace().scatter_add(table, &ids, &source, 0.5);
    refuse_each("wide scatter-add", full, run, values);
    let run = |table: &mut Table<bf16>| workspace().scatter_add(table, &ids, &source, 0.5);
    refuse_each("wide scatter-add to bf16", half, run, values);
    let make = || (half(), Optimizer::new(RowWiseAdagrad::default(), rows, dim).unwrap());
    let all = |(table, optimizer): &(Table<bf16>, Optimizer)| {
        let states = optimizer.state().flat_map(|(_, state)| values(state));
        values(table).into_iter().chain(states).chain([optimizer.steps() as u32]).collect()
    };
    let run =
        |(table, optimizer): &mut (Table<bf16>, Optimizer)| workspace().step(optimizer, table, Gradient::of_gather(&ids, &source));
    refuse_each("wide step", make, run, all);
    let bags = Bags::from_offsets(&ids, &[0i64, 3]);
    let table = full();
    let weights = vec![1.0; ids.len()];
    let weighted = bags.with_weights(&weights);
    let run = |out: &mut Vec<f32>| workspace().weight_grad(&table, &weighted, Pooling::Mean, &source[..2 * dim], out);
    refuse_each("wide gradient of weights", || vec![0.0; ids.len()], run, |out| out.iter().map(|x| x.to_bits()).collect());
}

#[test]
fn checkpoints() {
    let _turn = turn();
    rayon::join(|| (), || ());
    let table = Table::<f32>::uniform(ROWS, DIM - 1, 1).unwrap();
    let optimizer = Optimizer::new(RowWiseAdagrad::default(), ROWS, DIM - 1).unwrap();
    let ids: Vec<String> = (0..ROWS).map(|row| row.to_string()).collect();
    let touched = RowSet::all(ROWS).unwrap();
    let snapshot = |step| {
        let snapshot = Snapshot::new(step).table("t", &table)?.optimizer("t", &optimizer)?;
        snapshot.ids("t", &ids)
    };
    // The buffer of a file is the system's business, and a table's memory the engine's.
    let engine = |error| match error {
        FileError::Engine { error, .. } => error,
        FileError::Io { kind: ErrorKind::OutOfMemory, .. } => Error::OutOfMemory { bytes: 0 },
        other => panic!("{other}"),
    };
    let folder = || {
        let folder = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::open(folder.path());
        checkpoints.save(&snapshot(0).unwrap()).unwrap();
        checkpoints.save_delta(&snapshot(1).unwrap(), &[("t", &touched)]).unwrap();
        (folder, checkpoints)
    };
    // What the folder holds, whatever is left over in it.
    let bits = |(folder, _): &(tempfile::TempDir, Checkpoints)| {
        let mut last = Checkpoints::open(folder.path()).load_last().unwrap().unwrap();
        let AnyTable::F32(table) = last.take("t").unwrap().table else { panic!("another element") };
        [vec![last.step() as u32], values(&table)].concat()
    };
    let save = |(_, checkpoints): &mut (_, Checkpoints)| checkpoints.save(&snapshot(2).unwrap()).map_err(engine);
    assert!(refuse_each("save", folder, save, bits) > 0);
    let delta =
        |(_, checkpoints): &mut (_, Checkpoints)| checkpoints.save_delta(&snapshot(2).unwrap(), &[("t", &touched)]).map_err(engine);
    assert!(refuse_each("save of a delta", folder, delta, bits) > 0);
    let load = |(_, checkpoints): &mut (_, Checkpoints)| checkpoints.load(1).map_err(engine);
    assert!(refuse_each("load", folder, load, bits) > 3);
}

#[test]
fn files() {
    use hotrow::store::{self, Block, FileError, Open, OpenOptions, OpenTable, SafetensorsWriter, Values, WriteRows};
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let mut writer = SafetensorsWriter::create(&path, "t", DIM, hotrow::DType::F32, true).unwrap();
    let words = (0..ROWS).map(|row| format!("word {row}")).collect();
    writer.write(&Block { values: Values::F32(vec![0.5; ROWS * DIM]), words }).unwrap();
    Box::new(writer).finish().unwrap();
    let nothing = |_: &()| Vec::new();
    let of_engine = |error: FileError| match error {
        FileError::Engine { error, .. } => error,
        error => panic!("{error}"),
    };
    let words = |opened: OpenTable| opened.words().map(|words| words.map(<[String]>::len)).map_err(of_engine);
    for (open, least) in [(Open::Read, 3), (Open::Map, 1)] {
        let options = OpenOptions { open, ..Default::default() };
        let run = |_: &mut ()| store::open(&path, &options).map_err(of_engine).and_then(words);
        assert!(refuse_each("open", || (), run, nothing) >= least, "{open:?}");
    }
}
