//! Ids of every type, shape and policy: a gather on a table whose row `r` holds `r` shows which row each id was taken for.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use std::sync::LazyLock;

use hotrow::{
    Cast, Error, Id, IdPolicy, Ids, Level, Negative, OutOfRange, Parallelism, Result, TableView, Workspace, bf16, f16, reference,
};

use super::input::Input;

/// What the engine is held against.
pub type Oracle = fn(Ids<'_>, usize) -> Result<Vec<Option<usize>>>;

pub fn check(bytes: &[u8]) {
    check_against(bytes, reference::resolve);
}

/// With an oracle of the caller's choosing, so that the check itself can be seen to fail.
pub fn check_against(bytes: &[u8], oracle: Oracle) {
    let mut input = Input::new(bytes);
    match input.below(14) {
        0 => typed::<i64>(input, oracle),
        1 => typed::<i32>(input, oracle),
        2 => typed::<i16>(input, oracle),
        3 => typed::<i8>(input, oracle),
        4 => typed::<u64>(input, oracle),
        5 => typed::<u32>(input, oracle),
        6 => typed::<u16>(input, oracle),
        7 => typed::<u8>(input, oracle),
        8 => typed::<usize>(input, oracle),
        9 => typed::<bool>(input, oracle),
        10 => typed::<f16>(input, oracle),
        11 => typed::<bf16>(input, oracle),
        12 => typed::<f32>(input, oracle),
        _ => typed::<f64>(input, oracle),
    }
}

/// A type of ids, from small numbers and from bits.
trait Draw: Id + Copy + Default {
    /// `x`, wrapped or rounded to the type; floats take a fraction of some quarters with it.
    fn number(x: i64, quarters: u8) -> Self;
    /// The type's own share of the low bits.
    fn bits(x: u64) -> Self;
}

macro_rules! draw_integers {
    ($($t:ty)*) => { $(
        impl Draw for $t {
            fn number(x: i64, _: u8) -> $t {
                x as $t
            }
            fn bits(x: u64) -> $t {
                x as $t
            }
        }
    )* };
}

macro_rules! draw_floats {
    ($($t:ty: $bits:ty, $from:expr;)*) => { $(
        impl Draw for $t {
            fn number(x: i64, quarters: u8) -> $t {
                $from(x as f64 + f64::from(quarters % 4) / 4.0)
            }
            fn bits(x: u64) -> $t {
                <$t>::from_bits(x as $bits)
            }
        }
    )* };
}

draw_integers! { i8 i16 i32 i64 u8 u16 u32 u64 usize }
draw_floats! {
    f16: u16, f16::from_f64;
    bf16: u16, bf16::from_f64;
    f32: u32, |x| x as f32;
    f64: u64, |x| x;
}

impl Draw for bool {
    fn number(x: i64, _: u8) -> bool {
        x != 0
    }
    fn bits(x: u64) -> bool {
        x % 2 == 1
    }
}

fn typed<T: Draw>(mut input: Input<'_>, oracle: Oracle) {
    // A table of one column: any prefix of the counting numbers. f32 has all of them, far beyond these.
    static COUNTING: LazyLock<Vec<f32>> = LazyLock::new(|| (0..70_000).map(|row| row as f32).collect());
    let rows = input.pick(&[5, 0, 1, 2, 3, 127, 128, 129, 255, 256, 257, 2048, 32_768, 65_535, 65_536, 70_000]);
    let table = TableView::new(&COUNTING, rows, 1, 1).expect("the counting numbers are long enough");
    let policy = policy(&mut input);
    let threads = 1 + input.below(3);
    let shape = shape(&mut input);
    let values: Vec<T> = draw_ids(&mut input, shape.iter().product(), rows);
    check_shape(&mut input, &values);
    let ids = Ids::new(&values, &shape).expect("as many ids as the shape has").with_policy(policy);

    let cell = |row: Option<usize>| match (row, policy.out_of_range) {
        (Some(row), _) => (row as f32).to_bits(),
        (None, OutOfRange::Fill(fill)) => fill.to_bits(),
        (None, _) => panic!("only a fill policy leaves an id without a row"),
    };
    let want: Result<Vec<u32>> = oracle(ids, rows).map(|rows| rows.into_iter().map(cell).collect());
    // So many ids take long. They are there for the threads, and one level shows as much about those as another.
    let levels = Level::available();
    let one = input.below(levels.len());
    let levels = if values.len() < MANY { levels } else { &levels[one..=one] };
    for &level in levels {
        let workspace = Workspace::new().with_parallelism(Parallelism::threads(threads)).with_level(level);
        let got = workspace.expect("the level is available").gather(table, ids);
        let context = format!("{:?} ids {shape:?}, {policy:?}, {rows} rows, {level}, {threads} threads", ids.dtype());
        match (&got, &want) {
            (Ok(got), Ok(want)) => {
                assert_eq!(got.shape(), [&shape[..], &[1]].concat(), "{context}");
                let differs = got.as_slice().iter().zip(want).position(|(got, &want)| got.to_bits() != want);
                if let Some(at) = differs {
                    let (got, want) = (got.as_slice()[at], f32::from_bits(want[at]));
                    panic!("{context}: id {at}, {:?}, is row {got} instead of {want}", ids.get(at));
                }
            }
            (Err(got), Err(want)) => assert_eq!(got, want, "{context}"),
            (Ok(_), Err(want)) => panic!("{context}: no error instead of {want}"),
            (Err(got), Ok(_)) => panic!("{context}: {got} instead of no error"),
        }
    }
}

fn policy(input: &mut Input<'_>) -> IdPolicy {
    let cast = input.pick(&[Cast::Checked, Cast::KerasCall, Cast::KeepInt64, Cast::NoCast]);
    let negative = input.pick(&[Negative::Refused, Negative::FromEnd]);
    let out_of_range = match input.below(3) {
        0 => OutOfRange::Error,
        1 => OutOfRange::Clamp,
        _ => OutOfRange::Fill(f32::from_bits(input.word() as u32)),
    };
    IdPolicy::new(cast, negative, out_of_range)
}

/// More ids than one thread checks alone.
const MANY: usize = 65_537;

/// Up to four dimensions. Mostly small; sometimes with so many ids that several threads check them.
fn shape(input: &mut Input<'_>) -> Vec<usize> {
    if input.seldom() {
        return input.pick::<&[usize]>(&[&[MANY], &[7, 10_001], &[257, 1, 256], &[2, 3, 5, 2500]]).to_vec();
    }
    (0..input.below(5)).map(|_| input.below(7)).collect()
}

/// A pattern of up to 64 ids, repeated, and one id of its own somewhere.
fn draw_ids<T: Draw>(input: &mut Input<'_>, count: usize, rows: usize) -> Vec<T> {
    if count == 0 {
        return Vec::new();
    }
    let (own, at) = (draw_id(input, rows), input.below(count));
    let mut pattern = vec![draw_id(input, rows)];
    while !input.is_empty() && pattern.len() < count.min(64) {
        pattern.push(draw_id(input, rows));
    }
    let mut ids: Vec<T> = pattern.iter().copied().cycle().take(count).collect();
    ids[at] = own;
    ids
}

/// Mostly a row of the table; now and then something near an edge of a type, or any bits at all.
fn draw_id<T: Draw>(input: &mut Input<'_>, rows: usize) -> T {
    const EDGES: [i64; 12] =
        [0, 1 << 7, 1 << 8, 1 << 15, 1 << 16, 1 << 24, 1 << 31, -(1 << 31), 1 << 32, 1 << 53, i64::MAX, i64::MIN];
    match input.byte() {
        0..=191 => T::number(input.below(rows) as i64, input.byte()),
        192..=207 => T::number(rows as i64 + i64::from(input.byte() as i8), input.byte()),
        208..=231 => T::number(input.pick(&EDGES).wrapping_add(i64::from(input.byte() as i8)), input.byte()),
        _ => T::bits(input.word()),
    }
}

/// Any shape at all is taken if, and only if, it has as many places as there are ids.
fn check_shape<T: Draw>(input: &mut Input<'_>, ids: &[T]) {
    let dim = |input: &mut Input<'_>| match input.below(4) {
        0 => 1,
        1 => ids.len(),
        2 => input.below(9),
        _ => input.word() as usize,
    };
    let shape: Vec<usize> = (0..input.below(4)).map(|_| dim(input)).collect();
    let places = shape.iter().try_fold(1usize, |places, &dim| places.checked_mul(dim));
    let empty = shape.contains(&0);
    match Ids::new(ids, &shape) {
        Ok(_) => assert!(places == Some(ids.len()) || (empty && ids.is_empty()), "{shape:?} of {} ids", ids.len()),
        Err(Error::ShapeMismatch { needed, actual, .. }) => {
            assert_eq!((needed, actual), (if empty { 0 } else { places.expect("it fits") }, ids.len()), "{shape:?}");
            assert_ne!(needed, actual, "{shape:?}");
        }
        Err(Error::SizeOverflow { .. }) => assert!(places.is_none() && !empty, "{shape:?}"),
        Err(other) => panic!("{shape:?}: {other}"),
    }
}
