//! Stochastic rounding.

use hotrow::{Element, Gradient, Optimizer, Rounding, Sgd, Table, Workspace, bf16, f16};

use crate::common::{Random, assert_identical, label, workspaces};

/// The mean over seeds is the exact weight, within four standard errors; and only the two neighbours occur.
#[test]
fn stochastic_rounding_is_unbiased() {
    fn run<E: Element>(start: f32, update: f32, place: f64) {
        const SEEDS: u64 = 400;
        let (rows, dim) = (if cfg!(debug_assertions) { 6 } else { 40 }, 25);
        let n = rows * dim;
        let ids: Vec<i64> = (0..rows as i64).collect();
        let grad = vec![-update; n];
        let mut sums = vec![0.0f64; n];
        let mut total = 0.0;
        let exact = f64::from(start + update);
        for seed in 0..SEEDS {
            let mut table = Table::<E>::from_fn(rows, dim, |_, _| E::from_f32(start)).unwrap();
            let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, rows, dim).unwrap();
            optimizer = optimizer.with_rounding(Rounding::Stochastic { seed });
            optimizer.step(&mut table, Gradient::of_gather(&ids, &grad)).unwrap();
            for (sum, x) in sums.iter_mut().zip(table.to_vec()) {
                let x = f64::from(x.to_f32());
                assert!((x - exact).abs() < place, "{exact} became {x}");
                *sum += x;
                total += x;
            }
        }
        // Up with probability p: the variance is p (1 - p) places squared.
        let p = (exact / place).fract();
        let error = |n: f64| place * (p * (1.0 - p) / n).sqrt();
        let mean = total / (SEEDS as f64 * n as f64);
        assert!((mean - exact).abs() <= 4.0 * error(SEEDS as f64 * n as f64), "{} {exact}: the mean is {mean}", E::DTYPE);
        // Each weight has random numbers of its own. Of a thousand means, some are beyond four standard errors one time in ten.
        for sum in sums {
            assert!((sum / SEEDS as f64 - exact).abs() <= 5.0 * error(SEEDS as f64), "{} {exact}: {sum}", E::DTYPE);
        }
    }
    // A tenth of a last place, a half, nearly one; for halves below the normal numbers, too.
    for part in [0.1, 0.5, 0.97] {
        run::<bf16>(1.0, part / 128.0, 1.0 / 128.0);
        run::<bf16>(0.0078125, part / 16384.0, 1.0 / 16384.0);
        run::<f16>(1.0, part / 1024.0, 1.0 / 1024.0);
        run::<f16>(0.0, part / 16_777_216.0, 1.0 / 16_777_216.0);
        run::<f16>(1.0 / 16_777_216.0 * 40.0, part / 16_777_216.0, 1.0 / 16_777_216.0);
    }
}

/// Small updates add up with stochastic rounding, and are all lost when rounded to nearest.
#[test]
fn small_updates_add_up() {
    let train = |rounding: Rounding| {
        let mut table = Table::<bf16>::from_fn(1, 64, |_, _| bf16::from_f32(1.0)).unwrap();
        let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 1, 64).unwrap().with_rounding(rounding);
        let mut workspace = Workspace::new();
        for _ in 0..1000 {
            workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&[0], &[-0.001f32; 64])).unwrap();
        }
        table.to_vec().iter().map(|x| x.to_f32()).sum::<f32>() / 64.0
    };
    assert_eq!(train(Rounding::Nearest), 1.0);
    let mean = train(Rounding::Stochastic { seed: 1 });
    assert!((mean - 2.0).abs() < 0.05, "{mean}");
}

/// The same seed gives the same weights on any number of threads; seeds and steps give others.
#[test]
fn stochastic_rounding_does_not_depend_on_threads() {
    let (rows, dim) = (20_000, 17);
    let ids: Vec<i64> = (0..rows as i64).collect();
    let grad: Vec<f32> = Random(3).values(rows * dim, false);
    let run = |workspace: &mut Workspace, seed: u64, steps: u64| {
        let mut table = Table::<bf16>::from_fn(rows, dim, |_, _| bf16::from_f32(1.0)).unwrap();
        let mut optimizer = Optimizer::new(Sgd { lr: 1e-3, ..Sgd::default() }, rows, dim).unwrap();
        optimizer = optimizer.with_rounding(Rounding::Stochastic { seed });
        optimizer.set_steps(steps);
        workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&ids, &grad)).unwrap();
        table.to_vec()
    };
    let want = run(&mut Workspace::new(), 7, 0);
    for mut workspace in workspaces() {
        assert_identical(&run(&mut workspace, 7, 0), &want, &label(&workspace));
    }
    let differs = |other: Vec<bf16>| other.iter().zip(&want).filter(|(a, b)| a != b).count();
    for other in
        [run(&mut Workspace::new(), 8, 0), run(&mut Workspace::new(), 7 | 1 << 32, 0), run(&mut Workspace::new(), 7, 1 << 32)]
    {
        assert!(differs(other) > rows);
    }
}
