//! In steady state, gather, scatter-add, bags and steps allocate nothing; and scratch memory stays within its bound.
#![allow(unsafe_code)] // an allocator that counts has to be one

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Random, Repeats, draw_ids};
use hotrow::{
    Bags, Buffer, Gradient, Optimizer, Parallelism, Pooling, RowWiseAdagrad, Table, TableViewMut, Widen, Workspace, bf16,
};

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn steady<E: Widen<f32>>(threads: usize) -> usize {
    let (rows, dim, n) = (10_000, 32, 20_000);
    let mut random = Random(4);
    let mut table = Table::<E>::uniform(rows, dim, 1).unwrap();
    let source: Vec<f32> = random.values(n * dim, false);
    let mut out = Buffer::<f32>::zeros(n * dim).unwrap();
    let batches: Vec<Vec<i64>> = (0..6).map(|_| draw_ids(&mut random, n, rows, Repeats::Half)).collect();
    let (bags, weights): (usize, Vec<f32>) = (n / 8, random.values(n, false));
    let lengths: Vec<i64> = (0..bags as i64).map(|bag| if bag == 5 { n as i64 / 2 } else { (bag % 9).min(4) }).collect();
    let total = lengths.iter().sum::<i64>() as usize;
    let mut pooled = Buffer::<f32>::zeros(bags * dim).unwrap();
    let mut argmax = vec![0; bags * dim];
    let mut workspace = Workspace::new().with_parallelism(Parallelism::threads(threads));
    let mut optimizer = Optimizer::new(RowWiseAdagrad::default(), rows, dim).unwrap();
    let mut batch = workspace.batch(&Bags::from_lengths(&batches[0][..total], &lengths), rows).unwrap();
    let mut step = |ids: &Vec<i64>| {
        workspace.gather_into(&table, ids, &mut out).unwrap();
        workspace.scatter_add(&mut table, ids, &source, 0.1).unwrap();
        workspace.gather_into(&table, &ids[..7], &mut out[..7 * dim]).unwrap();
        workspace.scatter_add(&mut table, &ids[..7], &source[..7 * dim], 0.1).unwrap();
        let all = Bags::from_lengths(&ids[..total], &lengths);
        let view = TableViewMut::new(&mut pooled, bags, dim, dim).unwrap();
        workspace.bag_into(&table, &all.with_weights(&weights[..total]), Pooling::Mean, view).unwrap();
        // The row of half of all ids is left out, and the default row stands in the bags that are empty then.
        let view = TableViewMut::new(&mut pooled, bags, dim, dim).unwrap();
        workspace.bag_max_into(&table, &all.with_padding_idx(ids[0]).with_default_row(-1), view, &mut argmax).unwrap();
        // Half of the ids are of one row, whose gradients several threads sum.
        workspace.step(&mut optimizer, &mut table, Gradient::of_gather(ids, &source)).unwrap();
        workspace.batch_into(&all, rows, &mut batch).unwrap();
        let gradient = &source[..bags * dim];
        workspace.step(&mut optimizer, &mut table, Gradient::of_batch(&batch, Pooling::Sqrtn, gradient)).unwrap();
    };
    // How many tiles there are, and how many rows share the hottest one's, differs a little from batch to batch.
    batches.iter().for_each(&mut step);
    let before = CALLS.load(Ordering::Relaxed);
    batches.iter().for_each(&mut step);
    CALLS.load(Ordering::Relaxed) - before
}

/// One test, so that no other allocates meanwhile. The calls are made from a thread of the pool: handing work to a pool from outside
/// goes through rayon's queue, which allocates a block at every 63rd hand-over.
#[test]
fn steady_state_allocates_nothing_and_scratch_is_bounded() {
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        // The pool's own queues grow to their size in the first rounds.
        for round in 0..3 {
            let calls = pool.install(|| (steady::<f32>(threads), steady::<bf16>(threads)));
            if round == 2 {
                assert_eq!(calls, (0, 0), "allocations on {threads} threads");
            }
        }
    }

    let (rows, dim, n) = (1_000_000, 1, 400_000);
    let mut table = Table::<bf16>::zeros(rows, dim).unwrap();
    let ids = draw_ids(&mut Random(5), n, rows, Repeats::Some);
    let source = vec![bf16::from_f32(1.0); n];
    for threads in [1, 2, 8] {
        let before = BYTES.load(Ordering::Relaxed);
        let mut workspace = Workspace::new().with_parallelism(Parallelism::threads(threads));
        workspace.scatter_add(&mut table, &ids, &source, 1.0).unwrap();
        let scratch = BYTES.load(Ordering::Relaxed) - before;
        assert!(scratch <= 16 * n + (1 << 20), "{scratch} bytes of scratch for {n} ids on {threads} threads");
        assert!(scratch >= 12 * n, "the bound is measured on the path that needs the most");
    }
}
