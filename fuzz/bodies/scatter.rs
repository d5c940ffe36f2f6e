//! A table that several calls change one after the other, beside a model that the plain loop changes. The workspaces are kept from
//! call to call, so that what one call leaves in them is there when the next one starts.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use hotrow::{Element, IdPolicy, Ids, Result, Table, TableView, TableViewMut, Workspace, bf16, f16, reference};

use super::cases::{Bits, Sizes, assert_identical, assert_same, ids, label, policy, values, workspaces};
use super::input::Input;

/// What the engine is held against.
pub trait Oracle {
    fn scatter_add<E: Element, S: Element>(table: TableViewMut<'_, E>, ids: Ids<'_>, source: &[S], alpha: f32) -> Result<()>;
}

/// The plain loop.
pub struct Reference;

impl Oracle for Reference {
    fn scatter_add<E: Element, S: Element>(table: TableViewMut<'_, E>, ids: Ids<'_>, source: &[S], alpha: f32) -> Result<()> {
        reference::scatter_add(table, ids, source, alpha)
    }
}

pub fn check(bytes: &[u8]) {
    check_against::<Reference>(bytes);
}

/// With an oracle of the caller's choosing, so that the check itself can be seen to fail.
pub fn check_against<R: Oracle>(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => calls::<f32, R>(input),
        1 => calls::<f16, R>(input),
        _ => calls::<bf16, R>(input),
    }
}

fn calls<E: Bits, R: Oracle>(mut input: Input<'_>) {
    let sizes = Sizes::draw(&mut input);
    let cells = values::<E>(&mut input, sizes.cells());
    let mut state = State { sizes, table: cells.clone(), model: cells };
    let mut workspaces: Vec<Workspace> = (1..=3).flat_map(workspaces).collect();
    let most = if sizes.ids < 1000 { 8 } else { 3 };
    for call in 0..1 + input.below(most) {
        let at = input.below(workspaces.len());
        let workspace = &mut workspaces[at];
        let policy = policy(&mut input);
        // The calls differ in size, so that scratch memory is used again by smaller ones.
        let count = sizes.ids >> input.below(3);
        let numbers = ids(&mut input, sizes.rows, count);
        let context = format!("call {call}, {} table, {sizes:?}, {policy:?}, {}", E::DTYPE, label(workspace));
        let mut call = Call { workspace, numbers, policy, context };
        match input.below(8) {
            0 => state.gather(&mut call),
            1 => dense::<R>(&mut call, sizes, &mut input),
            2 | 3 => state.add::<bf16, R>(&mut call, &mut input),
            4 | 5 => state.add::<f16, R>(&mut call, &mut input),
            _ => state.add::<f32, R>(&mut call, &mut input),
        }
    }
}

/// One call.
struct Call<'a> {
    workspace: &'a mut Workspace,
    numbers: Vec<i64>,
    policy: IdPolicy,
    context: String,
}

/// The table, and what it should be.
struct State<E> {
    sizes: Sizes,
    table: Vec<E>,
    model: Vec<E>,
}

impl<E: Bits> State<E> {
    fn add<S: Bits, R: Oracle>(&mut self, call: &mut Call<'_>, input: &mut Input<'_>) {
        let before = self.table.clone();
        let (source, alpha) = updates::<S>(input, call, self.sizes.dim);
        let Sizes { rows, dim, stride, .. } = self.sizes;
        // A source of another length is refused, whatever the ids are.
        let short = input.seldom();
        let source = if short { &source[..source.len().saturating_sub(1)] } else { &source[..] };
        let ids = Ids::from(&call.numbers).with_policy(call.policy);
        let table = TableViewMut::new(&mut self.table, rows, dim, stride).expect("a table that fits");
        let got = call.workspace.scatter_add(table, ids, source, alpha);
        let model = TableViewMut::new(&mut self.model, rows, dim, stride).expect("a table that fits");
        let want = R::scatter_add(model, ids, source, alpha);

        let context = format!("{}, {} source, alpha {alpha:?}", call.context, S::DTYPE);
        assert_eq!(got, want, "{context}");
        assert_same(&self.table, &self.model, &context);
        // Rows that no id names, and the padding of all rows, keep their very bits.
        let mut touched = vec![false; rows];
        if got.is_ok() {
            let named = reference::resolve(ids, rows).expect("ids that were taken");
            named.into_iter().flatten().for_each(|row| touched[row] = true);
        }
        for (row, touched) in touched.into_iter().enumerate() {
            let kept = row * stride + if touched { dim } else { 0 }..(row + 1) * stride;
            assert_identical(&self.table[kept.clone()], &before[kept], &context);
        }
    }

    /// What was added can be seen.
    fn gather(&self, call: &mut Call<'_>) {
        let Sizes { rows, dim, stride, .. } = self.sizes;
        let table = TableView::new(&self.table, rows, dim, stride).expect("a table that fits");
        let model = TableView::new(&self.model, rows, dim, stride).expect("a table that fits");
        let ids = Ids::from(&call.numbers).with_policy(call.policy);
        let got = call.workspace.gather(table, ids).map(|rows| rows.to_vec());
        match (got, reference::gather::<E, E>(model, ids)) {
            (Ok(got), Ok(want)) => assert_same(&got, &want, &call.context),
            (got, want) => assert_eq!(got.err(), want.err(), "{}", call.context),
        }
    }
}

/// The dense gradient: a scatter-add onto zeros.
fn dense<R: Oracle>(call: &mut Call<'_>, sizes: Sizes, input: &mut Input<'_>) {
    let (source, _) = updates::<f32>(input, call, sizes.dim);
    let ids = Ids::from(&call.numbers).with_policy(call.policy);
    let got = call.workspace.scatter_add_dense(ids, &source, sizes.rows, sizes.dim);
    let mut want = Table::<f32>::zeros(sizes.rows, sizes.dim).expect("a small table");
    match (got, R::scatter_add(want.view_mut(), ids, &source, 1.0)) {
        (Ok(got), Ok(())) => assert_same(&got.to_vec(), &want.to_vec(), &call.context),
        (got, want) => assert_eq!(got.err(), want.err(), "{}", call.context),
    }
}

/// A source for the call's ids, and what to multiply it by.
fn updates<S: Bits>(input: &mut Input<'_>, call: &Call<'_>, dim: usize) -> (Vec<S>, f32) {
    let alpha = match input.below(4) {
        0 => 1.0,
        1 => input.pick(&[-0.1, 0.0, -0.0, f32::INFINITY, f32::NAN, 1e-40, 3e38]),
        2 => f32::from_bits(input.word() as u32),
        _ => -f32::from(input.byte()) / 100.0,
    };
    (values(input, call.numbers.len() * dim), alpha)
}
