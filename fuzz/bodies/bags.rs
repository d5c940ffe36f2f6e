//! Bags of every kind and their gradients against the plain loops, by bits: offsets, lengths and weights are anything.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use hotrow::reference::{self, PlainBags, RowGradients};
use hotrow::{
    Bags, Element, Error, Gradient, Ids, Pooling, Result, SparseGrad, TableView, TableViewMut, Widen, Workspace, bf16, f16,
};

use super::cases::{Bits, Sizes, assert_same, ids, label, policy, values, workspaces};
use super::input::Input;

/// What the engine is held against.
pub trait Oracle {
    fn bag<E: Element, O: Element>(table: TableView<'_, E>, bags: &PlainBags, pooling: Pooling) -> Vec<O>;
    fn gradient<S: Element>(bags: &PlainBags, pooling: Pooling, grad: &[S], dim: usize, by_freq: bool) -> RowGradients;
}

/// The plain loops.
pub struct Reference;

impl Oracle for Reference {
    fn bag<E: Element, O: Element>(table: TableView<'_, E>, bags: &PlainBags, pooling: Pooling) -> Vec<O> {
        reference::bag(table, bags, pooling)
    }

    fn gradient<S: Element>(bags: &PlainBags, pooling: Pooling, grad: &[S], dim: usize, by_freq: bool) -> RowGradients {
        reference::bag_gradient(bags, pooling, grad, dim, by_freq)
    }
}

pub fn check(bytes: &[u8]) {
    check_against::<Reference>(bytes);
}

/// With an oracle of the caller's choosing, so that the check itself can be seen to fail.
pub fn check_against<R: Oracle>(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(5) {
        0 => call::<f32, f32, R>(input),
        1 => call::<f16, f32, R>(input),
        2 => call::<f16, f16, R>(input),
        3 => call::<bf16, f32, R>(input),
        _ => call::<bf16, bf16, R>(input),
    }
}

/// Where bags start, or how long they are, in every type that can say it.
struct Cuts {
    /// In this way.
    kind: Kind,
    i32: Vec<i32>,
    i64: Vec<i64>,
    u32: Vec<u32>,
    usize: Vec<usize>,
    /// Which of the four is meant.
    which: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Starts,
    Bounds,
    Lengths,
    Matrix,
}

impl Cuts {
    /// Lengths that repeat a short pattern until there are no more ids; now and then one number is something else.
    fn draw(input: &mut Input<'_>, ids: usize) -> Cuts {
        let kind = input.pick(&[Kind::Starts, Kind::Bounds, Kind::Lengths, Kind::Matrix]);
        let which = input.below(4);
        let pattern: Vec<usize> = (0..1 + input.below(8)).map(|_| input.below(256)).collect();
        // Small numbers are more likely than large ones; a pattern of nothing but empty bags is followed by the rest.
        let lengths = pattern.iter().map(|&x| if x < 192 { x % 5 } else { x });
        let (mut bounds, mut left) = (vec![0i64], ids);
        for length in lengths.cycle().take(ids + 8) {
            let length = length.min(left);
            left -= length;
            bounds.push((ids - left) as i64);
        }
        if left > 0 {
            bounds.push(ids as i64);
        }
        let mut cuts = match kind {
            Kind::Bounds | Kind::Matrix => bounds,
            Kind::Starts => bounds[..bounds.len() - 1].to_vec(),
            Kind::Lengths => bounds.windows(2).map(|pair| pair[1] - pair[0]).collect(),
        };
        let n = ids as i64;
        let odd = [-1, 1, n, n + 1, i64::MAX, i64::MIN, 1 << 31, 1 << 32, (1 << 32) + 1, n - 1];
        match input.below(16) {
            0 => cuts.clear(),
            1 => drop(cuts.pop()),
            2 => cuts.push(input.pick(&odd)),
            3 | 4 => {
                let at = input.below(cuts.len());
                let odd = input.pick(&odd);
                cuts[at..].iter_mut().take(1).for_each(|cut| *cut = odd);
            }
            _ => {}
        }
        // Numbers that a type cannot hold become others: what is meant is what the type holds.
        Cuts {
            kind,
            i32: cuts.iter().map(|&x| x as i32).collect(),
            i64: cuts.clone(),
            u32: cuts.iter().map(|&x| x as u32).collect(),
            usize: cuts.iter().map(|&x| x as usize).collect(),
            which,
        }
    }

    fn bags<'a>(&'a self, ids: Ids<'a>) -> Bags<'a> {
        macro_rules! by {
            ($constructor:ident) => {
                match self.which {
                    0 => Bags::$constructor(ids, &self.i32),
                    1 => Bags::$constructor(ids, &self.i64),
                    2 => Bags::$constructor(ids, &self.u32),
                    _ => Bags::$constructor(ids, &self.usize),
                }
            };
        }
        match self.kind {
            Kind::Starts => by!(from_offsets),
            Kind::Bounds => by!(from_splits),
            Kind::Lengths => by!(from_lengths),
            Kind::Matrix => Bags::from_matrix(ids).expect("two dimensions"),
        }
    }

    /// The splits that are meant, if they mean anything.
    fn splits(&self, ids: usize, shape: [usize; 2]) -> Option<Vec<usize>> {
        let numbers: Vec<i128> = match self.which {
            0 => self.i32.iter().map(|&x| x.into()).collect(),
            1 => self.i64.iter().map(|&x| x.into()).collect(),
            2 => self.u32.iter().map(|&x| x.into()).collect(),
            _ => self.usize.iter().map(|&x| x as i128).collect(),
        };
        let end = ids as i128;
        let splits: Vec<i128> = match self.kind {
            Kind::Matrix => (0..=shape[0]).map(|bag| (bag * shape[1]) as i128).collect(),
            Kind::Bounds => numbers,
            Kind::Starts => numbers.into_iter().chain([end]).collect(),
            Kind::Lengths if numbers.iter().any(|&length| length < 0) => return None,
            Kind::Lengths => {
                let mut sum = 0;
                let ends = numbers.into_iter().map(|length| {
                    sum += length;
                    sum
                });
                [0].into_iter().chain(ends).collect()
            }
        };
        let sound = splits.first() == Some(&0) && splits.last() == Some(&end) && splits.is_sorted();
        sound.then(|| splits.into_iter().map(|split| split as usize).collect())
    }
}

/// A row for an option: none, one that exists, or one that does not.
fn option(input: &mut Input<'_>, rows: usize) -> Option<i64> {
    let (rows, at) = (rows as i64, input.below(rows) as i64);
    match input.below(16) {
        0..10 => None,
        10..13 => Some(at),
        13 => Some(at - rows),
        14 => Some(rows),
        _ => Some(input.pick(&[-rows - 1, i64::MAX, i64::MIN, 1 << 32])),
    }
}

fn call<E: Bits + Widen<O> + Widen<f32>, O: Bits, R: Oracle>(mut input: Input<'_>) {
    let threads = 1 + input.below(3);
    let pooling = input.pick(&[Pooling::Sum, Pooling::Mean, Pooling::Max, Pooling::Sqrtn]);
    let Sizes { rows, dim, stride, ids: count } = Sizes::draw(&mut input);
    let policy = policy(&mut input);
    let shape = [count / 3, if count / 3 > 0 { 3 } else { 0 }];
    let cuts = Cuts::draw(&mut input, count);
    let count = if matches!(cuts.kind, Kind::Matrix) { shape[0] * shape[1] } else { count };
    let (padding, default) = (option(&mut input, rows), option(&mut input, rows));
    let weights: Option<Vec<f32>> = match input.below(8) {
        0..4 => None,
        4..6 => Some(values(&mut input, count)),
        6 => Some((0..count).map(|k| [1.0, -1.0, 0.0, 2.0][(k + threads) % 4]).collect()),
        _ => Some(vec![1.0; count + 1]),
    };
    let by_freq = input.flag();
    let numbers = ids(&mut input, rows, count);
    let cells = values::<E>(&mut input, rows * stride);
    let table = TableView::new(&cells, rows, dim, stride).expect("a table that fits");
    let ids = match cuts.kind {
        Kind::Matrix => Ids::new(&numbers, &shape).expect("a shape that fits"),
        _ => Ids::from(&numbers),
    };
    let mut bags = cuts.bags(ids.with_policy(policy));
    if let Some(weights) = &weights {
        bags = bags.with_weights(weights);
    }
    if let Some(row) = padding {
        bags = bags.with_padding_idx(row);
    }
    if let Some(row) = default {
        bags = bags.with_default_row(row);
    }
    let context = format!(
        "{pooling} of {:?} of {count} ids, {rows} rows, dim {dim}, {policy:?}, {} to {}, weights {}, padding {padding:?}, default {default:?}",
        cuts.kind,
        E::DTYPE,
        O::DTYPE,
        weights.is_some(),
    );

    // What the splits mean is found out here once more, without the code that the engine has for it.
    let splits = cuts.splits(count, shape);
    let bounds = bags.bounds().ok().map(|bounds| bounds.into_iter().map(|bound| bound as usize).collect::<Vec<_>>());
    assert_eq!(bounds, splits, "{context}");
    let call = Call { table, bags, pooling, plain: PlainBags::of(&bags, rows), by_freq, context };
    let grad = values::<O>(&mut input, call.bags.count() * dim);
    let beside = input.below(3);
    for mut workspace in workspaces(threads) {
        call.forward::<O, R>(&mut workspace, beside);
        call.backward::<O, R>(&mut workspace, &grad, beside);
        call.weights(&mut workspace);
    }
}

/// A call, and what it means.
struct Call<'a, E> {
    table: TableView<'a, E>,
    bags: Bags<'a>,
    pooling: Pooling,
    plain: Result<PlainBags>,
    by_freq: bool,
    context: String,
}

impl<E: Bits + Widen<f32>> Call<'_, E> {
    /// Nothing beside the rows is written, and nothing at all when the call is refused.
    fn forward<O: Bits, R: Oracle>(&self, workspace: &mut Workspace, beside: usize)
    where
        E: Widen<O>,
    {
        let context = format!("{}, {}", self.context, label(workspace));
        let (count, dim, rows) = (self.bags.count(), self.table.dim(), self.table.rows());
        let stride = dim + beside;
        let blank = vec![O::from_f32(7.0); count * stride];
        let (mut want, mut winners) = (blank.clone(), vec![7; count * dim]);
        if let Some(plain) = self.allowed() {
            let pooled: Vec<O> = R::bag(self.table, plain, self.pooling);
            for bag in 0..count {
                want[bag * stride..bag * stride + dim].copy_from_slice(&pooled[bag * dim..(bag + 1) * dim]);
            }
            winners = reference::bag_argmax(self.table, plain);
        }
        let check = |call: &mut dyn FnMut(TableViewMut<'_, O>) -> Result<()>| {
            let mut out = blank.clone();
            let got = call(TableViewMut::new(&mut out, count, dim, stride).expect("an output that fits"));
            self.assert_allowed(got, &context);
            assert_same(&out, &want, &context);
        };
        check(&mut |out| workspace.bag_into(self.table, &self.bags, self.pooling, out));
        // The same by way of a batch that is kept.
        check(&mut |out| {
            let batch = workspace.batch(&self.bags, rows)?;
            workspace.bag_batch_into(self.table, &batch, self.pooling, out)
        });
        if self.pooling == Pooling::Max {
            let mut argmax = vec![7; count * dim];
            check(&mut |out| workspace.bag_max_into(self.table, &self.bags, out, &mut argmax));
            assert_eq!(argmax, winners, "{context}");
        }
    }

    fn backward<S: Bits, R: Oracle>(&self, workspace: &mut Workspace, grad: &[S], beside: usize) {
        let context = format!("gradient of {}, {}", self.context, label(workspace));
        let (rows, dim) = (self.table.rows(), self.table.dim());
        let mut apart = vec![S::from_f32(f32::NAN); self.bags.count() * (dim + beside)];
        for bag in 0..self.bags.count() {
            apart[bag * (dim + beside)..][..dim].copy_from_slice(&grad[bag * dim..(bag + 1) * dim]);
        }
        let max = self.pooling == Pooling::Max;
        let argmax = match self.allowed() {
            Some(plain) if max => reference::bag_argmax(self.table, plain),
            _ => vec![0; self.bags.count() * dim],
        };
        let gradient =
            if max { Gradient::of_max(&self.bags, &argmax, &apart) } else { Gradient::of_bags(&self.bags, self.pooling, &apart) };
        let got = workspace.sparse_grad(gradient.with_stride(dim + beside).scale_by_freq(self.by_freq), rows, dim);
        if let (Ok(got), Some(plain)) = (&got, self.allowed()) {
            let want = if max {
                reference::bag_max_gradient(plain, &argmax, grad, dim, self.by_freq)
            } else {
                R::gradient(plain, self.pooling, grad, dim, self.by_freq)
            };
            assert_rows(got, &want, &context);
        }
        self.assert_allowed(got.map(|_| ()), &context);
    }

    fn weights(&self, workspace: &mut Workspace) {
        let context = format!("weights of {}, {}", self.context, label(workspace));
        let grad: Vec<f32> = (0..self.bags.count() * self.table.dim()).map(|k| (k % 13) as f32 / 3.0 - 2.0).collect();
        let mut out = vec![7.0; self.bags.ids().len()];
        let got = workspace.weight_grad(self.table, &self.bags, self.pooling, &grad, &mut out);
        if self.pooling == Pooling::Max {
            assert!(got.is_err(), "{context}");
        } else {
            self.assert_allowed(got, &context);
        }
        let want = match self.allowed() {
            Some(plain) if self.pooling != Pooling::Max => reference::weight_gradient(self.table, plain, self.pooling, &grad),
            _ => vec![7.0; out.len()],
        };
        assert_same(&out, &want, &context);
    }

    /// The bags, unless there is something wrong with them.
    fn allowed(&self) -> Option<&PlainBags> {
        let weighted_max = self.pooling == Pooling::Max && self.bags.weights().is_some();
        self.plain.as_ref().ok().filter(|_| !weighted_max)
    }

    /// The error is the right one. Of two, either is.
    fn assert_allowed(&self, got: Result<()>, context: &str) {
        let weighted_max = self.pooling == Pooling::Max && self.bags.weights().is_some();
        match (got.err(), &self.plain) {
            (Some(Error::WeightedMax), _) if weighted_max => {}
            (got, Ok(_)) => assert!(got.is_none() && !weighted_max, "{context}: {got:?}"),
            (got, Err(want)) => assert_eq!(got.as_ref(), Some(want), "{context}"),
        }
    }
}

fn assert_rows(got: &SparseGrad, want: &RowGradients, context: &str) {
    let rows: Vec<usize> = got.rows().iter().map(|&row| row as usize).collect();
    assert_eq!(rows, want.keys().copied().collect::<Vec<_>>(), "{context}: rows");
    assert_same(got.values(), &want.values().flatten().copied().collect::<Vec<f32>>(), context);
}
