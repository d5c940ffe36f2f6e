//! The one error type: facts in fields, so that a caller can act on them, and a sentence that a person can act on.

use std::fmt;

use crate::index::{IdType, IdValue};
use crate::simd::Level;

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation was refused. An operation that returns an error has changed nothing.
///
/// ```
/// use hotrow::{Error, Table, gather};
///
/// let table = Table::<f32>::zeros(10, 4)?;
/// let error = gather(&table, &[[1i64, 2], [3, 12]]).unwrap_err();
/// assert_eq!(error.to_string(), "id 12 at position [1, 1] is out of range: the table has 10 rows, so ids must be in 0..10");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An id names no row of the table.
    #[error(
        "id {value} at position {position:?} is out of range: the table has {rows} rows, so ids must be in {}",
        IdRange { rows: *rows, from_end: *from_end }
    )]
    IdOutOfRange {
        /// Where the id stands, one number per dimension of the ids' shape.
        position: Vec<usize>,
        /// The id as given, before any cast.
        value: IdValue,
        /// How many rows the table has.
        rows: usize,
        /// Whether negative ids were counted from the end.
        from_end: bool,
    },
    /// An id would not survive the cast to a row number: NaN, infinite, or beyond 64-bit integers.
    #[error(
        "id {value} ({dtype}) at position {position:?} cannot be cast to a row number: it must be finite and fit a signed 64-bit integer"
    )]
    IdNotCastable {
        /// Where the id stands, one number per dimension of the ids' shape.
        position: Vec<usize>,
        /// The id as given.
        value: IdValue,
        /// The type in which it was given.
        dtype: IdType,
    },
    /// [`Cast::NoCast`](crate::Cast::NoCast) takes 32-bit and 64-bit signed ids alone.
    #[error("ids of type {dtype} are refused: without a cast, ids must be int32 or int64")]
    IdTypeRefused {
        /// The type of the ids given.
        dtype: IdType,
    },
    /// More ids in one call than a 32-bit position can name.
    #[error("{ids} ids in one call: at most {} are possible", u32::MAX)]
    TooManyIds {
        /// How many were given.
        ids: usize,
    },
    /// More bags in one call than 32 bits can number.
    #[error("{bags} bags in one call: at most {} are possible", u32::MAX - 1)]
    TooManyBags {
        /// How many were given.
        bags: usize,
    },
    /// Bags from a 2-D array of ids: it has not two dimensions.
    #[error("bags are the rows of a 2-D array of ids, but these have shape {shape:?}")]
    BagShape {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// Splits hold one number more than there are bags, so at least one.
    #[error("the splits of bags are empty: they hold where each bag starts and where the last one ends, so at least [0]")]
    BagSplitsEmpty,
    /// An offset lies outside of the ids, or the first one is not 0.
    #[error("offset {offset} of bag {bag} is out of range: the first must be 0, and none may be above the number of ids, {ids}")]
    BagOffset {
        /// Which bag, counted from 0; as many as there are bags for the end of the last.
        bag: usize,
        /// The offset given.
        offset: i64,
        /// How many ids there are.
        ids: usize,
    },
    /// An offset is below the one before it.
    #[error("offset {offset} of bag {bag} is below offset {before} of the bag before it")]
    BagOrder {
        /// Which bag, counted from 0.
        bag: usize,
        /// Its offset.
        offset: i64,
        /// The offset of the bag before it.
        before: i64,
    },
    /// The length of a bag is negative, or there are not that many ids left.
    #[error("length {length} of bag {bag} is out of range: {left} ids are left for it")]
    BagLength {
        /// Which bag, counted from 0.
        bag: usize,
        /// Its length.
        length: i64,
        /// The ids behind the bags before it.
        left: usize,
    },
    /// The bags end before the ids do.
    #[error("the bags end at {end}, but there are {ids} ids")]
    BagEnd {
        /// Where the last bag ends.
        end: usize,
        /// How many ids there are.
        ids: usize,
    },
    /// There are more or fewer weights than ids.
    #[error("{weights} weights for {ids} ids: there must be one for each")]
    WeightCount {
        /// How many weights were given.
        weights: usize,
        /// How many ids there are.
        ids: usize,
    },
    /// Rows to leave out are listed for some queries, but not for each.
    #[error("{lists} lists of rows to leave out for {queries} queries: there must be one for each, or none at all")]
    ExcludeCount {
        /// How many lists were given.
        lists: usize,
        /// How many queries there are.
        queries: usize,
    },
    /// The largest value of a bag has nothing to do with weights.
    #[error("max pooling takes no weights")]
    WeightedMax,
    /// A row that was named by an option does not exist.
    #[error("{option} {row} is out of range: the table has {rows} rows, so it must be in -{rows}..{rows}")]
    RowOption {
        /// Which option: `padding_idx` or `default_row`.
        option: &'static str,
        /// The row given.
        row: i64,
        /// How many rows the table has.
        rows: usize,
    },
    /// An output has another shape than the result.
    #[error("the output has shape {actual:?}, but the result has shape {expected:?}")]
    OutputShape {
        /// The result's shape.
        expected: [usize; 2],
        /// The output's shape.
        actual: [usize; 2],
    },
    /// A batch was made for another table, or for another kind of lookup.
    #[error(
        "a batch of {} checked against {batch} rows does not fit {}a table of {rows} rows",
        if *pooled { "bags" } else { "ids" },
        match (batch == rows, pooled) { (false, _) => "", (true, false) => "pooling from ", (true, true) => "gathering from " }
    )]
    BatchMismatch {
        /// The rows that the batch was checked against.
        batch: usize,
        /// The rows of the table.
        rows: usize,
        /// Whether the batch is made of bags.
        pooled: bool,
    },
    /// The gradient of max-pooled bags goes to the rows that gave the values, and those were not said.
    #[error("the gradient of max pooling needs the argmax of the forward: Gradient::of_max takes it")]
    MaxWithoutArgmax,
    /// A padding row was named after the ids had been partitioned.
    #[error("padding_idx comes too late for a prepared batch or a summed gradient: give it to the bags, or to a gradient of ids")]
    PreparedPadding,
    /// How often the rows of a summed gradient stood in the batch is not known any more.
    #[error("scale_by_freq comes too late for a summed gradient: scale it where it is summed")]
    SummedFrequencies,
    /// The rows of a summed gradient lie close together.
    #[error("a stride says nothing about a gradient that has been summed by row: its rows lie close together")]
    SummedStride,
    /// A sparse gradient is for a table of another shape.
    #[error("the gradient is for a table of shape {gradient:?}, but the table has shape {table:?}")]
    GradientShape {
        /// The shape of the gradient's table.
        gradient: [usize; 2],
        /// The shape of the table.
        table: [usize; 2],
    },
    /// The rows of a sparse gradient do not ascend, or are not below the table's row count.
    #[error("row {row} at position {position} of a sparse gradient is out of order or not below {rows}")]
    SparseRows {
        /// Which of the gradient's rows.
        position: usize,
        /// The row.
        row: u32,
        /// The rows of the table.
        rows: usize,
    },
    /// A row that is to be put into a set of rows is not one of the table's.
    #[error("row {row} at position {position} is not below {rows}")]
    NoSuchRow {
        /// Which of the rows given.
        position: usize,
        /// The row.
        row: u32,
        /// The rows of the table.
        rows: usize,
    },
    /// A set of rows is one of another table.
    #[error("the set is one of {set} rows, but the table has {table}")]
    RowSetShape {
        /// Rows of the set's table.
        set: usize,
        /// Rows of the table.
        table: usize,
    },
    /// Keyed jagged values have a list of each key for each example, so as many lists as keys times the batch.
    #[error("{lists} lists cannot be shared out evenly among {keys} keys")]
    KeyedLists {
        /// How many lists of ids were given.
        lists: usize,
        /// How many keys.
        keys: usize,
    },
    /// The input has no values under a key that a table looks up.
    #[error("the input has no key {key:?}, which table {table:?} looks up")]
    MissingKey {
        /// The key.
        key: String,
        /// The table.
        table: String,
    },
    /// Tables of a collection have the same name, or a table looks up one feature twice, or none.
    #[error("collection: {problem}")]
    InvalidCollection {
        /// What is wrong, with the names.
        problem: String,
    },
    /// A collection has no table of this name.
    #[error("the collection has no table {name:?}: there are {tables}")]
    NoSuchTable {
        /// The name given.
        name: String,
        /// The names of the tables.
        tables: String,
    },
    /// A backward was asked for before any forward, or of a table that has no optimizer.
    #[error("no backward: {reason}")]
    NoBackward {
        /// What is missing.
        reason: String,
    },
    /// Tables are not cut into shards as they should be.
    #[error("sharding: {problem}")]
    InvalidSharding {
        /// What is wrong, with the table's name.
        problem: String,
    },
    /// What came from another rank cannot be what that was to send.
    #[error("the message of rank {rank} cannot be read: {problem}")]
    DamagedMessage {
        /// Whose message it is.
        rank: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Weights are for pooling.
    #[error("weights were given, but rows that are not pooled have none")]
    UnpooledWeights,
    /// A shape does not describe as many values as were given.
    #[error("{what}: shape {expected:?} needs {needed} values, but {actual} were given")]
    ShapeMismatch {
        /// Which argument.
        what: &'static str,
        /// The shape that was asked for.
        expected: Vec<usize>,
        /// The product of that shape.
        needed: usize,
        /// How many values were given.
        actual: usize,
    },
    /// The distance between rows is shorter than a row.
    #[error("a stride of {stride} is shorter than a row of {dim} values")]
    StrideTooShort {
        /// The stride given, in elements.
        stride: usize,
        /// The values in a row.
        dim: usize,
    },
    /// The number of bytes that a shape needs does not fit the address space.
    #[error("shape {shape:?} of {element_bytes}-byte elements is too large for this machine's addresses")]
    SizeOverflow {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The size of one element.
        element_bytes: usize,
    },
    /// A table holds at most 2^32 - 1 rows.
    #[error("a table of {rows} rows: at most {} are possible", u32::MAX)]
    TooManyRows {
        /// The rows asked for.
        rows: usize,
    },
    /// The operating system has not that much memory.
    #[error("out of memory: {bytes} bytes could not be had")]
    OutOfMemory {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// The processor has not the instructions of this level.
    #[error("SIMD level {asked} is not available here: the best is {best}")]
    LevelUnavailable {
        /// The level asked for.
        asked: Level,
        /// The best one here, `HOTROW_LEVEL` considered.
        best: Level,
    },
    /// A name that should be one of a few is none of them.
    #[error("{what} {given:?} is not known: expected one of {expected}")]
    UnknownName {
        /// What the name stands for.
        what: &'static str,
        /// The name given.
        given: String,
        /// The names that exist.
        expected: &'static str,
    },
    /// A random initializer has bounds or a spread from which nothing can be drawn.
    #[error(
        "initializer {initializer} cannot be drawn from: its parameters must be finite, with low <= high, std >= 0 and scale > 0"
    )]
    InvalidInitializer {
        /// The initializer as given.
        initializer: String,
    },
    /// An optimizer, or an option of it, was given a number that it cannot use.
    #[error("{name} = {value} cannot be used: it must be {expected}")]
    InvalidHyperparameter {
        /// Which one.
        name: &'static str,
        /// The number given.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// An optimizer has no such option.
    #[error("{option} cannot be combined with the optimizer {optimizer}: {reason}")]
    OptionConflict {
        /// The option.
        option: &'static str,
        /// The optimizer's name.
        optimizer: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// An optimizer keeps the state of one table, and this is another.
    #[error("the optimizer was made for a table of shape {optimizer:?}, but this one has {table:?}")]
    OptimizerShape {
        /// Rows and dim of the optimizer.
        optimizer: [usize; 2],
        /// Rows and dim of the table.
        table: [usize; 2],
    },
    /// A table or an optimizer was asked to have fewer rows than it has.
    #[error("{rows} rows cannot become {asked}: growing only adds rows")]
    CannotShrink {
        /// How many there are.
        rows: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// A gradient that is NaN or infinite, where the optimizer was told to refuse such.
    #[error("the gradient of row {row} is {value} at column {column}: the step was refused")]
    NonFiniteGradient {
        /// The first such row.
        row: usize,
        /// Its first such column.
        column: usize,
        /// What stands there: NaN, inf or -inf.
        value: String,
    },
    /// An orthogonal matrix that would take more than 2^38 multiplications.
    #[error("an orthogonal matrix [{rows}, {dim}] would take more than 2^38 multiplications")]
    OrthogonalTooLarge {
        /// The rows asked for.
        rows: usize,
        /// The values in a row.
        dim: usize,
    },
    /// A configuration has a key that means nothing here.
    #[error("config: {key} is not a known key")]
    UnknownConfigKey {
        /// The key, with those that lead to it: `embeddings_initializer.config.minval`.
        key: String,
    },
    /// A configuration cannot be read, or asks for what does not exist here.
    #[error("config: {}{problem}", KeyPrefix(key))]
    InvalidConfig {
        /// The key, with those that lead to it; empty for the whole.
        key: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// A layer that was built for sequences of one length was given another.
    #[error("input_length is {expected}, but the ids have shape {shape:?}: {}", SequenceLength(shape))]
    InputLength {
        /// The layer's `input_length`.
        expected: usize,
        /// The shape of the ids given; a sequence is the last dimension.
        shape: Vec<usize>,
    },
    /// A layer that was built with `trainable = false` was given a gradient.
    #[error("layer {name:?} is not trainable: it was built with trainable = false")]
    NotTrainable {
        /// The layer's name.
        name: String,
    },
    /// An option has a value that makes no sense.
    #[error("{option} is {given}: {expected}")]
    InvalidOption {
        /// Which option.
        option: &'static str,
        /// The value given.
        given: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The hashing trick needs at least one bucket beside the reserved 0.
    #[error("hashing_trick(n = {n}): n must be at least 2, because id 0 is reserved")]
    InvalidVocabulary {
        /// The `n` given.
        n: usize,
    },
}

struct IdRange {
    rows: usize,
    from_end: bool,
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rows, self.from_end) {
            (0, _) => f.write_str("an empty range"),
            (rows, false) => write!(f, "0..{rows}"),
            (rows, true) => write!(f, "-{rows}..{rows}"),
        }
    }
}

struct KeyPrefix<'a>(&'a str);

impl fmt::Display for KeyPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

struct SequenceLength<'a>(&'a [usize]);

impl fmt::Display for SequenceLength<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.last() {
            Some(length) => write!(f, "a sequence of {length}"),
            None => f.write_str("no sequence"),
        }
    }
}
