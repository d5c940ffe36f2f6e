//! Each operation × element × level, verified before it is timed. Throughput counts the bytes read and written.
//!
//! `cargo bench --bench operations` runs all; a filter picks: `cargo bench --bench operations -- gather/f32`.
#![allow(missing_docs)] // criterion's macros define public functions

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hotrow::{Buffer, Element, Ids, Level, Table, TableViewMut, Widen, Workspace, bf16, f16, reference};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const ROWS: usize = 1_000_000;
const DIM: usize = 64;
const IDS: usize = 262_144;
/// More batches than the caches can remember.
const BATCHES: usize = 8;

fn batches(n: usize) -> Vec<Vec<i64>> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..BATCHES).map(|_| (0..n).map(|_| (random.next_u64() % ROWS as u64) as i64).collect()).collect()
}

fn gather<E: Widen<O>, O: Element>(c: &mut Criterion) {
    let table = Table::<E>::uniform(ROWS, DIM, 1).expect("memory");
    let batches = batches(IDS);
    let mut out = Buffer::<O>::zeros(IDS * DIM).expect("memory");
    let name = if E::DTYPE == O::DTYPE { format!("gather/{}", E::DTYPE) } else { format!("gather/{}-to-{}", E::DTYPE, O::DTYPE) };
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::BytesDecimal((IDS * DIM * (size_of::<E>() + size_of::<O>())) as u64));
    for &level in Level::available() {
        let mut workspace = Workspace::new().with_level(level).expect("available");
        workspace.gather_into(&table, &batches[0], &mut out).expect("ids in range");
        let want: Vec<O> = reference::gather(table.view(), Ids::from(&batches[0])).expect("ids in range");
        assert!(want == out[..], "{level}: the result is wrong");
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(level), |b| {
            b.iter(|| {
                turn += 1;
                workspace.gather_into(&table, &batches[turn % BATCHES], &mut out)
            });
        });
    }
    group.finish();
}

fn small_gathers(c: &mut Criterion) {
    let table = Table::<f32>::uniform(ROWS, DIM, 1).expect("memory");
    let mut group = c.benchmark_group("gather/f32-small");
    for n in [1, 256, 4096] {
        let batches = batches(n);
        let mut out = Buffer::<f32>::zeros(n * DIM).expect("memory");
        let mut workspace = Workspace::new();
        workspace.gather_into(&table, &batches[0], &mut out).expect("ids in range");
        let want: Vec<f32> = reference::gather(table.view(), Ids::from(&batches[0])).expect("ids in range");
        assert!(want == out[..], "{n} ids: the result is wrong");
        let mut turn = 0;
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            b.iter(|| {
                turn += 1;
                workspace.gather_into(&table, &batches[turn % BATCHES], &mut out)
            });
        });
    }
    group.finish();
}

fn scatter_add<E: Element>(c: &mut Criterion) {
    let mut table = Table::<E>::uniform(ROWS, DIM, 1).expect("memory");
    let source = Table::<E>::uniform(IDS, DIM, 2).expect("memory");
    let source = source.as_slice().expect("rows of whole cache lines");
    let batches = batches(IDS);
    let mut group = c.benchmark_group(format!("scatter_add/{}", E::DTYPE));
    group.throughput(Throughput::BytesDecimal((3 * IDS * DIM * size_of::<E>()) as u64));
    for &level in Level::available() {
        let mut workspace = Workspace::new().with_level(level).expect("available");
        verify(&table, &batches[0], source, &mut workspace);
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(level), |b| {
            b.iter(|| {
                turn += 1;
                workspace.scatter_add(&mut table, &batches[turn % BATCHES], source, 0.01)
            });
        });
    }
    group.finish();
}

fn verify<E: Element>(table: &Table<E>, ids: &[i64], source: &[E], workspace: &mut Workspace) {
    let mut got = table.try_clone().expect("memory");
    let mut want = table.to_vec();
    workspace.scatter_add(&mut got, ids, source, 0.01).expect("ids in range");
    let view = TableViewMut::new(&mut want, ROWS, DIM, DIM).expect("shape");
    reference::scatter_add(view, Ids::from(ids), source, 0.01).expect("ids in range");
    assert!(got.to_vec() == want, "{}: the result is wrong", workspace.level());
}

fn all(c: &mut Criterion) {
    gather::<f32, f32>(c);
    gather::<f16, f16>(c);
    gather::<bf16, bf16>(c);
    gather::<f16, f32>(c);
    gather::<bf16, f32>(c);
    small_gathers(c);
    scatter_add::<f32>(c);
    scatter_add::<f16>(c);
    scatter_add::<bf16>(c);
}

criterion_group! {
    name = operations;
    config = Criterion::default().sample_size(20);
    targets = all
}
criterion_main!(operations);
