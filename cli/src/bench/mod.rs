//! `hotrow bench`: the standard workloads, each verified, then timed beside what the machine can do.

mod ceiling;
mod dense;
mod dist;
mod error;
mod idlist;
mod ids;
mod job;
mod json;
mod listed;
mod load;
mod machine;
mod measure;
mod picture;
mod record;
mod report;
mod run;
mod workload;

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use hotrow::Level;
use regex_lite::Regex;

pub use dist::{Sampler, TooFewRows};
pub use error::BenchError;
pub use idlist::{IdFormat, IdList, IdsError, read_ids};
pub use listed::ListedArgs;
pub use measure::{Policy, Timings, median, time};
pub use workload::{
    Against, BagLen, Dist, IdDtype, Lookups, Op, Pooling, Problem, STANDARD, Workload, WorkloadError, read_workloads,
};

use json::JsonLines;
use machine::Machine;
use record::Record;
use report::{Report, thousands};
use run::{Outcome, Runner, Settings};

const EXAMPLES: &str = "\
Examples:
  hotrow bench                                    all standard workloads: about a minute, up to 6 GB of memory
  hotrow bench --filter gather-f32 --time 0.2     a quick look at some of them
  hotrow bench --filter '^scatter.*zipf$'         a filter is a regular expression
  hotrow bench --threads 1 --level portable       what one thread does without AVX
  hotrow bench --json > results.jsonl             one JSON object a line, the machine on stderr
  hotrow bench --plot bench.svg                   and a picture beside the machine's limits (or .png)
  hotrow bench --workloads mine.json              your own shapes
  hotrow bench --ids visits.txt                   your own ids: gathers, bags and train steps
  hotrow bench --ids visits.txt --dim 128 --dtype bf16 --filter bag

A workload file:
  {\"schema\": 1, \"workloads\": [
    {\"name\": \"mine\", \"op\": \"gather\", \"rows\": 500000, \"dim\": 32, \"dtype\": \"bf16\", \"ids\": 4096, \"dist\": {\"zipf\": 1.05}}
  ]}

  op         gather, scatter_add, bag (rows pooled), train_step (a lookup, then its backward pass fused with the optimizer),
             nearest (the k rows nearest to each query)
  ids        how many a call has; where rows are pooled, bags and bag_len in its place
  pooling    of bags and train steps: sum (default), mean, max, sqrtn; of train steps also none; weighted: true or false
  queries    of nearest, in place of ids: how many a call has (default 1), k (default 10), metric: cosine (default) or dot
  optimizer  of train steps: sgd, adagrad, rowwise_adagrad, adam, adamw, partial_rowwise_adam, rmsprop, ftrl
  dtype      f32, f16 or bf16; out_dtype: that of the output, or of its gradient (default: f32 where rows are pooled or learned,
             dtype elsewhere)
  id_dtype   i64 (default) or i32
  dist       \"uniform\" (default), {\"zipf\": s}, {\"hot\": p}: one row has the share p, \"production\": as in training traces
  tables, threads, level, against (\"one_hot_matmul\") are optional too

A file of ids, told apart by how its lines start:
  0 7202 114        bags: a user, then the ids of that user, if any; users ascend from line to line
  (0,25)\\t1064\\t174  negatives: a bag of 25, 1064 and 174
  1064 174          ids: one or more a line

How it is measured: ids are new in every call (8 batches or more, cycled; those of a file in its order), outputs are allocated
once, and casting and checking the ids is part of the call. Every result is first compared, bit by bit, with the plain loop's; of
a train step, the whole table and the whole state; of nearest, two calls. The time is the median of at least 9 repetitions. Calls that take
microseconds are timed many at once. The limit is what the same memory does in a plain copy; for bags, in reading random rows; for
nearest, in reading all rows in order; measured in turn with the workload.";

/// Time the engine's operations beside what this machine's memory can do.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct BenchArgs {
    /// Run only the workloads whose name contains this (a regular expression).
    #[arg(long, value_name = "REGEX")]
    pub filter: Option<String>,

    /// Print one JSON object a line in place of the table.
    #[arg(long)]
    pub json: bool,

    /// Threads a call may use, at most as many as there are cores [default: the workload's, or all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// SIMD level: portable, avx2 or avx512 [default: the workload's, or the best one].
    #[arg(long)]
    pub level: Option<Level>,

    /// Run the workloads of this file in place of the standard ones.
    #[arg(long, value_name = "FILE")]
    pub workloads: Option<PathBuf>,

    /// Ids of a file in place of drawn ones.
    #[command(flatten)]
    pub listed: ListedArgs,

    /// Seconds of repetitions a workload; its ceilings take as long again.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = positive_seconds)]
    pub time: f64,

    /// Draw the results beside the machine's limits, into a file that ends with .svg or .png
    #[arg(long, value_name = "FILE", value_parser = crate::plot::file)]
    pub plot: Option<PathBuf>,

    /// List the workloads and run none.
    #[arg(long)]
    pub list: bool,
}

fn positive_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(seconds),
        _ => Err("expected a number of seconds above 0, at most 3600".to_owned()),
    }
}

/// Runs `hotrow bench`, printing to the standard output and, on a terminal, its progress to the standard error.
///
/// # Errors
///
/// A workload list that cannot be read, a filter that matches nothing, or a result that differs from the plain loop's.
pub fn run(args: &BenchArgs) -> Result<(), BenchError> {
    let shows_progress = io::stderr().is_terminal();
    match run_to(args, &mut io::stdout().lock(), &mut io::stderr().lock(), shows_progress) {
        // Whoever reads the report (`| head`) has read enough.
        Err(BenchError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn run_to(args: &BenchArgs, out: &mut dyn Write, err: &mut dyn Write, shows_progress: bool) -> Result<(), BenchError> {
    let ids = args.listed.read()?;
    let workloads = chosen(args, ids.as_ref())?;
    if args.list {
        return list(&workloads, out);
    }
    if let Some((ids, path)) = ids.as_ref().zip(args.listed.ids.as_ref()) {
        let notes: &mut dyn Write = if args.json { err } else { out };
        writeln!(notes, "{}: {ids}", path.display())?;
    }
    let machine = Machine::detect();
    let mut runner = Runner::new(Settings { threads: args.threads, level: args.level, seconds: args.time });
    let mut sink: Box<dyn Sink> = if args.json {
        Box::new(JsonLines::new(out))
    } else {
        Box::new(Report::new(out, workloads.iter().map(|workload| workload.name.as_str())))
    };
    let mut records = Vec::new();
    for (i, workload) in workloads.iter().enumerate() {
        if shows_progress {
            write!(err, "\r[{}/{}] {} ...", i + 1, workloads.len(), workload.name)?;
            err.flush()?;
        }
        let outcome = runner.run(workload, ids.as_ref());
        if shows_progress {
            // Back to the start of the line, and erase it.
            write!(err, "\r\x1b[K")?;
            err.flush()?;
        }
        match outcome? {
            Outcome::Measured(record) => {
                records.push((*record).clone());
                sink.measured(*record)?;
            }
            Outcome::Skipped(reason) => sink.skipped(&workload.name, &reason)?,
        }
    }
    sink.finish(&machine, err)?;
    match &args.plot {
        Some(path) => picture::save(&records, &machine, path).map_err(|error| BenchError::Plot { message: format!("{error:#}") }),
        None => Ok(()),
    }
}

/// Where results go as they come.
trait Sink {
    /// Takes the result of a workload.
    fn measured(&mut self, record: Record) -> io::Result<()>;

    /// Takes the reason why a workload was not measured.
    fn skipped(&mut self, name: &str, reason: &str) -> io::Result<()>;

    /// Says what all of it was measured on. What is no result goes to `err`, if the output is for programs.
    fn finish(self: Box<Self>, machine: &Machine, err: &mut dyn Write) -> io::Result<()>;
}

/// The workloads of the list of ids, those of the file, or the standard ones: what the filter lets through.
fn chosen(args: &BenchArgs, ids: Option<&IdList>) -> Result<Vec<Workload>, BenchError> {
    let mut workloads = match (ids, &args.workloads) {
        (Some(ids), _) => args.listed.workloads(ids)?,
        (None, None) => read_workloads(STANDARD).expect("the list that is built in is read by a test"),
        (None, Some(path)) => {
            let path = path.clone();
            match std::fs::read(&path) {
                Err(source) => return Err(BenchError::ReadFile { path, source }),
                Ok(bytes) => read_workloads(&bytes).map_err(|source| BenchError::Workloads { path, source })?,
            }
        }
    };
    if let Some(filter) = &args.filter {
        let regex =
            Regex::new(filter).map_err(|error| BenchError::Filter { filter: filter.clone(), message: error.to_string() })?;
        workloads.retain(|workload| regex.is_match(&workload.name));
        if workloads.is_empty() {
            return Err(BenchError::NothingMatches { filter: filter.clone() });
        }
    }
    Ok(workloads)
}

fn list(workloads: &[Workload], out: &mut dyn Write) -> Result<(), BenchError> {
    let width = workloads.iter().map(|workload| workload.name.chars().count()).max().unwrap_or(0);
    for Workload { name, op, tables, rows, dim, dtype, .. } in workloads {
        let tables = if *tables == 1 { String::new() } else { format!("{tables} tables of ") };
        writeln!(out, "{name:width$}  {:11}  {tables}{} x {dim} {dtype}", op.name(), thousands(*rows))?;
    }
    Ok(())
}
