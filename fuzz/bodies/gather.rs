//! Gathers of every kind against the plain loop, by bits: NaN payloads too, for a gather only moves and widens.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use hotrow::{Element, Error, Ids, Result, Rows, TableView, Widen, Workspace, bf16, f16, reference};

use super::cases::{Bits, Sizes, assert_identical, ids, label, policy, values, workspaces};
use super::input::Input;

/// What the engine is held against.
pub trait Oracle {
    fn gather<E: Widen<O>, O: Element>(table: TableView<'_, E>, ids: Ids<'_>) -> Result<Vec<O>>;
}

/// The plain loop.
pub struct Reference;

impl Oracle for Reference {
    fn gather<E: Widen<O>, O: Element>(table: TableView<'_, E>, ids: Ids<'_>) -> Result<Vec<O>> {
        reference::gather(table, ids)
    }
}

pub fn check(bytes: &[u8]) {
    check_against::<Reference>(bytes);
}

/// With an oracle of the caller's choosing, so that the check itself can be seen to fail.
pub fn check_against<R: Oracle>(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => element::<f32, R>(input),
        1 => element::<f16, R>(input),
        _ => element::<bf16, R>(input),
    }
}

fn element<E: Bits + Widen<f32>, R: Oracle>(mut input: Input<'_>) {
    let (call, threads) = (input.below(4), 1 + input.below(3));
    let sizes = Sizes::draw(&mut input);
    let policy = policy(&mut input);
    let numbers = ids(&mut input, sizes.rows, sizes.ids);
    let ids = Ids::from(&numbers).with_policy(policy);
    // The table may start anywhere: vectors and cache lines are no matter of correctness.
    let first = input.below(17);
    let cells = values::<E>(&mut input, first + sizes.cells());
    let table = TableView::new(&cells[first..], sizes.rows, sizes.dim, sizes.stride).expect("a table that fits");
    let context = format!("{sizes:?}, {policy:?}, {}", E::DTYPE);
    match call {
        0 => new(threads, ids, R::gather::<E, E>(table, ids), &context, |workspace| workspace.gather(table, ids)),
        1 => new(threads, ids, R::gather::<E, f32>(table, ids), &context, |workspace| workspace.gather_f32(table, ids)),
        2 => into(threads, R::gather::<E, E>(table, ids), sizes, &context, |workspace, out: &mut [E]| {
            workspace.gather_into::<E, E>(table, ids, out)
        }),
        _ => into(threads, R::gather::<E, f32>(table, ids), sizes, &context, |workspace, out: &mut [f32]| {
            workspace.gather_into::<E, f32>(table, ids, out)
        }),
    }
}

/// A gather into new memory.
fn new<O: Bits>(
    threads: usize,
    ids: Ids<'_>,
    want: Result<Vec<O>>,
    context: &str,
    gather: impl Fn(&mut Workspace) -> Result<Rows<O>>,
) {
    for mut workspace in workspaces(threads) {
        let context = format!("{context}, {}", label(&workspace));
        let got = gather(&mut workspace);
        if let Ok(rows) = &got {
            assert_eq!((rows.count(), &rows.shape()[..1]), (ids.len(), ids.shape()), "{context}");
        }
        assert_equal(got.map(|rows| rows.to_vec()), &want, &context);
    }
}

/// A gather into memory that is there already: nothing around it is written, and nothing at all when the call is refused.
fn into<O: Bits>(
    threads: usize,
    want: Result<Vec<O>>,
    sizes: Sizes,
    context: &str,
    gather: impl Fn(&mut Workspace, &mut [O]) -> Result<()>,
) {
    const AROUND: usize = 5;
    let needed = sizes.ids * sizes.dim;
    let blank = vec![O::from_f32(7.0); AROUND + needed + AROUND];
    for mut workspace in workspaces(threads) {
        let context = format!("{context}, {}", label(&workspace));
        let mut memory = blank.clone();
        let refused = gather(&mut workspace, &mut memory[..needed + 1]);
        assert!(matches!(refused, Err(Error::ShapeMismatch { what: "output", .. })), "{context}: {refused:?}");
        assert_identical(&memory, &blank, &context);

        let got = gather(&mut workspace, &mut memory[AROUND..AROUND + needed]);
        assert_identical(&memory[..AROUND], &blank[..AROUND], &context);
        assert_identical(&memory[AROUND + needed..], &blank[..AROUND], &context);
        if got.is_err() {
            assert_identical(&memory, &blank, &context);
        }
        assert_equal(got.map(|()| memory[AROUND..AROUND + needed].to_vec()), &want, &context);
    }
}

fn assert_equal<O: Bits>(got: Result<Vec<O>>, want: &Result<Vec<O>>, context: &str) {
    match (got, want) {
        (Ok(got), Ok(want)) => assert_identical(&got, want, context),
        (got, want) => assert_eq!(got.err(), want.as_ref().err().cloned(), "{context}"),
    }
}
