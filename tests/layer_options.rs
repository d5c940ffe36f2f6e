//! Constraints, regularizers, renormalization, and the options of the layer.

mod common;

use common::{DIMS, Random, Repeats, THREADS, assert_identical, assert_same, draw_ids};
use hotrow::{
    Constraint, Element, Embedding, Error, IdPolicy, Ids, Initializer, Regularizer, SharedTable, Table, TableViewMut, bf16, f16,
    gather, reference, renorm, scatter_add,
};
use proptest::prelude::*;

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

const CONSTRAINTS: [Constraint; 6] = [
    Constraint::MaxNorm { max_value: 1.5 },
    Constraint::MaxNorm { max_value: 0.0 },
    Constraint::UnitNorm,
    Constraint::NonNeg,
    Constraint::MinMaxNorm { min_value: 0.5, max_value: 1.5, rate: 0.7 },
    Constraint::MIN_MAX_NORM,
];

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    rows: usize,
    dim: usize,
    padding: usize,
    ids: usize,
    odd: bool,
}

/// Small tables, and ones large enough to be cut among threads.
fn case() -> impl Strategy<Value = Case> {
    let size = prop_oneof![3 => (1usize..40, 0usize..60), 1 => (1000usize..4000, 3000usize..6000)];
    let dim = proptest::sample::select(&DIMS[..]);
    (any::<u64>(), size, dim, 0usize..3, any::<bool>()).prop_map(|(seed, (rows, ids), dim, padding, odd)| {
        // The widest rows of the largest cases would only take longer.
        let rows = rows.min(150_000 / dim);
        Case { seed, rows, dim, padding, ids, odd }
    })
}

impl Case {
    fn stride(&self) -> usize {
        self.dim + self.padding
    }

    fn values<E: Element>(&self, random: &mut Random) -> Vec<E> {
        // The last row has no padding behind it, but something that is not the table's.
        random.values(self.rows * self.stride() + 5, self.odd)
    }

    fn view<'v, E: Element>(&self, values: &'v mut [E]) -> TableViewMut<'v, E> {
        TableViewMut::new(values, self.rows, self.dim, self.stride()).unwrap()
    }
}

fn check_constraints<E: Element>(case: &Case) {
    let mut random = Random(case.seed);
    let values: Vec<E> = case.values(&mut random);
    let ids = draw_ids(&mut random, case.ids, case.rows, Repeats::Some);
    for constraint in CONSTRAINTS {
        let (mut all, mut some) = (values.clone(), values.clone());
        for row in 0..case.rows {
            reference::constrain(constraint, case.view(&mut all).row_mut(row).unwrap());
            if ids.contains(&(row as i64)) {
                reference::constrain(constraint, case.view(&mut some).row_mut(row).unwrap());
            }
        }
        for threads in THREADS {
            let (mut got_all, mut got_some) = (values.clone(), values.clone());
            pool(threads).install(|| {
                constraint.apply(case.view(&mut got_all)).unwrap();
                constraint.apply_rows(case.view(&mut got_some), &ids).unwrap();
            });
            assert_same(&got_all, &all, &format!("{constraint:?} on {threads} threads"));
            assert_same(&got_some, &some, &format!("{constraint:?} of rows on {threads} threads"));
        }
    }
}

fn check_renorm<E: Element>(case: &Case) {
    let mut random = Random(case.seed);
    let values: Vec<E> = case.values(&mut random);
    let mut ids = draw_ids(&mut random, case.ids, case.rows, Repeats::Half);
    for id in ids.iter_mut().step_by(5) {
        *id = -1;
    }
    let ids = Ids::from(&ids).with_policy(IdPolicy::ZERO_FILL);
    for norm_type in [1.0, 2.0, f32::INFINITY] {
        for max_norm in [0.0, 1.0, 4.0, f32::INFINITY] {
            let mut want = values.clone();
            reference::renorm(case.view(&mut want), ids, max_norm, norm_type).unwrap();
            for threads in THREADS {
                let mut got = values.clone();
                pool(threads).install(|| renorm(case.view(&mut got), ids, max_norm, norm_type).unwrap());
                assert_same(&got, &want, &format!("max_norm {max_norm} of order {norm_type} on {threads} threads"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn constraints_equal_the_plain_loop(case in case()) {
        check_constraints::<f32>(&case);
        check_constraints::<f16>(&case);
        check_constraints::<bf16>(&case);
    }

    #[test]
    fn renorm_equals_the_plain_loop(case in case()) {
        check_renorm::<f32>(&case);
        check_renorm::<f16>(&case);
        check_renorm::<bf16>(&case);
    }
}

/// PyTorch 2.15's answers for orders that the recorded cases have none of: rows 1 and 2 of `arange(12)` as 3 × 4, to 1.
#[test]
fn renorm_of_any_order() {
    let expected = [
        (f32::INFINITY, [0.571_428_54, 0.714_285_7, 0.857_142_8, 0.999_999_94, 0.727_272_75, 0.818_181_9, 0.909_090_94, 1.0]),
        (3.0, [0.440_648_97, 0.550_811_23, 0.660_973_4, 0.771_135_7, 0.523_342_67, 0.588_760_5, 0.654_178_3, 0.719_596_15]),
        (0.5, [0.045_938_3, 0.057_422_87, 0.068_907_45, 0.080_392_02, 0.052_815_61, 0.059_417_564, 0.066_019_51, 0.072_621_465]),
    ];
    for (norm_type, want) in expected {
        let mut table = Table::<f32>::from_fn(3, 4, |row, column| (4 * row + column) as f32).unwrap();
        renorm(&mut table, &[2, 1], 1.0, norm_type).unwrap();
        let got = table.to_vec();
        assert_eq!(got[..4], [0.0, 1.0, 2.0, 3.0]);
        for (got, want) in got[4..].iter().zip(want) {
            assert!((got - want).abs() <= 1e-6, "order {norm_type}: {got} instead of {want}");
        }
    }
    // An infinite norm, by overflow too, makes zeros (and inf * 0); a NaN leaves its row alone.
    let mut table = Table::from_slice(&[f32::NAN, 5.0, f32::INFINITY, 3.0, 1e30, 1e30], 3, 2).unwrap();
    renorm(&mut table, &[2, 1, 0], 1.0, 2.0).unwrap();
    assert_same(&table.to_vec(), &[f32::NAN, 5.0, f32::NAN, 0.0, 0.0, 0.0], "not finite");
}

/// The gradient against the loss's finite differences in f64. Values of f32 that are far from where the loss has a corner.
#[test]
fn gradients_are_those_of_the_losses() {
    let regularizers = [
        Regularizer::L1 { l1: 0.3 },
        Regularizer::L2 { l2: 0.7 },
        Regularizer::L1L2 { l1: 0.3, l2: 0.7 },
        Regularizer::Orthogonal { factor: 2.0 },
    ];
    let mut random = Random(17);
    for [rows, dim] in [[1, 4], [2, 1], [5, 3], [7, 19], [300, 2]] {
        let table = Table::<f32>::from_slice(&random.values(rows * dim, false), rows, dim).unwrap();
        for regularizer in regularizers {
            let gradient = regularizer.gradient(&table).unwrap();
            assert_eq!(gradient.shape(), [rows, dim]);
            for _ in 0..40 {
                let (row, column) = (random.below(rows), random.below(dim));
                let x = table.row(row).unwrap()[column];
                let step = (x.abs() * 1e-3).max(1e-4);
                let loss = |to: f32| {
                    let mut moved = table.try_clone().unwrap();
                    moved.row_mut(row).unwrap()[column] = to;
                    regularizer.loss(&moved).unwrap()
                };
                let (low, high) = (x - step, x + step);
                let slope = (loss(high) - loss(low)) / (f64::from(high) - f64::from(low));
                let got = f64::from(gradient.row(row).unwrap()[column]);
                assert!(
                    (got - slope).abs() <= 1e-3 * slope.abs().max(0.01),
                    "{regularizer:?} [{rows}, {dim}] at [{row}, {column}]: {got} instead of {slope}"
                );
            }
        }
    }
}

/// The loss and the gradient against plain loops in f64, and on any number of threads.
#[test]
fn regularizers_equal_plain_loops() {
    fn check<E: Element>(rows: usize, dim: usize) {
        let values: Vec<E> = Random(rows as u64).values(rows * dim, false);
        let table = Table::from_slice(&values, rows, dim).unwrap();
        let wide: Vec<f64> = values.iter().map(|x| f64::from(x.to_f32())).collect();
        let (l1, l2) = (0.3f32, 0.7f32);
        let loss: f64 = wide.iter().map(|x| f64::from(l1) * x.abs() + f64::from(l2) * x * x).sum();
        let slope = |x: f32| if x == 0.0 { 0.0 } else { l1 * x.signum() + l2 * (2.0 * x) };
        let want: Vec<f32> = values.iter().map(|x| slope(x.to_f32())).collect();
        for threads in THREADS {
            pool(threads).install(|| {
                let regularizer = Regularizer::L1L2 { l1, l2 };
                let got = regularizer.loss(&table).unwrap();
                assert!((got - loss).abs() <= 1e-12 * loss, "{got} instead of {loss}");
                assert_eq!(got, pool(1).install(|| regularizer.loss(&table).unwrap()));
                assert_identical(&regularizer.gradient(&table).unwrap().to_vec(), &want, "gradient");
            });
        }
        if rows <= 300 {
            let regularizer = Regularizer::Orthogonal { factor: 0.1 };
            let one = pool(1).install(|| (regularizer.loss(&table).unwrap(), regularizer.gradient(&table).unwrap().to_vec()));
            for threads in THREADS {
                let many =
                    pool(threads).install(|| (regularizer.loss(&table).unwrap(), regularizer.gradient(&table).unwrap().to_vec()));
                assert_eq!(many, one, "orthogonal on {threads} threads");
            }
        }
    }
    for (rows, dim) in [(1, 1), (3, 17), (300, 33), (5000, 31)] {
        check::<f32>(rows, dim);
        check::<f16>(rows, dim);
        check::<bf16>(rows, dim);
    }
}

#[test]
fn regularizers_at_the_edges() {
    let table = Table::from_slice(&[0.0f32, -0.0, f32::INFINITY, f32::NAN], 2, 2).unwrap();
    let gradient = Regularizer::L1 { l1: 0.5 }.gradient(&table).unwrap().to_vec();
    assert_same(&gradient, &[0.0, 0.0, 0.5, f32::NAN], "signs");
    // A factor of zero takes its term away.
    assert_eq!(Regularizer::L1L2 { l1: 0.0, l2: 0.0 }.loss(&table).unwrap(), 0.0);
    let empty = Table::<f32>::zeros(0, 3).unwrap();
    let single = Table::<f32>::zeros(1, 3).unwrap();
    let none = Table::<f32>::zeros(3, 0).unwrap();
    for regularizer in [Regularizer::L1L2 { l1: 1.0, l2: 1.0 }, Regularizer::Orthogonal { factor: 1.0 }] {
        for table in [&empty, &single, &none] {
            assert_eq!(regularizer.loss(table).unwrap(), 0.0);
            assert_eq!(regularizer.gradient(table).unwrap().to_vec(), vec![0.0; table.rows() * table.dim()]);
        }
    }
    // Rows of zeros are divided by Keras's epsilon, not by zero.
    let zeros = Table::from_slice(&[0.0f32, 0.0, 3.0, 4.0], 2, 2).unwrap();
    assert_eq!(Regularizer::Orthogonal { factor: 1.0 }.loss(&zeros).unwrap(), 0.0);
    assert!(Regularizer::Orthogonal { factor: 1.0 }.gradient(&zeros).unwrap().to_vec().iter().all(|x| x.is_finite()));
    let mut gradient = Table::zeros(2, 1).unwrap();
    let error = Regularizer::L1 { l1: 0.5 }.add_gradient(&zeros, &mut gradient).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { what: "gradient", needed: 4, actual: 2, .. }));
}

#[test]
fn options_that_make_no_sense() {
    let mut table = Table::<f32>::uniform(4, 3, 1).unwrap();
    let before = table.to_vec();
    for constraint in [
        Constraint::MaxNorm { max_value: -1.0 },
        Constraint::MaxNorm { max_value: f32::NAN },
        Constraint::MinMaxNorm { min_value: 2.0, max_value: 1.0, rate: 1.0 },
        Constraint::MinMaxNorm { min_value: 0.0, max_value: 1.0, rate: 1.5 },
    ] {
        let built = Embedding::<f32>::builder(4, 3).embeddings_constraint(constraint).build();
        for error in [constraint.apply(&mut table), constraint.apply_rows(&mut table, &[1]), built.map(|_| ())] {
            assert!(matches!(error, Err(Error::InvalidOption { option: "constraint", .. })));
        }
    }
    assert!(matches!(Constraint::UnitNorm.apply_rows(&mut table, &[1, 4]), Err(Error::IdOutOfRange { .. })));
    for regularizer in
        [Regularizer::L1 { l1: -1.0 }, Regularizer::L2 { l2: f32::INFINITY }, Regularizer::Orthogonal { factor: f32::NAN }]
    {
        let built = Embedding::<f32>::builder(4, 3).embeddings_regularizer(regularizer).build();
        for error in [regularizer.loss(&table).map(|_| ()), regularizer.gradient(&table).map(|_| ()), built.map(|_| ())] {
            assert!(matches!(error, Err(Error::InvalidOption { option: "regularizer", .. })));
        }
    }
    for (max_norm, norm_type, wrong) in [
        (-1.0, 2.0, "max_norm is -1: it must not be below zero"),
        (f32::NAN, 2.0, "max_norm is NaN: it must not be below zero"),
        (1.0, 0.0, "norm_type is 0: it must be above zero; infinity is the largest magnitude"),
        (1.0, f32::NAN, "norm_type is NaN: it must be above zero; infinity is the largest magnitude"),
    ] {
        let built = Embedding::<f32>::builder(4, 3).max_norm(max_norm).norm_type(norm_type).build();
        assert_eq!(renorm(&mut table, &[1], max_norm, norm_type).unwrap_err().to_string(), wrong);
        assert_eq!(built.unwrap_err().to_string(), wrong);
    }
    let built = Embedding::<f32>::builder(4, 3).embeddings_initializer(Initializer::Normal { mean: 0.0, std: -1.0 }).build();
    assert!(matches!(built, Err(Error::InvalidInitializer { .. })));
    assert!(matches!(renorm(&mut table, &[0, 1, 4], 0.0, 2.0), Err(Error::IdOutOfRange { .. })));
    assert_eq!(table.to_vec(), before, "the table was written to");
    assert!("max".parse::<Constraint>().is_err() && "l3".parse::<Regularizer>().is_err());
    for constraint in CONSTRAINTS {
        let named: Constraint = constraint.to_string().parse().unwrap();
        assert_eq!(named.to_string(), constraint.to_string());
    }
    for name in ["l1", "l2", "l1_l2", "orthogonal_regularizer"] {
        assert_eq!(name.parse::<Regularizer>().unwrap().to_string(), name);
    }
}

#[test]
fn a_frozen_layer_refuses_gradients() {
    let layer = Embedding::<f32>::builder(4, 2).name("words").trainable(false).build().unwrap();
    let before = layer.weights().unwrap().to_vec();
    let error = layer.apply_gradient(&[1], &[1.0f32, 1.0], 0.5).unwrap_err();
    assert_eq!(error, Error::NotTrainable { name: "words".to_owned() });
    assert_eq!(error.to_string(), "layer \"words\" is not trainable: it was built with trainable = false");
    assert_eq!(layer.weights().unwrap().to_vec(), before);
    assert_eq!((layer.name(), layer.trainable()), ("words", false));
    layer.set_weights(Table::zeros(4, 2).unwrap()).unwrap();
}

#[test]
fn a_layer_checks_the_length_of_sequences() {
    let layer = Embedding::<f32>::builder(10, 2).input_length(3).build().unwrap();
    assert_eq!(layer.call(&[1, 2, 3]).unwrap().shape(), [3, 2]);
    assert_eq!(layer.call(&[[1, 2, 3], [4, 5, 6]]).unwrap().shape(), [2, 3, 2]);
    let error = layer.call(&[[1, 2], [3, 4]]).unwrap_err();
    assert_eq!(error, Error::InputLength { expected: 3, shape: vec![2, 2] });
    assert_eq!(error.to_string(), "input_length is 3, but the ids have shape [2, 2]: a sequence of 2");
    assert_eq!(layer.call(&5).unwrap_err().to_string(), "input_length is 3, but the ids have shape []: no sequence");
}

/// A step is the data's gradient and the regularizer's, taken at the same weights, and then the constraint on every row.
#[test]
fn a_step_regularizes_and_constrains() {
    let weights = Table::<f32>::normal(50, 9, 4).unwrap();
    let layer = Embedding::builder(50, 9)
        .weights(weights.try_clone().unwrap())
        .embeddings_regularizer(Regularizer::Orthogonal { factor: 0.5 })
        .embeddings_constraint(Constraint::UnitNorm)
        .build()
        .unwrap();
    let ids = [3, 40, 3];
    let gradient: Vec<f32> = Random(5).values(27, false);
    layer.apply_gradient(&ids, &gradient, 0.25).unwrap();

    let penalty = Regularizer::Orthogonal { factor: 0.5 }.gradient(&weights).unwrap();
    let mut want = weights;
    scatter_add(&mut want, &ids, &gradient, -0.25).unwrap();
    for row in 0..50 {
        for (value, penalty) in want.row_mut(row).unwrap().iter_mut().zip(penalty.row(row).unwrap()) {
            *value += -0.25 * penalty;
        }
    }
    Constraint::UnitNorm.apply(&mut want).unwrap();
    assert_identical(&layer.weights().unwrap().to_vec(), &want.to_vec(), "one step");
    assert_eq!(layer.regularization_loss().unwrap(), Regularizer::Orthogonal { factor: 0.5 }.loss(&want).unwrap());

    // What the data's gradient makes impossible has no part that is done.
    assert!(layer.apply_gradient(&[3, 50], &gradient[..18], 0.25).is_err());
    assert!(layer.apply_gradient(&[3], &gradient, 0.25).is_err());
    assert_identical(&layer.weights().unwrap().to_vec(), &want.to_vec(), "refused steps");
}

#[test]
fn a_refused_lookup_renormalizes_nothing() {
    let layer = Embedding::<f32>::builder(4, 3).embeddings_initializer(Initializer::Ones).max_norm(0.5).build().unwrap();
    assert!(layer.call(&[0, 1, 4]).is_err());
    assert_eq!(layer.weights().unwrap().to_vec(), [1.0; 12]);
    let rows = layer.call(&[2, 2]).unwrap();
    assert_eq!(rows.as_slice(), gather(&layer.weights().unwrap(), &[2, 2]).unwrap().as_slice());
    assert!(rows.as_slice()[0] < 0.3);
    assert_eq!(layer.weights().unwrap().to_vec()[..6], [1.0; 6]);
}

#[test]
fn layers_that_share_a_table_grow_together() {
    let shared = SharedTable::new(Table::<f32>::uniform(5, 3, 0).unwrap());
    let (one, other) = (Embedding::with_table(shared.clone()), Embedding::with_table(shared.clone()));
    one.grow(8).unwrap();
    assert_eq!((other.input_dim(), other.output_dim(), shared.shape()), (8, 3, [8, 3]));
    assert_eq!(other.weights().unwrap().to_vec(), Table::<f32>::uniform(8, 3, 0).unwrap().to_vec());
    assert_eq!(other.grow(7).unwrap_err(), Error::CannotShrink { rows: 8, asked: 7 });
    assert!(other.get_config().contains("\"input_dim\":8"));
}
