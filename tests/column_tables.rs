//! Collections whose tables are some columns of wider ones, against collections of the wider ones, bit for bit.

mod common;

use std::ops::Range;

use common::{Random, assert_same, label, workspaces};
use hotrow::{
    AnyTable, DType, EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig, Error, KeyedJagged,
    Optimizer, PartialRowWiseAdam, Pooling, RowWiseAdagrad, Rule, Sgd, Table, bf16, f16,
};
use proptest::prelude::*;

const KEYS: [&str; 2] = ["a", "b"];

/// A table, how it is cut, and what trains it.
struct Cut {
    name: &'static str,
    rows: usize,
    dim: usize,
    keys: &'static [&'static str],
    dtype: DType,
    pooling: Pooling,
    rule: Rule,
    parts: Vec<Range<usize>>,
}

/// Tables of every element; one of them is not cut, and trained by a rule that needs no whole rows.
fn tables(rows: usize) -> Vec<Cut> {
    let adagrad: Rule = RowWiseAdagrad { lr: 0.1, ..RowWiseAdagrad::default() }.into();
    let adam = PartialRowWiseAdam { lr: 0.1, ..PartialRowWiseAdam::default() }.into();
    let cut = |name, dim, keys, dtype, pooling, rule, parts| Cut { name, rows, dim, keys, dtype, pooling, rule, parts };
    vec![
        cut("t0", 24, &["a", "b"], DType::F32, Pooling::Sum, adagrad, vec![0..5, 5..24]),
        cut("t1", 7, &["a"], DType::F32, Pooling::Sum, Sgd { lr: 0.1, ..Sgd::default() }.into(), std::iter::once(0..7).collect()),
        cut("t2", 33, &["b"], DType::BF16, Pooling::Mean, adam, vec![0..16, 16..32, 32..33]),
        cut("t3", 6, &["b", "a"], DType::F16, Pooling::Sqrtn, adagrad, vec![0..2, 2..6]),
    ]
}

impl Cut {
    fn optimizer(&self, columns: &Range<usize>, checked: bool) -> Optimizer {
        let optimizer = Optimizer::new(self.rule, self.rows, columns.len()).unwrap().with_finite_check(checked);
        if self.parts.len() == 1 { optimizer } else { optimizer.of_columns(columns.clone(), self.dim).unwrap() }
    }

    fn part_name(&self, columns: &Range<usize>) -> String {
        format!("{}.{}", self.name, columns.start)
    }

    fn config(&self, name: String, dim: usize) -> EmbeddingBagConfig {
        let pooled = EmbeddingBagConfig::new(name, self.rows, dim, self.keys.iter().copied());
        EmbeddingBagConfig { data_type: self.dtype, pooling: self.pooling, ..pooled }
    }
}

fn unpooled(config: EmbeddingBagConfig) -> EmbeddingConfig {
    let EmbeddingBagConfig { name, num_embeddings, embedding_dim, feature_names, data_type, .. } = config;
    EmbeddingConfig { data_type, ..EmbeddingConfig::new(name, num_embeddings, embedding_dim, feature_names) }
}

/// Some columns of a table, of the same element.
fn columns_of(table: &AnyTable, columns: &Range<usize>) -> AnyTable {
    let (rows, first) = (table.shape()[0], columns.start);
    match table {
        AnyTable::F32(table) => Table::<f32>::from_fn(rows, columns.len(), |r, c| table.row(r).unwrap()[first + c]).unwrap().into(),
        AnyTable::F16(table) => Table::<f16>::from_fn(rows, columns.len(), |r, c| table.row(r).unwrap()[first + c]).unwrap().into(),
        AnyTable::BF16(table) => {
            Table::<bf16>::from_fn(rows, columns.len(), |r, c| table.row(r).unwrap()[first + c]).unwrap().into()
        }
        other => panic!("{other:?}"),
    }
}

fn values(table: &AnyTable) -> Vec<f32> {
    (0..table.shape()[0]).flat_map(|row| table.row_f32(row).unwrap()).collect()
}

/// A batch: ids and lengths, key by key, a third of the ids one and the same.
fn draw(random: &mut Random, examples: usize, longest: usize, rows: usize) -> (Vec<i64>, Vec<i64>) {
    let lengths: Vec<i64> = (0..KEYS.len() * examples).map(|_| random.below(longest + 1) as i64).collect();
    let hot = random.below(rows) as i64;
    let n: i64 = lengths.iter().sum();
    let ids = (0..n).map(|_| if random.below(3) == 0 { hot } else { random.below(rows) as i64 }).collect();
    (ids, lengths)
}

/// The tables and states of both, part by part.
macro_rules! assert_parts {
    ($whole:expr, $parts:expr, $tables:expr, $label:expr) => {
        for cut in $tables {
            let whole = columns_of($whole.table(cut.name).unwrap(), &(0..cut.dim));
            let states: Vec<(&str, Table<f32>)> = $whole
                .optimizer_mut(cut.name)
                .unwrap()
                .unwrap()
                .state()
                .map(|(name, state)| (name, state.try_clone().unwrap()))
                .collect();
            for columns in &cut.parts {
                let name = cut.part_name(columns);
                let context = format!("{}: {name}", $label);
                assert_same(&values($parts.table(&name).unwrap()), &values(&columns_of(&whole, columns)), &context);
                let own = $parts.optimizer_mut(&name).unwrap().unwrap();
                assert_eq!(own.state().count(), states.len());
                for ((state, got), (_, want)) in own.state().zip(&states) {
                    let want: AnyTable = want.try_clone().unwrap().into();
                    // A state of each row is the same in every part.
                    let want = if got.dim() == 1 && want.shape()[1] == 1 { want } else { columns_of(&want, columns) };
                    assert_same(&got.to_vec(), &values(&want), &format!("{context}: {state}"));
                }
            }
        }
    };
}

/// Two forwards and backwards of bags.
fn check_bags(seed: u64, rows: usize, examples: usize, longest: usize, weighted: bool, checked: bool) {
    let mut random = Random(seed);
    let tables = tables(rows);
    let mut whole =
        EmbeddingBagCollection::new(tables.iter().map(|cut| cut.config(cut.name.to_owned(), cut.dim)).collect(), seed).unwrap();
    for cut in &tables {
        let optimizer = Optimizer::new(cut.rule, cut.rows, cut.dim).unwrap();
        whole.set_optimizer(cut.name, optimizer.with_finite_check(checked)).unwrap();
    }
    let all: Vec<(&Cut, &Range<usize>)> = tables.iter().flat_map(|cut| cut.parts.iter().map(move |part| (cut, part))).collect();
    let mut worlds = Vec::new();
    for workspace in workspaces() {
        let label = label(&workspace);
        let configs = all.iter().map(|(cut, part)| cut.config(cut.part_name(part), part.len())).collect();
        let mut parts = EmbeddingBagCollection::new(configs, 0).unwrap().with_workspace(workspace);
        for (cut, part) in &all {
            parts.set_table(&cut.part_name(part), columns_of(whole.table(cut.name).unwrap(), part)).unwrap();
            parts.set_optimizer(&cut.part_name(part), cut.optimizer(part, checked)).unwrap();
        }
        worlds.push((label, parts));
    }
    let width = whole.output_dim();
    let starts: Vec<usize> = tables
        .iter()
        .scan(0, |end, cut| {
            let start = *end;
            *end += cut.keys.len() * cut.dim;
            Some(start)
        })
        .collect();
    let start_of = |cut: &Cut| starts[tables.iter().position(|one| one.name == cut.name).unwrap()];
    for _ in 0..2 {
        let (ids, lengths) = draw(&mut random, examples, longest, rows);
        let weights: Vec<f32> = ids.iter().map(|_| random.real()).collect();
        let mut input = KeyedJagged::from_lengths(&KEYS, &ids, &lengths);
        if weighted {
            input = input.with_weights(&weights);
        }
        let output = whole.forward(&input).unwrap().values().to_vec();
        let gradient: Vec<f32> = random.values(examples * width, false);
        whole.backward(&gradient).unwrap();
        // Of the output a part has its columns, of the gradient all of them.
        let (mut outputs, mut gradients) = (Vec::new(), Vec::new());
        for example in 0..examples {
            for (cut, part) in &all {
                for key in 0..cut.keys.len() {
                    let from = example * width + start_of(cut) + key * cut.dim;
                    outputs.extend_from_slice(&output[from + part.start..from + part.end]);
                    gradients.extend_from_slice(&gradient[from..from + cut.dim]);
                }
            }
        }
        for (label, parts) in &mut worlds {
            assert_same(parts.forward(&input).unwrap().values().as_slice(), &outputs, label);
            assert!(matches!(parts.backward(&outputs), Err(Error::ShapeMismatch { .. })));
            parts.backward(&gradients).unwrap();
        }
    }
    for (label, mut parts) in worlds {
        assert_eq!(parts.gradient_dims()[..5], [24, 24, 24, 24, 7]);
        assert_parts!(whole, parts, &tables, label);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 4 } else { 40 }))]

    #[test]
    fn bags(
        seed in any::<u64>(),
        rows in 1usize..50,
        examples in 1usize..20,
        weighted in any::<bool>(),
        checked in proptest::bool::weighted(0.3),
    ) {
        check_bags(seed, rows, examples, 6, weighted, checked);
    }
}

/// Enough ids to be cut among threads, and a third of them of one row, whose sums are cut by columns.
#[test]
fn large_batches_with_a_hot_row() {
    check_bags(3, 5000, 600, 12, false, false);
}

#[test]
fn rows_that_are_not_pooled() {
    for (rows, examples, longest) in [(20, 9, 4), (3000, 600, 12)] {
        let mut random = Random(rows as u64);
        let tables = tables(rows);
        let config = |cut: &Cut, name: String, dim| unpooled(cut.config(name, dim));
        let configs = tables.iter().map(|cut| config(cut, cut.name.to_owned(), cut.dim)).collect();
        let mut whole = EmbeddingCollection::new(configs, 4).unwrap();
        for cut in &tables {
            whole.set_optimizer(cut.name, Optimizer::new(cut.rule, cut.rows, cut.dim).unwrap()).unwrap();
        }
        let before: Vec<AnyTable> = tables.iter().map(|cut| columns_of(whole.table(cut.name).unwrap(), &(0..cut.dim))).collect();
        let (ids, lengths) = draw(&mut random, examples, longest, rows);
        let input = KeyedJagged::from_lengths(&KEYS, &ids, &lengths);
        let output = whole.forward(&input).unwrap();
        let gradient: Vec<f32> = random.values(output.values().len(), false);
        let (mut outputs, mut gradients) = (Vec::new(), Vec::new());
        let mut end = 0;
        let counts = |key: &str| {
            let at = KEYS.iter().position(|known| *known == key).unwrap() * examples;
            lengths[at..at + examples].iter().sum::<i64>() as usize
        };
        for cut in &tables {
            let start = end;
            end += cut.keys.iter().map(|key| counts(key) * cut.dim).sum::<usize>();
            for part in &cut.parts {
                for row in output.values()[start..end].chunks(cut.dim) {
                    outputs.extend_from_slice(&row[part.clone()]);
                }
                gradients.extend_from_slice(&gradient[start..end]);
            }
        }
        whole.backward(&gradient).unwrap();
        for workspace in workspaces() {
            let label = label(&workspace);
            let all = || tables.iter().zip(&before).flat_map(|(cut, table)| cut.parts.iter().map(move |part| (cut, table, part)));
            let configs = all().map(|(cut, _, part)| config(cut, cut.part_name(part), part.len())).collect();
            let mut parts = EmbeddingCollection::new(configs, 0).unwrap().with_workspace(workspace);
            for (cut, table, part) in all() {
                parts.set_table(&cut.part_name(part), columns_of(table, part)).unwrap();
                parts.set_optimizer(&cut.part_name(part), cut.optimizer(part, false)).unwrap();
            }
            assert_same(parts.forward(&input).unwrap().values(), &outputs, &label);
            assert!(matches!(parts.backward(&outputs), Err(Error::ShapeMismatch { .. })));
            parts.backward(&gradients).unwrap();
            assert_parts!(whole, parts, &tables, label);
        }
    }
}
