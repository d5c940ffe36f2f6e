//! The fuzzers' corpus, replayed. `fuzz/README.md` says what the checks are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use hotrow::reference::{PlainBags, RowGradients};
use hotrow::store::{Format, Values};
use hotrow::{Cast, Element, IdPolicy, Ids, Optimizer, OutOfRange, Pooling, Result, TableView, TableViewMut, Widen, reference};

#[path = "../fuzz/bodies/bags.rs"]
mod bags;
#[path = "../fuzz/bodies/cases.rs"]
mod cases;
#[path = "../fuzz/bodies/checkpoint.rs"]
mod checkpoint;
#[path = "../fuzz/bodies/gather.rs"]
mod gather;
#[path = "../fuzz/bodies/ids.rs"]
mod ids;
#[path = "../fuzz/bodies/input.rs"]
mod input;
#[path = "../fuzz/bodies/messages.rs"]
mod messages;
#[path = "../fuzz/bodies/optimizers.rs"]
mod optimizers;
#[path = "../fuzz/bodies/peak.rs"]
mod peak;
#[path = "../fuzz/bodies/rows.rs"]
mod rows;
#[path = "../fuzz/bodies/scatter.rs"]
mod scatter;

/// Every file of a target's corpus, at least one.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Runs a check on every file; names the file that fails.
fn replay(target: &str, check: impl Fn(&[u8])) {
    for (path, bytes) in corpus(target) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&bytes))) {
            eprintln!("that was {}", path.display());
            std::panic::resume_unwind(panic);
        }
    }
}

/// How many files of a corpus a check fails on: the proof that both can see a mistake.
fn failures(target: &str, check: impl Fn(&[u8])) -> usize {
    let fails = |bytes: &[u8]| catch_unwind(AssertUnwindSafe(|| check(bytes))).is_err();
    corpus(target).iter().filter(|(_, bytes)| fails(bytes)).count()
}

#[test]
fn ids_are_taken_for_the_rows_that_the_reference_says() {
    replay("ids", ids::check);
}

#[test]
fn folders_of_checkpoints_are_loaded_or_refused() {
    replay("checkpoint", checkpoint::check);
}

#[test]
fn messages_arrive_as_they_were_sent_or_are_refused() {
    replay("messages", messages::check);
}

#[test]
fn gathers_equal_the_plain_loop() {
    replay("gather", gather::check);
}

#[test]
fn sequences_of_scatter_adds_equal_the_plain_loop() {
    replay("scatter", scatter::check);
}

#[test]
fn sequences_of_steps_equal_the_plain_loop() {
    replay("optimizers", optimizers::check);
}

#[test]
fn bags_and_their_gradients_equal_the_plain_loops() {
    replay("bags", bags::check);
}

#[test]
fn embedding_files_are_read_or_refused_with_a_place() {
    replay("npy", rows::check_npy);
    replay("npz", rows::check_npz);
    replay("word2vec", rows::check_word2vec);
    replay("csv", rows::check_csv);
}

/// Each of these is a mistake that an implementation could make. The corpus shows them all.
#[test]
fn the_check_of_ids_sees_mistakes() {
    fn with(ids: Ids<'_>, change: impl Fn(&mut IdPolicy)) -> Ids<'_> {
        let mut policy = ids.policy();
        change(&mut policy);
        ids.with_policy(policy)
    }
    let mistakes: [(&str, ids::Oracle); 5] = [
        ("ids that wrap are refused", |ids, rows| {
            let checked = |policy: &mut IdPolicy| {
                if policy.cast == Cast::KerasCall {
                    policy.cast = Cast::Checked;
                }
            };
            reference::resolve(with(ids, checked), rows)
        }),
        ("int64 wraps like the others", |ids, rows| {
            let wrapping = |policy: &mut IdPolicy| {
                if policy.cast == Cast::KeepInt64 {
                    policy.cast = Cast::KerasCall;
                }
            };
            reference::resolve(with(ids, wrapping), rows)
        }),
        ("a negative id is never from the end", |ids, rows| {
            reference::resolve(with(ids, |policy| policy.negative = Default::default()), rows)
        }),
        ("clamped where it should be filled", |ids, rows| {
            let clamped = |policy: &mut IdPolicy| {
                if matches!(policy.out_of_range, OutOfRange::Fill(_)) {
                    policy.out_of_range = OutOfRange::Clamp;
                }
            };
            reference::resolve(with(ids, clamped), rows)
        }),
        ("the table ends one row early", |ids, rows| reference::resolve(ids, rows.saturating_sub(1))),
    ];
    for (mistake, oracle) in mistakes {
        assert_ne!(failures("ids", |bytes| ids::check_against(bytes, oracle)), 0, "{mistake}");
    }
}

#[test]
fn the_check_of_gathers_sees_mistakes() {
    /// Fills with zero, whatever the policy says.
    struct FillsWithZero;
    impl gather::Oracle for FillsWithZero {
        fn gather<E: Widen<O>, O: Element>(table: TableView<'_, E>, ids: Ids<'_>) -> Result<Vec<O>> {
            let mut policy = ids.policy();
            if let OutOfRange::Fill(fill) = &mut policy.out_of_range {
                *fill = 0.0;
            }
            reference::gather(table, ids.with_policy(policy))
        }
    }
    /// Loses the sign of zero.
    struct AddsToZero;
    impl gather::Oracle for AddsToZero {
        fn gather<E: Widen<O>, O: Element>(table: TableView<'_, E>, ids: Ids<'_>) -> Result<Vec<O>> {
            let rows: Vec<O> = reference::gather(table, ids)?;
            Ok(rows.into_iter().map(|x| if x.to_f32() == 0.0 { O::default() } else { x }).collect())
        }
    }
    assert_ne!(failures("gather", gather::check_against::<FillsWithZero>), 0);
    assert_ne!(failures("gather", gather::check_against::<AddsToZero>), 0);
}

#[test]
fn the_check_of_scatter_adds_sees_mistakes() {
    /// Rounds a row after each update, not once: differs for 16-bit tables and ids that repeat.
    struct RoundsEachTime;
    impl scatter::Oracle for RoundsEachTime {
        fn scatter_add<E: Element, S: Element>(
            mut table: TableViewMut<'_, E>,
            ids: Ids<'_>,
            source: &[S],
            alpha: f32,
        ) -> Result<()> {
            let rows = reference::resolve(ids, table.rows());
            let dim = table.dim();
            if rows.is_err() || source.len() != ids.len() * dim {
                return reference::scatter_add(table, ids, source, alpha);
            }
            for (k, row) in rows?.into_iter().enumerate() {
                let Some(row) = row.and_then(|row| table.row_mut(row)) else { continue };
                for (cell, x) in row.iter_mut().zip(&source[k * dim..]) {
                    *cell = E::from_f32(cell.to_f32() + alpha * x.to_f32());
                }
            }
            Ok(())
        }
    }
    /// Multiplies and adds with one rounding, as a fused instruction does.
    struct Fuses;
    impl scatter::Oracle for Fuses {
        fn scatter_add<E: Element, S: Element>(
            mut table: TableViewMut<'_, E>,
            ids: Ids<'_>,
            source: &[S],
            alpha: f32,
        ) -> Result<()> {
            let rows = reference::resolve(ids, table.rows());
            let dim = table.dim();
            if E::DTYPE != hotrow::DType::F32 || rows.is_err() || source.len() != ids.len() * dim {
                return reference::scatter_add(table, ids, source, alpha);
            }
            for (k, row) in rows?.into_iter().enumerate() {
                let Some(row) = row.and_then(|row| table.row_mut(row)) else { continue };
                for (cell, x) in row.iter_mut().zip(&source[k * dim..]) {
                    *cell = E::from_f32(alpha.mul_add(x.to_f32(), cell.to_f32()));
                }
            }
            Ok(())
        }
    }
    assert_ne!(failures("scatter", scatter::check_against::<RoundsEachTime>), 0);
    assert_ne!(failures("scatter", scatter::check_against::<Fuses>), 0);
}

#[test]
fn the_check_of_optimizers_sees_mistakes() {
    /// Does not count a step.
    struct DoesNotCount;
    impl optimizers::Oracle for DoesNotCount {
        fn step<E: cases::Bits>(optimizer: &mut Optimizer, table: TableViewMut<'_, E>, gradient: &RowGradients) -> Result<()> {
            let steps = optimizer.steps();
            let answer = reference::step(optimizer, table, gradient);
            optimizer.set_steps(steps);
            answer
        }
    }
    /// Leaves out rows whose gradient is zero: they decay, and have momentum.
    struct SkipsZeros;
    impl optimizers::Oracle for SkipsZeros {
        fn step<E: cases::Bits>(optimizer: &mut Optimizer, table: TableViewMut<'_, E>, gradient: &RowGradients) -> Result<()> {
            let mut gradient = gradient.clone();
            gradient.retain(|_, values| values.iter().any(|&x| x != 0.0));
            reference::step(optimizer, table, &gradient)
        }
    }
    /// Takes numbers below the normal ones for zeros.
    struct FlushesToZero;
    impl optimizers::Oracle for FlushesToZero {
        fn step<E: cases::Bits>(optimizer: &mut Optimizer, table: TableViewMut<'_, E>, gradient: &RowGradients) -> Result<()> {
            let mut gradient = gradient.clone();
            gradient.values_mut().flatten().filter(|x| x.is_subnormal()).for_each(|x| *x = 0.0);
            reference::step(optimizer, table, &gradient)
        }
    }
    /// Looks at no row before the step.
    struct ChecksNothing;
    impl optimizers::Oracle for ChecksNothing {
        fn step<E: cases::Bits>(optimizer: &mut Optimizer, table: TableViewMut<'_, E>, gradient: &RowGradients) -> Result<()> {
            let mut gradient = gradient.clone();
            gradient.values_mut().flatten().filter(|x| !x.is_finite()).for_each(|x| *x = 1.0);
            reference::step(optimizer, table, &gradient)
        }
    }
    assert_ne!(failures("optimizers", optimizers::check_against::<DoesNotCount>), 0);
    assert_ne!(failures("optimizers", optimizers::check_against::<SkipsZeros>), 0);
    assert_ne!(failures("optimizers", optimizers::check_against::<FlushesToZero>), 0);
    assert_ne!(failures("optimizers", optimizers::check_against::<ChecksNothing>), 0);
}

#[test]
fn the_check_of_bags_sees_mistakes() {
    /// Bags with something forgotten, and the plain loops.
    trait Forgets {
        fn forget(bags: &mut PlainBags);
    }
    struct Forgetful<F>(std::marker::PhantomData<F>);
    impl<F: Forgets> bags::Oracle for Forgetful<F> {
        fn bag<E: Element, O: Element>(table: TableView<'_, E>, bags: &PlainBags, pooling: Pooling) -> Vec<O> {
            let mut bags = bags.clone();
            F::forget(&mut bags);
            reference::bag(table, &bags, pooling)
        }
        fn gradient<S: Element>(bags: &PlainBags, pooling: Pooling, grad: &[S], dim: usize, by_freq: bool) -> RowGradients {
            reference::bag_gradient(bags, pooling, grad, dim, by_freq)
        }
    }
    macro_rules! forgets {
        ($($name:ident: |$bags:ident| $forget:expr;)*) => { $(
            struct $name;
            impl Forgets for $name {
                fn forget($bags: &mut PlainBags) {
                    $forget
                }
            }
            assert_ne!(failures("bags", bags::check_against::<Forgetful<$name>>), 0, stringify!($name));
        )* };
    }
    forgets! {
        Padding: |bags| bags.padding = None;
        DefaultRow: |bags| bags.default_row = None;
        Fill: |bags| bags.fill = None;
        Weights: |bags| bags.weights = None;
        LastOfABag: |bags| if let Some(split) = bags.splits.iter_mut().find(|split| **split > 0) { *split -= 1 };
    }

    /// The mistakes are in the gradient.
    struct Backward<const KIND: u8>;
    impl<const KIND: u8> bags::Oracle for Backward<KIND> {
        fn bag<E: Element, O: Element>(table: TableView<'_, E>, bags: &PlainBags, pooling: Pooling) -> Vec<O> {
            reference::bag(table, bags, pooling)
        }
        fn gradient<S: Element>(bags: &PlainBags, pooling: Pooling, grad: &[S], dim: usize, by_freq: bool) -> RowGradients {
            match KIND {
                // Frequencies are forgotten.
                0 => reference::bag_gradient(bags, pooling, grad, dim, false),
                // The denominator, too.
                1 => reference::bag_gradient(bags, Pooling::Sum, grad, dim, by_freq),
                // Rows whose gradient is zero are left out.
                _ => {
                    let mut gradient = reference::bag_gradient(bags, pooling, grad, dim, by_freq);
                    gradient.retain(|_, row| row.iter().any(|&x| x != 0.0));
                    gradient
                }
            }
        }
    }
    assert_ne!(failures("bags", bags::check_against::<Backward<0>>), 0);
    assert_ne!(failures("bags", bags::check_against::<Backward<1>>), 0);
    assert_ne!(failures("bags", bags::check_against::<Backward<2>>), 0);
}

#[test]
fn the_check_of_embedding_files_sees_mistakes() {
    let fails = |check: &dyn Fn()| catch_unwind(AssertUnwindSafe(check)).is_err();
    let right = rows::read_all(Format::Word2vecText, false, b"2 1\ncat 1\ndog -0\n").unwrap();
    assert!(!fails(&|| rows::assert_same(&right, &right)));
    let changed = |change: &dyn Fn(&mut rows::Rows)| {
        let mut wrong = right.clone();
        change(&mut wrong);
        fails(&|| rows::assert_same(&right, &wrong))
    };
    assert!(changed(&|rows| rows.values = Values::F32(vec![1.0, 0.0])), "the sign of zero is lost");
    assert!(changed(&|rows| rows.values = Values::F32(vec![1.0])), "a row is lost");
    assert!(changed(&|rows| rows.words = None), "the words are lost");
    assert!(changed(&|rows| rows.dim = 2), "the rows are cut elsewhere");

    let file = b"1 1\ncat x\n";
    let error = rows::read_all(Format::Word2vecText, false, file).unwrap_err();
    assert!(!fails(&|| rows::assert_is_shown(&error, file)));
    assert!(fails(&|| rows::assert_is_shown(&error, b"")), "a line that is not there");
    assert!(peak::peak(|| vec![0u8; 1 << 20]).1 >= 1 << 20, "memory is seen");
}
