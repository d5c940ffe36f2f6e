//! Initializers: what they draw, from what, and that nothing but seed, shape, row and column has a say.

mod common;

use common::{THREADS, assert_identical};
use hotrow::{DType, Element, EmbeddingBagCollection, EmbeddingBagConfig, Error, Fan, Initializer, Spread, Table, bf16, f16};

/// All of them, first those whose spread is given; with parameters that are not the defaults where there are any.
const ALL: [Initializer; 17] = [
    Initializer::Zeros,
    Initializer::Ones,
    Initializer::Constant(0.3),
    Initializer::Uniform { low: -1.0, high: 3.0 },
    Initializer::Normal { mean: 0.5, std: 2.0 },
    Initializer::TruncatedNormal { mean: -0.5, std: 0.25 },
    Initializer::VarianceScaling { scale: 3.0, mode: Fan::Out, distribution: Spread::Normal },
    Initializer::VarianceScaling { scale: 3.0, mode: Fan::Average, distribution: Spread::Uniform },
    Initializer::VARIANCE_SCALING,
    Initializer::GlorotUniform,
    Initializer::GlorotNormal,
    Initializer::HeUniform,
    Initializer::HeNormal,
    Initializer::LecunUniform,
    Initializer::LecunNormal,
    Initializer::Orthogonal { gain: 2.0 },
    Initializer::Identity { gain: -1.5 },
];

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

#[test]
fn values_do_not_depend_on_threads() {
    fn check<E: Element>(initializer: Initializer) {
        // Enough values for several threads.
        for (rows, dim) in [(1500, 100), (24, 800), (7, 3), (0, 5), (5, 0)] {
            let want = Table::<E>::init(rows, dim, initializer, 11).unwrap().to_vec();
            for threads in THREADS {
                let got = pool(threads).install(|| Table::<E>::init(rows, dim, initializer, 11).unwrap().to_vec());
                assert_identical(&got, &want, &format!("{initializer:?} [{rows}, {dim}] on {threads} threads"));
            }
        }
    }
    for initializer in ALL {
        check::<f32>(initializer);
        check::<bf16>(initializer);
    }
}

/// Where the shape has no say, a value is the same in every table that has its row and column.
#[test]
fn values_do_not_depend_on_the_number_of_rows() {
    for initializer in &ALL[..6] {
        let small = Table::<f32>::init(20, 9, *initializer, 4).unwrap().to_vec();
        let large = Table::<f32>::init(50, 9, *initializer, 4).unwrap().to_vec();
        assert_identical(&small, &large[..small.len()], &format!("{initializer:?}"));
    }
}

#[test]
fn seeds_differ() {
    for initializer in ALL {
        let [one, other] = [1, 2].map(|seed| Table::<f32>::init(6, 5, initializer, seed).unwrap().to_vec());
        let plain = [Initializer::Zeros, Initializer::Ones, Initializer::Constant(0.3), Initializer::Identity { gain: -1.5 }];
        assert_eq!(one == other, plain.contains(&initializer), "{initializer:?}");
    }
}

#[test]
fn plain_values() {
    let values = |initializer| Table::<f16>::init(3, 5, initializer, 0).unwrap().convert::<f32>().unwrap().to_vec();
    assert_eq!(values(Initializer::Zeros), [0.0; 15]);
    assert_eq!(values(Initializer::Ones), [1.0; 15]);
    assert_eq!(values(Initializer::Constant(0.25)), [0.25; 15]);
    // Keras's `Identity(gain=2)((3, 5))`.
    assert_eq!(values(Initializer::Identity { gain: 2.0 }), [2., 0., 0., 0., 0., 0., 2., 0., 0., 0., 0., 0., 2., 0., 0.]);
    let tall = Table::<f32>::init(3, 2, Initializer::IDENTITY, 0).unwrap().to_vec();
    assert_eq!(tall, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

/// Mean and variance within four standard errors, and every value within bounds.
#[test]
fn distributions_are_what_they_say() {
    let (rows, dim) = (2500usize, 40usize);
    let n = (rows * dim) as f64;
    let fan_in = 1.0 / rows as f64;
    let average = 2.0 / (rows + dim) as f64;
    // A standard normal cut off at two: its variance, and its fourth moment.
    let (cut, cut4) = (0.773_741_3, 1.416_105);
    let uniform = |variance: f64| (0.0, variance, 1.8 * variance * variance, (3.0 * variance).sqrt());
    let normal = |mean: f64, variance: f64| (mean, variance, 3.0 * variance * variance, f64::INFINITY);
    let truncated = |mean: f64, std: f64| (mean, std * std * cut, std.powi(4) * cut4, 2.0 * std);
    // What is scaled has the variance asked for after the cut.
    let scaled = |variance: f64| truncated(0.0, (variance / cut).sqrt());
    let cases = [
        (Initializer::UNIFORM, uniform(0.01 / 12.0)),
        (Initializer::NORMAL, normal(0.0, 0.0025)),
        (Initializer::TRUNCATED_NORMAL, truncated(0.0, 0.05)),
        (Initializer::TruncatedNormal { mean: 3.0, std: 0.5 }, truncated(3.0, 0.5)),
        (Initializer::VARIANCE_SCALING, scaled(fan_in)),
        (Initializer::VarianceScaling { scale: 2.0, mode: Fan::Out, distribution: Spread::Normal }, normal(0.0, 2.0 / dim as f64)),
        (Initializer::VarianceScaling { scale: 2.0, mode: Fan::Out, distribution: Spread::Uniform }, uniform(2.0 / dim as f64)),
        (Initializer::GlorotUniform, uniform(average)),
        (Initializer::GlorotNormal, scaled(average)),
        (Initializer::HeUniform, uniform(2.0 * fan_in)),
        (Initializer::HeNormal, scaled(2.0 * fan_in)),
        (Initializer::LecunUniform, uniform(fan_in)),
        (Initializer::LecunNormal, scaled(fan_in)),
    ];
    for (initializer, (mean, variance, fourth, reach)) in cases {
        for seed in [0, 77] {
            let values = Table::<f32>::init(rows, dim, initializer, seed).unwrap().to_vec();
            let offsets: Vec<f64> = values.iter().map(|&x| f64::from(x) - mean).collect();
            let off = offsets.iter().sum::<f64>() / n;
            assert!(off.abs() <= 4.0 * (variance / n).sqrt(), "{initializer:?} seed {seed}: the mean is {off} off");
            let spread = offsets.iter().map(|x| x * x).sum::<f64>() / n;
            let error = ((fourth - variance * variance) / n).sqrt();
            assert!((spread - variance).abs() <= 4.0 * error, "{initializer:?} seed {seed}: variance {spread}, not {variance}");
            let farthest = offsets.iter().fold(0.0f64, |farthest, x| farthest.max(x.abs()));
            assert!(farthest <= reach * (1.0 + 1e-6), "{initializer:?} seed {seed}: {farthest} is beyond {reach}");
            assert!(reach.is_infinite() || farthest >= 0.99 * reach, "{initializer:?} seed {seed}: only {farthest} of {reach}");
        }
    }
}

#[test]
fn orthogonal_vectors_are_orthogonal() {
    for (rows, dim) in [(1, 1), (40, 40), (130, 33), (33, 130), (1, 70), (70, 1), (100, 99), (3000, 16)] {
        for seed in [0, 9] {
            let table = Table::<f32>::init(rows, dim, Initializer::Orthogonal { gain: 1.5 }, seed).unwrap();
            let at = |row: usize, column: usize| f64::from(table.row(row).unwrap()[column]);
            let columns = rows >= dim;
            let (count, len) = (rows.min(dim), rows.max(dim));
            let value = |vector: usize, k: usize| if columns { at(k, vector) } else { at(vector, k) };
            for a in 0..count {
                for b in 0..=a {
                    let product: f64 = (0..len).map(|k| value(a, k) * value(b, k)).sum();
                    let want = if a == b { 2.25 } else { 0.0 };
                    assert!((product - want).abs() <= 1e-5, "[{rows}, {dim}] seed {seed}: vectors {a} and {b}: {product}");
                }
            }
        }
    }
}

/// The sign that Keras corrects to is that of a positive diagonal of R: the draws, projected on their vector, are not turned round.
#[test]
fn orthogonal_vectors_point_with_their_draws() {
    for (rows, dim) in [(60, 12), (12, 60)] {
        let draws = Table::<f32>::init(rows, dim, Initializer::Normal { mean: 0.0, std: 1.0 }, 5).unwrap().to_vec();
        let table = Table::<f32>::init(rows, dim, Initializer::ORTHOGONAL, 5).unwrap().to_vec();
        for vector in 0..12 {
            let at = |k: usize| if rows > dim { k * dim + vector } else { vector * dim + k };
            let along: f32 = (0..60).map(|k| draws[at(k)] * table[at(k)]).sum();
            assert!(along > 0.0, "[{rows}, {dim}] vector {vector}: {along}");
        }
    }
}

#[test]
fn names_are_those_of_keras() {
    for initializer in ALL {
        let named: Initializer = initializer.to_string().parse().unwrap();
        assert_eq!(std::mem::discriminant(&named), std::mem::discriminant(&initializer));
        assert_eq!(named.to_string(), initializer.to_string());
    }
    // Every name that Keras 3.15's `initializers.get` knows, but for the Fourier kernels.
    let names = "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform \
                 Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros \
                 constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform normal one \
                 ones orthogonal random_normal random_uniform truncated_normal uniform variance_scaling zero zeros";
    for name in names.split_whitespace() {
        name.parse::<Initializer>().unwrap();
    }
    let error = "glorot".parse::<Initializer>().unwrap_err();
    assert!(matches!(&error, Error::UnknownName { what: "initializer", given, .. } if given == "glorot"), "{error}");
    assert!("Uniform".parse::<Initializer>().is_err(), "Keras has no such class");
    for fan in [Fan::In, Fan::Out, Fan::Average] {
        assert_eq!(fan.to_string().parse(), Ok(fan));
    }
    for spread in [Spread::TruncatedNormal, Spread::Normal, Spread::Uniform] {
        assert_eq!(spread.to_string().parse(), Ok(spread));
    }
    assert_eq!("normal".parse(), Ok(Spread::TruncatedNormal));
    assert!("fan".parse::<Fan>().is_err() && "flat".parse::<Spread>().is_err());
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    for initializer in [
        Initializer::TruncatedNormal { mean: 0.0, std: -1.0 },
        Initializer::TruncatedNormal { mean: f32::NAN, std: 1.0 },
        Initializer::VarianceScaling { scale: 0.0, mode: Fan::In, distribution: Spread::Normal },
        Initializer::VarianceScaling { scale: f32::INFINITY, mode: Fan::In, distribution: Spread::Normal },
        Initializer::Orthogonal { gain: f32::NAN },
        Initializer::Identity { gain: f32::INFINITY },
    ] {
        let error = Table::<f32>::init(2, 2, initializer, 0).unwrap_err();
        assert_eq!(error, Error::InvalidInitializer { initializer: format!("{initializer:?}") });
    }
    let error = Table::<f32>::init(100_000, 100_000, Initializer::ORTHOGONAL, 0).unwrap_err();
    assert_eq!(error, Error::OrthogonalTooLarge { rows: 100_000, dim: 100_000 });
    assert_eq!(error.to_string(), "an orthogonal matrix [100000, 100000] would take more than 2^38 multiplications");
}

/// A grown table is the larger table of the same seed, in its new rows; its old rows keep their bits.
#[test]
fn growth_keeps_bits() {
    fn check<E: Element>(initializer: Initializer) {
        for dim in [0, 1, 5, 63, 127] {
            let mut table = Table::<E>::from_fn(13, dim, |row, column| {
                E::from_f32(if row == 3 { f32::NAN } else { (row * 100 + column) as f32 * -0.1 })
            })
            .unwrap();
            let before = table.to_vec();
            for rows in [13, 14, 40] {
                table.grow(rows, initializer, 8).unwrap();
                assert_eq!(table.shape(), [rows, dim]);
                let drawn = Table::<E>::init(rows, dim, initializer, 8).unwrap().to_vec();
                let grown = table.to_vec();
                assert_identical(&grown[..before.len()], &before, &format!("{initializer:?} old rows"));
                let from = if rows == 40 { 14 } else { 13 } * dim;
                assert_identical(&grown[from..], &drawn[from..], &format!("{initializer:?} new rows"));
            }
        }
    }
    for initializer in ALL {
        check::<f32>(initializer);
        check::<f16>(initializer);
    }
}

#[test]
fn what_cannot_grow_stays() {
    let mut table = Table::<f32>::uniform(10, 4, 3).unwrap();
    let before = table.to_vec();
    type Expected = fn(&Error) -> bool;
    let tests: [(usize, Initializer, Expected); 3] = [
        (9, Initializer::Zeros, |error| *error == Error::CannotShrink { rows: 10, asked: 9 }),
        (11, Initializer::Normal { mean: 0.0, std: -1.0 }, |error| matches!(error, Error::InvalidInitializer { .. })),
        (usize::MAX, Initializer::Zeros, |error| matches!(error, Error::TooManyRows { .. })),
    ];
    for (rows, initializer, expected) in tests {
        let error = table.grow(rows, initializer, 0).unwrap_err();
        assert!(expected(&error), "{error}");
        assert_eq!((table.shape(), table.to_vec()), ([10, 4], before.clone()));
    }
    assert_eq!(table.grow(9, Initializer::Zeros, 0).unwrap_err().to_string(), "10 rows cannot become 9: growing only adds rows");
    let mut wide = Table::<f32>::zeros(1, 1 << 20).unwrap();
    assert!(matches!(wide.grow(u32::MAX as usize, Initializer::Zeros, 0), Err(Error::OutOfMemory { .. })));
    let error = wide.grow(1000, Initializer::ORTHOGONAL, 0).unwrap_err();
    assert_eq!(error, Error::OrthogonalTooLarge { rows: 1000, dim: 1 << 20 });
    assert_eq!(wide.shape(), [1, 1 << 20]);
}

/// A shard is drawn as the part of the table that it is.
#[test]
fn a_part_is_that_of_the_whole_table() {
    for initializer in ALL {
        // The second is drawn by several threads.
        let orthogonal = matches!(initializer, Initializer::Orthogonal { .. });
        for [rows, dim] in [[40, 9], if orthogonal { [9, 40] } else { [2500, 70] }] {
            let whole = Table::<bf16>::init(rows, dim, initializer, 5).unwrap();
            for ([row, column], [own_rows, own_dim]) in
                [([0, 0], [rows, dim]), ([7, 0], [rows - 8, dim - 1]), ([3, 4], [rows - 3, dim - 4]), ([rows, 1], [0, 2])]
            {
                let config =
                    EmbeddingBagConfig { data_type: DType::BF16, ..EmbeddingBagConfig::new("part", own_rows, own_dim, ["a"]) };
                let mut part = EmbeddingBagCollection::new(vec![config], 0).unwrap();
                initializer.draw_part([rows, dim], 5, [row, column], part.table_mut("part").unwrap()).unwrap();
                for at in 0..own_rows {
                    let want: Vec<f32> =
                        whole.row(row + at).unwrap()[column..column + own_dim].iter().map(|x| Element::to_f32(*x)).collect();
                    let got = part.table("part").unwrap().row_f32(at).unwrap();
                    assert_identical(&got, &want, &format!("{initializer:?}, row {at} from {row}, {column} on"));
                }
                for beyond in [[rows - own_rows + 1, column], [row, dim - own_dim + 1], [usize::MAX, 0]] {
                    let error = initializer.draw_part([rows, dim], 5, beyond, part.table_mut("part").unwrap()).unwrap_err();
                    assert!(matches!(error, Error::ShapeMismatch { what: "part of a table", .. }), "{beyond:?}");
                }
            }
        }
    }
}
