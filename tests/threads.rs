//! Every parallel operation on several threads gives what one thread gives. The calling thread belongs to the pool, so that under
//! ThreadSanitizer (`ci/threads.sh`) everything that threads hand to each other goes through atomics that it can see.

mod common;

use common::{Random, Repeats, draw_ids};
use hotrow::{
    Adam, Bags, Buffer, EmbeddingBagCollection, EmbeddingBagConfig, Gradient, KeyedJagged, Metric, Optimizer, Parallelism, Pooling,
    RowWiseAdagrad, Sgd, Table, Widen, Workspace, bf16, f16,
};
use rayon::ThreadPoolBuilder;

/// Runs `work` on each number of threads and asks that all results are those of one.
fn on_threads(work: fn(&mut Workspace) -> Vec<u32>) {
    let alone = on(1, move || work(&mut Workspace::new()));
    for threads in [2, 3, 8] {
        let alone = alone.clone();
        on(threads, move || {
            let mut workspace = Workspace::new().with_parallelism(Parallelism::threads(threads));
            for round in 0..3 {
                assert!(work(&mut workspace) == alone, "round {round} on {threads} threads");
            }
        });
    }
}

/// Runs something in a new thread that belongs to a new pool; a thread joins one pool in its life.
fn on<T: Send + 'static>(threads: usize, run: impl FnOnce() -> T + Send + 'static) -> T {
    let inside = move || {
        let _pool = ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build().unwrap();
        run()
    };
    std::thread::spawn(inside).join().unwrap()
}

const ROWS: usize = 5000;
const DIM: usize = 24;
const IDS: usize = 20_000;

fn bits<'a, E: hotrow::Element>(rows: impl IntoIterator<Item = &'a [E]>) -> Vec<u32> {
    rows.into_iter().flatten().map(|value| value.to_f32().to_bits()).collect()
}

fn ids() -> Vec<i64> {
    draw_ids(&mut Random(7), IDS, ROWS, Repeats::Half)
}

fn lengths() -> Vec<i64> {
    // One bag has a quarter of all ids.
    std::iter::once(IDS as i64 / 4).chain((0..IDS as i64 / 4).map(|bag| bag % 4)).collect()
}

fn lookups<E: Widen<f32>>(workspace: &mut Workspace) -> Vec<u32> {
    let table = Table::<E>::uniform(ROWS, DIM, 1).unwrap();
    let (ids, lengths) = (ids(), lengths());
    let total = lengths.iter().sum::<i64>() as usize;
    let mut out = Buffer::<f32>::zeros(IDS * DIM).unwrap();
    workspace.gather_into(&table, &ids, &mut out).unwrap();
    let mut all = bits([&out[..]]);
    let bags = Bags::from_lengths(&ids[..total], &lengths);
    for pooling in [Pooling::Sum, Pooling::Mean] {
        let mut pooled = Table::<f32>::zeros(lengths.len(), DIM).unwrap();
        workspace.bag_into(&table, &bags, pooling, &mut pooled).unwrap();
        all.extend(bits(pooled.iter()));
    }
    let mut pooled = Table::<f32>::zeros(lengths.len(), DIM).unwrap();
    let mut argmax = vec![0; lengths.len() * DIM];
    workspace.bag_max_into(&table, &bags, &mut pooled, &mut argmax).unwrap();
    all.extend(argmax);
    let gradient: Vec<f32> = Random(9).values(lengths.len() * DIM, false);
    let (weights, mut slopes) = (vec![0.5; total], vec![0.0f32; total]);
    workspace.weight_grad(&table, &bags.with_weights(&weights), Pooling::Mean, &gradient, &mut slopes).unwrap();
    all.extend(bits([&slopes[..]]));
    let queries: Vec<f32> = Random(5).values(6 * DIM, false);
    for near in workspace.nearest(&table, &queries, 50, Metric::Cosine, &[]).unwrap().concat() {
        all.extend([near.row, near.score.to_bits()]);
    }
    all
}

fn updates<E: Widen<f32>>(workspace: &mut Workspace) -> Vec<u32> {
    let (ids, lengths) = (ids(), lengths());
    let total = lengths.iter().sum::<i64>() as usize;
    let source: Vec<f32> = Random(3).values(IDS * DIM, false);
    let gradient = &source[..lengths.len() * DIM];
    let mut table = Table::<E>::uniform(ROWS, DIM, 1).unwrap();
    workspace.scatter_add(&mut table, &ids, &source, 0.5).unwrap();
    let mut all = bits(table.iter());
    let summed = workspace.sparse_grad(Gradient::of_gather(&ids, &source), ROWS, DIM).unwrap();
    all.extend(bits([summed.values()]));
    for mut optimizer in [
        Optimizer::new(Sgd::default(), ROWS, DIM).unwrap(),
        Optimizer::new(RowWiseAdagrad::default(), ROWS, DIM).unwrap().with_clip_norm(0.5).unwrap(),
        Optimizer::new(Adam::default(), ROWS, DIM).unwrap(),
    ] {
        workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&ids, &source)).unwrap();
        let bags = Bags::from_lengths(&ids[..total], &lengths);
        workspace.step(&mut optimizer, &mut table, Gradient::of_bags(&bags, Pooling::Mean, gradient)).unwrap();
        all.extend(bits(table.iter()));
        for (_, state) in optimizer.state() {
            all.extend(bits(state.iter()));
        }
    }
    all
}

fn collections(workspace: &mut Workspace) -> Vec<u32> {
    let config = |name: &str, feature: &str, rows, dim| EmbeddingBagConfig::new(name, rows, dim, [feature]);
    let configs = vec![config("users", "user", 3000, 16), config("items", "item", 2000, 40)];
    let own = Workspace::new().with_parallelism(workspace.parallelism());
    let collection = EmbeddingBagCollection::new(configs, 1).unwrap().with_optimizer(RowWiseAdagrad::default()).unwrap();
    let mut collection = collection.with_workspace(own);
    let ids = draw_ids(&mut Random(2), 8000, 2000, Repeats::Half);
    let lengths = [2i64; 4000];
    let mut all = Vec::new();
    for _ in 0..2 {
        let input = KeyedJagged::from_lengths(&["user", "item"], &ids, &lengths);
        let output = collection.forward(&input).unwrap();
        let values = output.values().to_vec();
        all.extend(bits([&values[..]]));
        collection.backward(&values).unwrap();
    }
    all
}

#[test]
fn lookups_on_threads() {
    on_threads(lookups::<f32>);
    on_threads(lookups::<bf16>);
}

#[test]
fn updates_on_threads() {
    on_threads(updates::<f32>);
    on_threads(updates::<f16>);
}

#[test]
fn collections_on_threads() {
    on_threads(collections);
}
