//! From bytes to workloads: a pure function, which refuses what means nothing and never panics.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use hotrow::{DType, Level, Metric};
use serde_json::Value;

use super::error::{Problem, WorkloadError};
use super::fields::{Fields, quote, shorten};
use super::{Against, BagLen, Dist, IdDtype, Lookups, Op, Pooling, Search, Workload};

const LIST_FIELDS: &[&str] = &["schema", "workloads"];
const FIELDS: &[&str] = &[
    "name",
    "op",
    "tables",
    "rows",
    "dim",
    "dtype",
    "out_dtype",
    "ids",
    "bags",
    "bag_len",
    "pooling",
    "weighted",
    "optimizer",
    "id_dtype",
    "dist",
    "threads",
    "level",
    "against",
    "queries",
    "k",
    "metric",
];
const DTYPES: &[&str] = &["f32", "f16", "bf16"];

/// The version of the list's format.
const SCHEMA: u64 = 1;

/// A larger Zipf exponent would draw the first row only.
const MAX_ZIPF: f64 = 64.0;

/// Reads a workload list: `{"schema": 1, "workloads": [...]}`.
///
/// # Errors
///
/// The first field, in the order of the list, that is missing, misspelt, of the wrong kind, or that makes a size which no
/// machine can hold. The error names the workload and the field.
///
/// ```
/// use hotrow_cli::bench::{Op, read_workloads};
///
/// let list = br#"{"schema": 1, "workloads": [
///     {"name": "small", "op": "gather", "rows": 1000, "dim": 16, "dtype": "f32", "ids": 256}
/// ]}"#;
/// assert_eq!(read_workloads(list)?[0].op, Op::Gather);
///
/// let error = read_workloads(br#"{"schema": 1, "workloads": [{"name": "small", "op": "gather"}]}"#).unwrap_err();
/// assert_eq!(error.to_string(), r#"workload "small": field `rows` is missing"#);
/// # Ok::<(), hotrow_cli::bench::WorkloadError>(())
/// ```
pub fn read_workloads(bytes: &[u8]) -> Result<Vec<Workload>, WorkloadError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| WorkloadError::Json { message: error.to_string() })?;
    let workloads = entries(&value)?.iter().enumerate().map(|(i, value)| read_one(value, i + 1));
    let workloads = workloads.collect::<Result<Vec<_>, _>>()?;
    let mut places = HashMap::new();
    for (i, workload) in workloads.iter().enumerate() {
        if let Some(first) = places.insert(workload.name.as_str(), i + 1) {
            return Err(WorkloadError::Duplicate { name: workload.name.clone(), first, second: i + 1 });
        }
    }
    Ok(workloads)
}

/// The items of `workloads`, after the outermost object has been checked.
fn entries(value: &Value) -> Result<&[Value], WorkloadError> {
    let refuse = |field: &str, problem| WorkloadError::List { field: field.to_owned(), problem };
    let expected = |what, found: &Value| Problem::Expected { what, found: quote(found) };
    let Value::Object(list) = value else {
        return Err(WorkloadError::Json { message: format!("it must be an object, not {}", quote(value)) });
    };
    if let Some(field) = list.keys().find(|key| !LIST_FIELDS.contains(&key.as_str())) {
        return Err(refuse(&shorten(field), Problem::Unknown { known: LIST_FIELDS }));
    }
    match list.get("schema") {
        None => return Err(refuse("schema", Problem::Missing)),
        Some(schema) if schema.as_u64() != Some(SCHEMA) => {
            return Err(refuse("schema", expected("1", schema)));
        }
        Some(_) => {}
    }
    match list.get("workloads") {
        None => Err(refuse("workloads", Problem::Missing)),
        Some(Value::Array(workloads)) => Ok(workloads),
        Some(other) => Err(refuse("workloads", expected("a list", other))),
    }
}

fn read_one(value: &Value, place: usize) -> Result<Workload, WorkloadError> {
    let Value::Object(object) = value else {
        let problem = Problem::Expected { what: "a list of objects", found: quote(value) };
        return Err(WorkloadError::Field { workload: format!("#{place}"), field: "workloads".to_owned(), problem });
    };
    let name = name(&Fields::new(object, format!("#{place}")))?;
    let fields = &Fields::new(object, format!("{name:?}"));
    fields.only(FIELDS)?;

    let ops = [Op::Gather, Op::Bag, Op::ScatterAdd, Op::TrainStep, Op::Nearest];
    let op = fields.word("op", &["gather", "bag", "scatter_add", "train_step", "nearest"], &ops)?;
    let op = fields.required("op", op)?;
    let tables = fields.count("tables")?.unwrap_or(1);
    let rows = fields.required("rows", fields.count("rows")?)?;
    let dim = fields.required("dim", fields.count("dim")?)?;
    let dtypes = [DType::F32, DType::F16, DType::BF16];
    let dtype = fields.required("dtype", fields.word("dtype", DTYPES, &dtypes)?)?;
    let pooling = pooling(fields, op)?;
    let id_dtype = fields.word("id_dtype", &["i64", "i32"], &[IdDtype::I64, IdDtype::I32])?.unwrap_or(IdDtype::I64);
    let levels = [Level::Portable, Level::Avx2, Level::Avx512];
    let workload = Workload {
        op,
        tables,
        rows,
        dim,
        dtype,
        out_dtype: out_dtype(fields, op, dtype)?,
        lookups: lookups(fields, op, pooling, tables)?,
        pooling,
        weighted: fields.flag("weighted")?.unwrap_or(false),
        optimizer: optimizer(fields, op)?,
        id_dtype,
        dist: dist(fields)?,
        threads: fields.count("threads")?.and_then(NonZeroUsize::new),
        level: fields.word("level", &["portable", "avx2", "avx512"], &levels)?,
        against: against(fields, op, dtype)?,
        search: search(fields, op)?,
        name,
    };
    check_sizes(fields, &workload)?;
    Ok(workload)
}

/// The name: what results are told apart by, and a column of the table that people read.
fn name(fields: &Fields<'_>) -> Result<String, WorkloadError> {
    let name = fields.required("name", fields.text("name")?)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        let what = "a string of at least one character, none of them a control character";
        return Err(fields.refuse("name", Problem::Expected { what, found: quote(&Value::from(name)) }));
    }
    Ok(name.to_owned())
}

fn pooling(fields: &Fields<'_>, op: Op) -> Result<Pooling, WorkloadError> {
    if matches!(op, Op::Gather | Op::ScatterAdd | Op::Nearest) {
        fields.none_of(&["pooling", "weighted", "bags", "bag_len"], "an un-pooled operation")?;
        return Ok(Pooling::None);
    }
    let known = [Pooling::Sum, Pooling::Mean, Pooling::Max, Pooling::Sqrtn, Pooling::None];
    let pooling = fields.word("pooling", &["sum", "mean", "max", "sqrtn", "none"], &known)?.unwrap_or(Pooling::Sum);
    if pooling == Pooling::None {
        if op == Op::Bag {
            let known = &["sum", "mean", "max", "sqrtn"];
            return Err(fields.refuse("pooling", Problem::NotOneOf { known, found: "none".to_owned() }));
        }
        fields.none_of(&["weighted", "bags", "bag_len"], "an un-pooled operation")?;
    }
    if pooling == Pooling::Max && fields.flag("weighted")? == Some(true) {
        return Err(fields.refuse("weighted", Problem::DoesNotApply { to: "pooling by the maximum" }));
    }
    Ok(pooling)
}

fn lookups(fields: &Fields<'_>, op: Op, pooling: Pooling, tables: usize) -> Result<Lookups, WorkloadError> {
    if op == Op::Nearest {
        fields.none_of(&["ids"], "a search: it has `queries`")?;
        return Ok(Lookups::Ids(fields.count("queries")?.unwrap_or(1)));
    }
    if pooling == Pooling::None {
        return Ok(Lookups::Ids(fields.required("ids", fields.count("ids")?)?));
    }
    let to = if op == Op::Bag { "bags: their ids are counted by `bags` and `bag_len`" } else { "a pooled train step" };
    fields.none_of(&["ids"], to)?;
    let bags = fields.required("bags", fields.count("bags")?)?;
    let bag_len = match fields.required("bag_len", fields.get("bag_len"))? {
        Value::Array(list) => {
            let lens = list.iter().map(|len| fields.count_in("bag_len", len)).collect::<Result<Vec<_>, _>>()?;
            if lens.len() != tables {
                return Err(fields.refuse("bag_len", Problem::WrongLength { tables, found: lens.len() }));
            }
            BagLen::PerTable(lens)
        }
        single => BagLen::Same(fields.count_in("bag_len", single)?),
    };
    Ok(Lookups::Bags { bags, bag_len })
}

/// The output's element, or the gradient's for a scatter-add: the table's own or f32, as the engine has it.
fn out_dtype(fields: &Fields<'_>, op: Op, dtype: DType) -> Result<DType, WorkloadError> {
    if op == Op::Nearest {
        fields.none_of(&["out_dtype"], "a search: scores are f32")?;
        return Ok(DType::F32);
    }
    let default = if op == Op::Bag || op == Op::TrainStep { DType::F32 } else { dtype };
    let out = fields.word("out_dtype", DTYPES, &[DType::F32, DType::F16, DType::BF16])?.unwrap_or(default);
    if out == dtype || out == DType::F32 {
        return Ok(out);
    }
    let what = "the table's own element or f32";
    Err(fields.refuse("out_dtype", Problem::Expected { what, found: out.to_string() }))
}

fn optimizer(fields: &Fields<'_>, op: Op) -> Result<Option<String>, WorkloadError> {
    if op != Op::TrainStep {
        fields.none_of(&["optimizer"], "an operation other than train_step")?;
        return Ok(None);
    }
    fields.required("optimizer", fields.text("optimizer")?).map(|name| Some(name.to_owned()))
}

fn search(fields: &Fields<'_>, op: Op) -> Result<Option<Search>, WorkloadError> {
    if op != Op::Nearest {
        fields.none_of(&["queries", "k", "metric"], "an operation other than nearest")?;
        return Ok(None);
    }
    let metric = fields.word("metric", &["cosine", "dot"], &[Metric::Cosine, Metric::Dot])?.unwrap_or_default();
    Ok(Some(Search { k: fields.count("k")?.unwrap_or(10), metric }))
}

fn dist(fields: &Fields<'_>) -> Result<Dist, WorkloadError> {
    const WHAT: &str = r#""uniform", "production", {"zipf": s} or {"hot": p}"#;
    let Some(value) = fields.get("dist") else {
        return Ok(Dist::Uniform);
    };
    let single = value.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    match (value.as_str(), single) {
        (Some("uniform"), _) => Ok(Dist::Uniform),
        (Some("production"), _) => Ok(Dist::Production),
        (_, Some((key, s))) if key == "zipf" => {
            fields.number_in("dist", s, (0.0, MAX_ZIPF), "a Zipf exponent from 0 to 64").map(Dist::Zipf)
        }
        (_, Some((key, p))) if key == "hot" => fields.number_in("dist", p, (0.0, 1.0), "a share from 0 to 1").map(Dist::Hot),
        _ => Err(fields.expected("dist", WHAT, value)),
    }
}

fn against(fields: &Fields<'_>, op: Op, dtype: DType) -> Result<Option<Against>, WorkloadError> {
    let against = fields.word("against", &["one_hot_matmul"], &[Against::OneHotMatmul])?;
    if against.is_some() && (op != Op::Gather || dtype != DType::F32) {
        return Err(fields.refuse("against", Problem::DoesNotApply { to: "anything but a gather from f32" }));
    }
    Ok(against)
}

/// Refuses sizes that no address space holds, so that later code can multiply without checks.
fn check_sizes(fields: &Fields<'_>, workload: &Workload) -> Result<(), WorkloadError> {
    let too_large = |field, what| Err(fields.refuse(field, Problem::TooLarge { what }));
    let Workload { tables, rows, dim, .. } = *workload;
    let rows_limit = match workload.id_dtype {
        IdDtype::I64 => u32::MAX as usize,
        IdDtype::I32 => i32::MAX as usize,
    };
    if rows > rows_limit {
        return too_large("rows", "the number of rows");
    }
    if !fits(&[tables, rows, dim, workload.dtype.size()]) {
        return too_large("rows", "the tables");
    }
    // A row of the output takes 4 bytes a value at most, and an id 8: eight for each batch, of which there are eight.
    let per_id = [dim.max(8), 8, 8];
    let (field, [bags, len]) = match &workload.lookups {
        Lookups::Ids(queries) if workload.op == Op::Nearest => ("queries", [*queries, 1]),
        Lookups::Ids(ids) | Lookups::Listed { ids, .. } => ("ids", [*ids, 1]),
        Lookups::Bags { bags, bag_len: BagLen::Same(len) } => ("bag_len", [*bags, *len]),
        Lookups::Bags { bags, bag_len: BagLen::PerTable(lens) } => ("bag_len", [*bags, lens.iter().copied().max().unwrap_or(0)]),
    };
    let fit = fits(&[&[tables, bags, len], &per_id[..]].concat());
    if !fit {
        return too_large(field, "a batch of ids");
    }
    match (workload.against, &workload.lookups) {
        (Some(Against::OneHotMatmul), Lookups::Ids(ids)) if !fits(&[*ids, rows, 4]) => too_large("against", "the one-hot matrix"),
        _ => Ok(()),
    }
}

/// Whether so many bytes can be addressed.
pub(in crate::bench) fn fits(factors: &[usize]) -> bool {
    let bytes = factors.iter().try_fold(1usize, |product, &factor| product.checked_mul(factor));
    bytes.is_some_and(|bytes| bytes <= isize::MAX as usize)
}

#[cfg(test)]
mod tests;
