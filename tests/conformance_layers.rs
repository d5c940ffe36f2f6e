//! What Keras's constraints and regularizers and PyTorch's `max_norm` really answered: recorded cases, replayed.

mod common;

use common::assert_identical;
use common::recorded::{Case, Recorded, assert_close};
use hotrow::{Constraint, Embedding, Regularizer, Table, gather, renorm};

fn weight(recorded: &Recorded, case: &Case) -> Table<f32> {
    let (shape, values) = recorded.f32(&case.inputs["weight"]);
    Table::from_slice(&values, shape[0], shape[1]).unwrap()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// What a case was recorded with.
type Of<T> = fn(&Case) -> T;

/// A recorded parameter.
fn number(case: &Case, name: &str) -> f32 {
    case.params[name].as_f64().unwrap() as f32
}

#[test]
fn keras_constraints() {
    let recorded = Recorded::open("keras");
    let constraints: [(_, Of<Constraint>); 4] = [
        ("max_norm", |case| Constraint::MaxNorm { max_value: number(case, "max_value") }),
        ("unit_norm", |_| Constraint::UnitNorm),
        ("non_neg", |_| Constraint::NonNeg),
        ("min_max_norm", |case| Constraint::MinMaxNorm {
            min_value: number(case, "min_value"),
            max_value: number(case, "max_value"),
            rate: number(case, "rate"),
        }),
    ];
    for (name, constraint) in constraints {
        for case in recorded.of(&format!("keras.constraint.{name}"), 5) {
            let constraint = constraint(&case);
            assert_eq!(constraint.to_string(), name);
            if let Some(axis) = case.params.get("axis") {
                assert_eq!(axis, 1);
            }
            let want = recorded.f32(&case.outputs["weight_after"]).1;
            let mut table = weight(&recorded, &case);
            constraint.apply(&mut table).unwrap();
            if constraint == Constraint::NonNeg {
                assert_identical(&table.to_vec(), &want, &case.id);
            }
            assert_close(&table.to_vec(), &wide(&want), &case.id);

            // Row by row it is the same, and rows that are not named keep their bits.
            let mut some = weight(&recorded, &case);
            let before = some.to_vec();
            let odd: Vec<usize> = (0..some.rows()).filter(|row| row % 2 == 1).collect();
            constraint.apply_rows(&mut some, &odd).unwrap();
            for row in 0..some.rows() {
                let from = if row % 2 == 1 { table.row(row).unwrap() } else { &before[row * some.dim()..(row + 1) * some.dim()] };
                assert_identical(some.row(row).unwrap(), from, &case.id);
            }
        }
    }
}

#[test]
fn keras_regularizers() {
    let recorded = Recorded::open("keras");
    let regularizers: [(_, Of<Regularizer>); 4] = [
        ("l1", |case| Regularizer::L1 { l1: number(case, "l1") }),
        ("l2", |case| Regularizer::L2 { l2: number(case, "l2") }),
        ("l1_l2", |case| Regularizer::L1L2 { l1: number(case, "l1"), l2: number(case, "l2") }),
        ("orthogonal", |case| {
            assert_eq!(case.params["mode"], "rows");
            Regularizer::Orthogonal { factor: number(case, "factor") }
        }),
    ];
    for (name, regularizer) in regularizers {
        for case in recorded.of(&format!("keras.regularizer.{name}"), 5) {
            let regularizer = regularizer(&case);
            let table = weight(&recorded, &case);
            let loss = regularizer.loss(&table).unwrap();
            let want = f64::from(recorded.f32(&case.outputs["loss"]).1[0]);
            assert!((loss - want).abs() <= 1e-5 * want.abs(), "{}: loss {loss} instead of {want}", case.id);
            let want = wide(&recorded.f32(&case.outputs["grad_weight"]).1);
            let gradient = regularizer.gradient(&table).unwrap();
            for (row, want) in want.chunks_exact(table.dim()).enumerate() {
                let scale = scale(regularizer, &table, row, want);
                for (got, want) in gradient.row(row).unwrap().iter().zip(want) {
                    assert!((f64::from(*got) - want).abs() <= 1e-5 * scale, "{} row {row}: {got} instead of {want}", case.id);
                }
            }
        }
    }
}

/// The scale of a row's gradient: its largest value, which is far below 1. Where the terms of an orthogonal regularizer cancel (in
/// rows of one value they all do), it is theirs.
fn scale(regularizer: Regularizer, table: &Table<f32>, row: usize, want: &[f64]) -> f64 {
    match regularizer {
        Regularizer::Orthogonal { factor } => {
            let norm = wide(table.row(row).unwrap()).iter().map(|x| x * x).sum::<f64>().sqrt();
            2.0 * f64::from(factor) / (table.rows() as f64 * norm)
        }
        _ => want.iter().fold(0.0, |scale, x| x.abs().max(scale)),
    }
}

#[test]
fn torch_max_norm() {
    let recorded = Recorded::open("torch_max_norm");
    for case in recorded.of("torch.embedding_max_norm", 6) {
        let (max_norm, norm_type) = (number(&case, "max_norm"), number(&case, "norm_type"));
        let (_, ids) = recorded.i64(&case.inputs["ids"]);
        let output = wide(&recorded.f32(&case.outputs["output"]).1);
        let after = wide(&recorded.f32(&case.outputs["weight_after"]).1);

        let mut table = weight(&recorded, &case);
        let before = table.to_vec();
        renorm(&mut table, &ids, max_norm, norm_type).unwrap();
        assert_close(&table.to_vec(), &after, &case.id);
        assert_close(gather(&table, &ids).unwrap().as_slice(), &output, &case.id);
        // The rows that no id names are copies.
        for row in (0..table.rows()).filter(|&row| !ids.contains(&(row as i64))) {
            assert_identical(table.row(row).unwrap(), &before[row * table.dim()..(row + 1) * table.dim()], &case.id);
        }

        let layer = Embedding::builder(table.rows(), table.dim())
            .weights(weight(&recorded, &case))
            .max_norm(max_norm)
            .norm_type(norm_type)
            .build()
            .unwrap();
        let rows = layer.call(&ids).unwrap();
        assert_identical(rows.as_slice(), gather(&table, &ids).unwrap().as_slice(), &case.id);
        assert_identical(&layer.weights().unwrap().to_vec(), &table.to_vec(), &case.id);
    }
}
