//! Collections against their tables called one by one, bit for bit.

mod common;

use common::{Random, assert_same, label, workspaces};
use hotrow::{
    AnyTable, AnyViewMut, Bags, DType, EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig, Error,
    Gradient, KeyedJagged, Optimizer, Pooling, Rounding, Rule, Sgd, Table, TableViewMut, Workspace,
};
use proptest::prelude::*;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// A batch: for each key and each example a list of ids, all below `rows`.
struct Input {
    ids: Vec<i64>,
    lengths: Vec<i64>,
    weights: Option<Vec<f32>>,
    examples: usize,
}

impl Input {
    fn draw(random: &mut Random, examples: usize, longest: usize, rows: usize, weighted: bool) -> Input {
        let mut input = Input { ids: Vec::new(), lengths: Vec::new(), weights: None, examples };
        let hot = random.below(rows) as i64;
        for _ in 0..KEYS.len() * examples {
            let length = random.below(longest + 1);
            input.lengths.push(length as i64);
            input.ids.extend((0..length).map(|_| if random.below(3) == 0 { hot } else { random.below(rows) as i64 }));
        }
        input.weights = weighted.then(|| input.ids.iter().map(|_| random.real()).collect());
        input
    }

    fn keyed(&self) -> KeyedJagged<'_> {
        let keyed = KeyedJagged::from_lengths(&KEYS, &self.ids, &self.lengths);
        match &self.weights {
            Some(weights) => keyed.with_weights(weights),
            None => keyed,
        }
    }

    /// The lists of these keys, one key behind the other: ids, lengths, weights.
    fn of(&self, keys: &[String]) -> (Vec<i64>, Vec<i64>, Vec<f32>) {
        let (mut ids, mut lengths, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for key in keys {
            let at = KEYS.iter().position(|known| known == key).unwrap() * self.examples;
            let start: i64 = self.lengths[..at].iter().sum();
            let own = &self.lengths[at..at + self.examples];
            let range = start as usize..(start + own.iter().sum::<i64>()) as usize;
            lengths.extend(own);
            ids.extend(&self.ids[range.clone()]);
            weights.extend(self.weights.iter().flat_map(|weights| &weights[range.clone()]));
        }
        (ids, lengths, weights)
    }
}

fn configs(rows: usize) -> Vec<EmbeddingBagConfig> {
    vec![
        EmbeddingBagConfig { pooling: Pooling::Mean, ..EmbeddingBagConfig::new("t0", rows, 16, ["b"]) },
        EmbeddingBagConfig { data_type: DType::BF16, ..EmbeddingBagConfig::new("t1", rows + 3, 7, ["a", "c"]) },
        EmbeddingBagConfig { data_type: DType::F16, ..EmbeddingBagConfig::new("t2", rows, 33, ["a"]) },
        EmbeddingBagConfig { pooling: Pooling::Sqrtn, ..EmbeddingBagConfig::new("t3", rows + 1, 64, ["d", "b"]) },
    ]
}

/// A copy of a table as one of f32 (exact), and its element.
fn widened(table: &AnyTable) -> Table<f32> {
    let [rows, dim] = table.shape();
    let values: Vec<f32> = (0..rows).flat_map(|row| table.row_f32(row).unwrap()).collect();
    Table::from_slice(&values, rows, dim).unwrap()
}

fn copy(table: &AnyTable) -> AnyTable {
    match table {
        AnyTable::F32(table) => table.try_clone().unwrap().into(),
        AnyTable::F16(table) => table.try_clone().unwrap().into(),
        AnyTable::BF16(table) => table.try_clone().unwrap().into(),
        other => panic!("{other:?}"),
    }
}

fn step(table: &mut AnyTable, optimizer: &mut Optimizer, gradient: Gradient<'_>) {
    match table {
        AnyTable::F32(table) => optimizer.step(table, gradient),
        AnyTable::F16(table) => optimizer.step(table, gradient),
        AnyTable::BF16(table) => optimizer.step(table, gradient),
        other => panic!("{other:?}"),
    }
    .unwrap();
}

fn optimizer(rule: Rule, shape: [usize; 2], clip: bool) -> Optimizer {
    let optimizer = Optimizer::new(rule, shape[0], shape[1]).unwrap().with_rounding(Rounding::Stochastic { seed: 5 });
    if clip { optimizer.with_clip_norm(0.5).unwrap().with_finite_check(true) } else { optimizer }
}

/// Two forwards and backwards, of a collection and of its tables one by one.
fn check_pooled(seed: u64, rows: usize, examples: usize, longest: usize, weighted: bool, rule: &str, clip: bool) {
    let mut random = Random(seed);
    let rule: Rule = rule.parse().unwrap();
    let inputs: Vec<Input> = (0..2).map(|_| Input::draw(&mut random, examples, longest, rows, weighted)).collect();
    let width = 16 + 2 * 7 + 33 + 2 * 64;
    let gradients: Vec<Vec<f32>> = (0..2).map(|_| random.values(examples * width, false)).collect();

    let first = EmbeddingBagCollection::new(configs(rows), seed).unwrap();
    let mut tables: Vec<AnyTable> = configs(rows).iter().map(|config| copy(first.table(&config.name).unwrap())).collect();
    let mut optimizers: Vec<Optimizer> = tables.iter().map(|table| optimizer(rule, table.shape(), clip)).collect();
    let mut outputs = Vec::new();
    for (input, gradient) in inputs.iter().zip(&gradients) {
        let mut output = vec![0.0f32; examples * width];
        let mut column = 0;
        for ((config, table), optimizer) in configs(rows).iter().zip(&mut tables).zip(&mut optimizers) {
            let dim = config.embedding_dim;
            for key in &config.feature_names {
                let (ids, lengths, weights) = input.of(std::slice::from_ref(key));
                let mut bags = Bags::from_lengths(&ids, &lengths);
                if weighted {
                    bags = bags.with_weights(&weights);
                }
                let pooled = hotrow::bag(&widened(table), &bags, config.pooling).unwrap();
                for (example, row) in pooled.iter().enumerate() {
                    output[example * width + column..][..dim].copy_from_slice(row);
                }
                column += dim;
            }
            let (ids, lengths, weights) = input.of(&config.feature_names);
            let mut bags = Bags::from_lengths(&ids, &lengths);
            if weighted {
                bags = bags.with_weights(&weights);
            }
            let start = column - dim * config.feature_names.len();
            let columns = |at: usize, example: usize| &gradient[example * width + start + at * dim..][..dim];
            let features = 0..config.feature_names.len();
            let own: Vec<f32> =
                features.flat_map(|at| (0..examples).flat_map(move |example| columns(at, example).iter().copied())).collect();
            step(table, optimizer, Gradient::of_bags(&bags, config.pooling, &own));
        }
        outputs.push(output);
    }

    for workspace in workspaces() {
        let label = label(&workspace);
        let mut collection = EmbeddingBagCollection::new(configs(rows), seed).unwrap().with_workspace(workspace);
        for (config, table) in configs(rows).iter().zip(&tables) {
            collection.set_optimizer(&config.name, optimizer(rule, table.shape(), clip)).unwrap();
        }
        for ((input, gradient), want) in inputs.iter().zip(&gradients).zip(&outputs) {
            let output = collection.forward(&input.keyed()).unwrap();
            assert_same(output.values().as_slice(), want, &label);
            let mut into = vec![7.0; want.len()];
            collection.forward_into(&input.keyed(), TableViewMut::new(&mut into, examples, width, width).unwrap()).unwrap();
            assert_same(&into, want, &label);
            collection.backward(gradient).unwrap();
        }
        for ((config, table), optimizer) in configs(rows).iter().zip(&tables).zip(&optimizers) {
            let got = widened(collection.table(&config.name).unwrap());
            assert_same(&got.to_vec(), &widened(table).to_vec(), &format!("{label}: {}", config.name));
            let own = collection.optimizer_mut(&config.name).unwrap().unwrap();
            for ((name, got), (_, want)) in own.state().zip(optimizer.state()) {
                assert_same(&got.to_vec(), &want.to_vec(), &format!("{label}: {name} of {}", config.name));
            }
            assert_eq!(own.steps(), 2);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 4 } else { 40 }))]

    #[test]
    fn pooled_collections_equal_their_tables(
        seed in any::<u64>(),
        rows in 1usize..50,
        examples in 0usize..20,
        weighted in any::<bool>(),
        rule in proptest::sample::select(&["sgd", "adagrad", "rowwise_adagrad", "adam", "ftrl"][..]),
        clip in proptest::bool::weighted(0.2),
    ) {
        check_pooled(seed, rows, examples, 6, weighted, rule, clip);
    }
}

/// Enough ids to be cut among threads, and a third of them of one row.
#[test]
fn large_pooled_collections_equal_their_tables() {
    for (weighted, rule) in [(false, "rowwise_adagrad"), (true, "adam")] {
        check_pooled(3, 5000, 1500, 12, weighted, rule, false);
    }
}

#[test]
fn collections_without_pooling_equal_their_tables() {
    for (rows, examples, longest) in [(20, 9, 4), (3000, 1500, 12)] {
        let mut random = Random(rows as u64);
        let input = Input::draw(&mut random, examples, longest, rows, false);
        let configs = || {
            vec![
                EmbeddingConfig::new("t0", rows, 16, ["b"]),
                EmbeddingConfig { data_type: DType::BF16, ..EmbeddingConfig::new("t1", rows + 3, 9, ["a", "c"]) },
            ]
        };
        let rule: Rule = "adagrad".parse().unwrap();
        let first = EmbeddingCollection::new(configs(), 4).unwrap();
        let mut tables: Vec<AnyTable> = ["t0", "t1"].map(|name| copy(first.table(name).unwrap())).into();
        let mut want = Vec::new();
        let mut gradient: Vec<f32> = Vec::new();
        for (table, config) in tables.iter_mut().zip(configs()) {
            let (ids, _, _) = input.of(&config.feature_names);
            want.extend_from_slice(hotrow::gather(&widened(table), &ids).unwrap().as_slice());
            let own: Vec<f32> = random.values(ids.len() * config.embedding_dim, false);
            let mut optimizer = Optimizer::new(rule, table.shape()[0], table.shape()[1]).unwrap();
            step(table, &mut optimizer, Gradient::of_gather(&ids, &own));
            gradient.extend(own);
        }
        for workspace in workspaces() {
            let label = label(&workspace);
            let collection = EmbeddingCollection::new(configs(), 4).unwrap().with_workspace(workspace);
            let mut collection = collection.with_optimizer(rule).unwrap();
            let output = collection.forward(&input.keyed()).unwrap();
            assert_same(output.values(), &want, &label);
            assert_eq!(output.keys().collect::<Vec<_>>(), ["b", "a", "c"]);
            assert_eq!(output.rows("c").unwrap().len(), input.of(&["c".to_owned()]).0.len() * 9);
            collection.backward(&gradient).unwrap();
            for (name, table) in ["t0", "t1"].iter().zip(&tables) {
                let got = widened(collection.table(name).unwrap());
                assert_same(&got.to_vec(), &widened(table).to_vec(), &format!("{label}: {name}"));
            }
        }
    }
}

#[test]
fn features_that_several_tables_look_up_are_named_after_both() {
    let collection = EmbeddingBagCollection::new(configs(10), 0).unwrap();
    let mut collection = collection.with_workspace(Workspace::new());
    let input = Input::draw(&mut Random(1), 2, 3, 10, false);
    let output = collection.forward(&input.keyed()).unwrap();
    assert_eq!(output.keys(), ["b@t0", "a@t1", "c", "a@t2", "d", "b@t3"]);
    assert_eq!(output.columns("c"), Some(23..30));
    assert_eq!(output.columns("a"), None);
}

#[test]
fn tables_are_written_where_they_are_and_rows_are_kept() {
    let config = EmbeddingConfig::new("words", 10, 2, ["query"]);
    let mut collection = EmbeddingCollection::new(vec![config], 0).unwrap();
    assert!(matches!(collection.table_mut("none"), Err(Error::NoSuchTable { .. })));
    let AnyViewMut::F32(mut table) = collection.table_mut("words").unwrap() else { panic!("another element") };
    table.row_mut(3).unwrap().copy_from_slice(&[1.0, 2.0]);
    let output = collection.forward(&KeyedJagged::from_lengths(&["query"], &[3i64, 3], &[2i64])).unwrap();
    assert_eq!(output.into_values()[..], [1.0, 2.0, 1.0, 2.0]);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let new = |configs| EmbeddingBagCollection::new(configs, 0);
    let config = |name: &str, features: &[&str]| EmbeddingBagConfig::new(name, 10, 4, features.iter().copied());
    assert!(matches!(new(vec![config("x", &["a"]), config("x", &["b"])]), Err(Error::InvalidCollection { .. })));
    assert!(matches!(new(vec![config("x", &[])]), Err(Error::InvalidCollection { .. })));
    assert!(matches!(new(vec![config("x", &["a", "a"])]), Err(Error::InvalidCollection { .. })));
    let max = EmbeddingBagConfig { pooling: Pooling::Max, ..config("x", &["a"]) };
    assert!(matches!(new(vec![max]), Err(Error::InvalidCollection { .. })));
    let huge = EmbeddingBagConfig { num_embeddings: u32::MAX as usize, embedding_dim: 0, ..config("y", &["b"]) };
    assert!(matches!(new(vec![config("x", &["a"]), huge]), Err(Error::TooManyRows { .. })));

    let mut collection = new(vec![config("x", &["a"]), config("y", &["b"])]).unwrap();
    assert!(matches!(collection.backward(&[]), Err(Error::NoBackward { .. })));
    let forward = |collection: &mut EmbeddingBagCollection, ids: &[i64], lengths: &[i64]| {
        collection.forward(&KeyedJagged::from_lengths(&["a", "b"], ids, lengths)).map(|_| ())
    };
    assert_eq!(forward(&mut collection, &[1, 2], &[1, 0, 1]), Err(Error::KeyedLists { lists: 3, keys: 2 }));
    assert_eq!(forward(&mut collection, &[1, 2], &[1, 2]), Err(Error::BagLength { bag: 1, length: 2, left: 1 }));
    let error = forward(&mut collection, &[1, 2, 10, 3], &[1, 1, 2, 0]).unwrap_err();
    assert!(error.to_string().starts_with("id 10 at position [2] is out of range"), "{error}");
    let missing = collection.forward(&KeyedJagged::from_lengths(&["a"], &[1], &[1])).map(|_| ());
    assert_eq!(missing, Err(Error::MissingKey { key: "b".to_owned(), table: "y".to_owned() }));
    assert!(matches!(collection.backward(&[]), Err(Error::NoBackward { .. })), "no forward went through");

    forward(&mut collection, &[1, 2], &[1, 1]).unwrap();
    assert!(matches!(collection.backward(&[0.0; 8]), Err(Error::NoBackward { .. })), "there are no optimizers");
    assert!(matches!(
        collection.set_optimizer("z", Optimizer::new(Sgd::default(), 10, 4).unwrap()),
        Err(Error::NoSuchTable { .. })
    ));
    let wrong = Optimizer::new(Sgd::default(), 9, 4).unwrap();
    assert!(matches!(collection.set_optimizer("x", wrong), Err(Error::OptimizerShape { .. })));
    let mut collection = collection.with_optimizer(Sgd::default()).unwrap();
    collection.set_optimizer("y", Optimizer::new(Sgd::default(), 10, 4).unwrap().with_finite_check(true)).unwrap();
    let before = ["x", "y"].map(|name| widened(collection.table(name).unwrap()).to_vec());
    forward(&mut collection, &[1, 2], &[1, 1]).unwrap();
    assert!(matches!(collection.backward(&[0.0; 7]), Err(Error::ShapeMismatch { .. })));
    let gradient = [1.0, 1.0, 1.0, 1.0, 1.0, f32::NAN, 1.0, 1.0];
    assert!(matches!(collection.backward(&gradient), Err(Error::NonFiniteGradient { row: 2, column: 1, .. })));
    assert_eq!(before, ["x", "y"].map(|name| widened(collection.table(name).unwrap()).to_vec()));
    assert!(collection.set_lr(f32::NAN).is_err());
}
