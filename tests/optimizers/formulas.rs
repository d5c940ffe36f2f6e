//! Steps against the formulas of their documentation.

use hotrow::{Adam, AdamW, Gradient, Optimizer, PartialRowWiseAdam, RowWiseAdagrad, Rule, Sgd, Table, WeightDecay};

/// What the documentation of each rule says, in f64: a second hand, for the rules and options that no recorded case covers, too.
#[test]
fn formulas() {
    /// One weight of a row whose gradients have the mean square `mean`, its states, and its gradient in step `t`.
    type Formula = fn(w: f64, s: &mut [f64; 2], g: f64, mean: f64, t: i32) -> f64;
    const ADAM: Adam = Adam { lr: 0.1, beta1: 0.8, beta2: 0.95, eps: 1e-4 };
    fn moments(s: &mut [f64; 2], g: f64, square: f64) {
        s[0] = 0.8 * s[0] + 0.2 * g;
        s[1] = 0.95 * s[1] + 0.05 * square;
    }
    fn corrected(s: &[f64; 2], t: i32) -> (f64, f64) {
        (s[0] / (1.0 - 0.8f64.powi(t)), (s[1] / (1.0 - 0.95f64.powi(t))).sqrt())
    }
    let adamw = AdamW { lr: 0.1, beta1: 0.8, beta2: 0.95, eps: 1e-4, weight_decay: 0.5 };
    let partial = PartialRowWiseAdam { lr: 0.1, beta1: 0.8, beta2: 0.95, eps: 1e-4 };
    let nesterov = Sgd { lr: 0.1, momentum: 0.9, nesterov: true };
    let sgd = |optimizer: fn(Optimizer) -> hotrow::Result<Optimizer>| {
        optimizer(Optimizer::new(Sgd { lr: 0.1, ..Sgd::default() }, 2, 3).unwrap()).unwrap()
    };
    let new = |rule: Rule| Optimizer::new(rule, 2, 3).unwrap();
    let cases: [(Optimizer, Formula); 9] = [
        (new(ADAM.into()), |w, s, g, _, t| {
            moments(s, g, g * g);
            // The eps of PyTorch's SparseAdam is not corrected.
            let (first, second) = (1.0 - 0.8f64.powi(t), 1.0 - 0.95f64.powi(t));
            w - 0.1 * second.sqrt() / first * s[0] / (s[1].sqrt() + 1e-4)
        }),
        (new(adamw.into()), |w, s, g, _, t| {
            moments(s, g, g * g);
            let (m, root) = corrected(s, t);
            w * (1.0 - 0.1 * 0.5) - 0.1 * m / (root + 1e-4)
        }),
        (new(partial.into()), |w, s, g, mean, t| {
            moments(s, g, mean);
            let (m, root) = corrected(s, t);
            w - 0.1 * m / (root + 1e-4)
        }),
        (new(nesterov.into()), |w, s, g, _, _| {
            s[0] = 0.9 * s[0] + g;
            w - 0.1 * (g + 0.9 * s[0])
        }),
        (sgd(|new| new.with_weight_decay(WeightDecay::L2(0.5))), |w, _, g, _, _| w - 0.1 * (g + 0.5 * w)),
        (sgd(|new| new.with_weight_decay(WeightDecay::Decoupled(0.5))), |w, _, g, _, _| w * (1.0 - 0.1 * 0.5) - 0.1 * g),
        (sgd(|new| new.with_clip_value(0.25)), |w, _, g, _, _| w - 0.1 * g.clamp(-0.25, 0.25)),
        // All of the gradient is one row's here: its norm is the root of three times the mean square.
        (sgd(|new| new.with_clip_norm(0.5)), |w, _, g, mean, _| w - 0.1 * g * (0.5 / (3.0 * mean).sqrt()).min(1.0)),
        (new(RowWiseAdagrad { lr: 0.1, eps: 1e-4, initial_accumulator: 0.2 }.into()), |w, s, g, mean, _| {
            if s[0] == 0.0 {
                s[0] = 0.2;
            }
            s[0] += mean;
            w - 0.1 * g / (s[0].sqrt() + 1e-4)
        }),
    ];
    for (mut optimizer, formula) in cases {
        let mut table = Table::<f32>::from_slice(&[9.0, 9.0, 9.0, 0.5, -0.25, 2.0], 2, 3).unwrap();
        let mut weights = [0.5, -0.25, 2.0];
        let mut states = [[0.0; 2]; 3];
        for t in 1..=4 {
            let grad = [0.3 * t as f32, -0.1, 0.8 / t as f32];
            let mean = grad.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>() / 3.0;
            for column in 0..3 {
                weights[column] = formula(weights[column], &mut states[column], f64::from(grad[column]), mean, t);
            }
            optimizer.step(&mut table, Gradient::of_gather(&[1], &grad)).unwrap();
            for (got, want) in table.row(1).unwrap().iter().zip(weights) {
                assert!((f64::from(*got) - want).abs() < 2e-6, "{optimizer:?}, step {t}: {got} instead of {want}");
            }
        }
        assert_eq!(table.row(0), Some(&[9.0; 3][..]));
    }
    // The norm of an updated row.
    let mut optimizer = sgd(|new| new.with_max_row_norm(2.0));
    let mut table = Table::<f32>::from_slice(&[0.0, 0.0, 0.0, 3.0, 0.0, 4.0], 2, 3).unwrap();
    optimizer.step(&mut table, Gradient::of_gather(&[0, 1], &[0.0f32; 6])).unwrap();
    for (got, want) in table.row(1).unwrap().iter().zip([1.2, 0.0, 1.6]) {
        assert!((got - want).abs() < 1e-6, "{got} instead of {want}");
    }
    assert_eq!(table.row(0), Some(&[0.0; 3][..]));
}
