//! The gradients of the reference against finite differences and dense products, both in f64.

mod common;

use common::Random;
use common::Repeats;
use common::bags::{BagCase, Lengths, Strays, Weights};
use common::recorded::assert_close;
use hotrow::reference::{self, PlainBags};
use hotrow::{Pooling, TableView};

/// A small batch, its table and the gradient of its output, where every number is kept in f64.
struct Batch {
    bags: PlainBags,
    table: Vec<f64>,
    rows: usize,
    dim: usize,
    weights: Vec<f64>,
    grad: Vec<f64>,
    pooling: Pooling,
}

/// Of so many seeds, some with padding, default row, weights and stray ids each.
fn batches(pooling: Pooling) -> impl Iterator<Item = Batch> {
    (0..60).map(move |seed| {
        let (dim, rows) = ([1, 3, 17][seed % 3], [2, 5, 9][seed / 3 % 3]);
        let weighted = pooling != Pooling::Max && seed % 2 == 0;
        let case = BagCase {
            seed: seed as u64,
            rows,
            dim,
            stride: dim,
            lengths: Lengths::Few,
            repeats: Repeats::Some,
            weights: if weighted { Weights::Real } else { Weights::None },
            padding: seed % 4 < 2,
            default_row: seed % 8 < 4,
            strays: Strays::ALL[seed % Strays::ALL.len()],
            odd: false,
        };
        let mut random = Random(case.seed);
        let mut bags = case.draw(&mut random).plain(rows);
        // A fill of NaN has no derivative; and sums of weights near zero have none that f32 could show.
        bags.fill = bags.fill.map(|_| 0.1);
        if let (Pooling::Mean, Some(weights)) = (pooling, &mut bags.weights) {
            weights.iter_mut().for_each(|weight| *weight = weight.abs() + 0.5);
        }
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        let table = wide(random.values(rows * dim, false));
        let weights = bags.weights.clone().map_or(vec![1.0; bags.rows.len()], wide);
        let grad = wide(random.values(bags.count() * dim, false));
        Batch { bags, table, rows, dim, weights, grad, pooling }
    })
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

impl Batch {
    /// The ids of a bag that count: the row, or `rows` where it is filled, and the weight.
    fn members(&self, bag: usize) -> Vec<(usize, f64)> {
        let bags = &self.bags;
        let mut members = Vec::new();
        for at in bags.splits[bag]..bags.splits[bag + 1] {
            match bags.rows[at] {
                Some(row) if Some(row) != bags.padding => members.push((row, self.weights[at])),
                None if bags.fill.is_some() => members.push((self.rows, self.weights[at])),
                _ => {}
            }
        }
        if members.is_empty() {
            members.extend(bags.default_row.map(|row| (row, 1.0)));
        }
        members
    }

    /// What each id of a bag counts for.
    fn shares(&self, members: &[(usize, f64)]) -> Vec<f64> {
        let denominator = match self.pooling {
            Pooling::Mean => members.iter().map(|(_, weight)| weight).sum(),
            Pooling::Sqrtn => members.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt(),
            _ => 1.0,
        };
        members.iter().map(|(_, weight)| weight / denominator).collect()
    }

    fn value(&self, row: usize, column: usize) -> f64 {
        if row == self.rows { f64::from(self.bags.fill.unwrap()) } else { self.table[row * self.dim + column] }
    }

    fn pooled(&self) -> Vec<f64> {
        let mut pooled = Vec::new();
        for bag in 0..self.bags.count() {
            let members = self.members(bag);
            let shares = self.shares(&members);
            for column in 0..self.dim {
                let values = members.iter().map(|&(row, _)| self.value(row, column));
                pooled.push(match self.pooling {
                    Pooling::Max => values.reduce(f64::max).unwrap_or(0.0),
                    _ => values.zip(&shares).map(|(value, share)| value * share).sum(),
                });
            }
        }
        pooled
    }

    /// What the gradients are of.
    fn loss(&self) -> f64 {
        self.pooled().iter().zip(&self.grad).map(|(x, g)| x * g).sum()
    }

    /// How the loss changes with each of some numbers.
    fn differences(&mut self, numbers: fn(&mut Batch) -> &mut Vec<f64>) -> Vec<f64> {
        const STEP: f64 = 1e-5;
        let n = numbers(self).len();
        let mut differences = Vec::new();
        for at in 0..n {
            let before = numbers(self)[at];
            numbers(self)[at] = before + STEP;
            let above = self.loss();
            numbers(self)[at] = before - STEP;
            let below = self.loss();
            numbers(self)[at] = before;
            differences.push((above - below) / (2.0 * STEP));
        }
        differences
    }

    /// The gradient of the table as the reference has it.
    fn gradient(&self) -> Vec<f32> {
        let (values, grad) = (narrow(&self.table), narrow(&self.grad));
        let table = TableView::new(&values, self.rows, self.dim, self.dim).unwrap();
        let gradient = if self.pooling == Pooling::Max {
            let argmax = reference::bag_argmax(table, &self.bags);
            reference::bag_max_gradient(&self.bags, &argmax, &grad, self.dim, false)
        } else {
            reference::bag_gradient(&self.bags, self.pooling, &grad, self.dim, false)
        };
        reference::dense(&gradient, self.rows, self.dim)
    }

    fn context(&self) -> String {
        format!("{} of {:?}", self.pooling, self.bags)
    }
}

#[test]
fn tables() {
    for pooling in [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn, Pooling::Max] {
        for mut batch in batches(pooling) {
            let want = batch.differences(|batch| &mut batch.table);
            assert_close(&batch.gradient(), &want, &batch.context());
        }
    }
}

#[test]
fn weights() {
    for pooling in [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn] {
        for mut batch in batches(pooling) {
            let (values, grad) = (narrow(&batch.table), narrow(&batch.grad));
            let table = TableView::new(&values, batch.rows, batch.dim, batch.dim).unwrap();
            let got = reference::weight_gradient(table, &batch.bags, pooling, &grad);
            assert_close(&got, &batch.differences(|batch| &mut batch.weights), &batch.context());
        }
    }
}

/// A pooled bag is the product of a matrix `[bags, rows]` with the table, and its gradient the product of the transpose with that of the
/// output.
#[test]
fn dense_products() {
    for pooling in [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn] {
        for batch in batches(pooling) {
            let Batch { rows, dim, .. } = batch;
            let count = batch.bags.count();
            // The last row of this table is the one of filled ids.
            let mut matrix = vec![0.0; count * (rows + 1)];
            for bag in 0..count {
                let members = batch.members(bag);
                for ((row, _), share) in members.iter().zip(batch.shares(&members)) {
                    matrix[bag * (rows + 1) + row] += share;
                }
            }
            let (mut out, mut gradient) = (vec![0.0; count * dim], vec![0.0; rows * dim]);
            for bag in 0..count {
                for row in 0..=rows {
                    let share = matrix[bag * (rows + 1) + row];
                    for column in 0..dim {
                        if share != 0.0 {
                            out[bag * dim + column] += share * batch.value(row, column);
                        }
                        if row < rows {
                            gradient[row * dim + column] += share * batch.grad[bag * dim + column];
                        }
                    }
                }
            }
            let values = narrow(&batch.table);
            let table = TableView::new(&values, rows, dim, dim).unwrap();
            assert_close(&reference::bag::<f32, f32>(table, &batch.bags, pooling), &out, &batch.context());
            assert_close(&batch.gradient(), &gradient, &batch.context());
        }
    }
}
