//! Times hotrow beside other Rust libraries that look rows up by id, on the standard workloads, in one run.
//!
//! All contenders hold the same values and are given the same batches of ids, which are new in every repetition. They take
//! turns, repetition by repetition, so that whatever else the machine does disturbs all of them alike. Before anything is
//! timed, every contender's result is compared with hotrow's.
//!
//! Each library runs as it comes: with its own threads, its own memory and its own types for ids, which are made beforehand
//! and are not timed. hotrow's calls do include casting and checking plain 64-bit ids. The peers allocate their results, and
//! give them back within the timed part, as a caller's loop would. `hotrow gather` does the same; `hotrow gather_into`
//! writes to an output that is allocated once.

mod contender;
mod gather;
mod scatter;
mod versions;

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hotrow::{DType, Table};
use hotrow_cli::bench::{Lookups, Op, STANDARD, Sampler, Workload, median, read_workloads};
use regex_lite::Regex;

use contender::{Contender, Problem};

/// The workloads that are run when no filter is given.
const DEFAULT: [&str; 7] = [
    "gather-f32-uniform",
    "gather-f32-zipf",
    "gather-f32-narrow",
    "gather-f32-cached",
    "scatter-f32-uniform",
    "scatter-f32-zipf",
    "scatter-f32-one-hot-row",
];

/// Repetitions of each contender at least.
const MIN_REPETITIONS: usize = 9;

/// Different batches of ids, cycled.
const BATCHES: usize = 8;

/// Times hotrow beside candle, arrow, burn and ndarray on the standard workloads for f32.
#[derive(Parser)]
struct Args {
    /// Run the workloads whose name contains this (a regular expression) in place of the default seven.
    #[arg(long, value_name = "REGEX")]
    filter: Option<Regex>,

    /// Print one JSON object a line in place of the tables.
    #[arg(long)]
    json: bool,

    /// Seconds of repetitions for each contender.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    time: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let chosen: Vec<Workload> = read_workloads(STANDARD)?
        .into_iter()
        .filter(|workload| match &args.filter {
            Some(filter) => filter.is_match(&workload.name),
            None => DEFAULT.contains(&workload.name.as_str()),
        })
        .filter(is_comparable)
        .collect();
    ensure!(!chosen.is_empty(), "no gather or scatter_add workload for f32 has such a name");
    for workload in &chosen {
        run(workload, &args).with_context(|| format!("workload {}", workload.name))?;
    }
    Ok(())
}

/// Whether the peers have this operation: f32 rows by id from one table, and the sum back into it.
fn is_comparable(workload: &Workload) -> bool {
    let has_op = matches!(workload.op, Op::Gather | Op::ScatterAdd);
    has_op && workload.tables == 1 && (workload.dtype, workload.out_dtype) == (DType::F32, DType::F32)
}

fn run(workload: &Workload, args: &Args) -> Result<()> {
    let Lookups::Ids(ids) = workload.lookups else { anyhow::bail!("bags are not compared") };
    let mut sampler = Sampler::new(workload.dist, u32::try_from(workload.rows)?, 1);
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        batches.push(sampler.batch(ids)?.into_iter().map(i64::from).collect());
    }
    let problem = Problem { table: Table::uniform(workload.rows, workload.dim, 1)?, batches };
    let mut contenders = match workload.op {
        Op::ScatterAdd => scatter::contenders(&problem)?,
        _ => gather::contenders(&problem)?,
    };
    drop(problem);
    compare(&mut contenders)?;
    let seconds = time_in_turn(&mut contenders, args.time)?;
    print(workload, ids, &contenders, &seconds, args.json)?;
    Ok(())
}

/// Compares all results with those of the first contender, which is hotrow.
///
/// Sums in another order differ in their last bits, so they are compared with a tolerance; copies must be equal.
fn compare(contenders: &mut [Box<dyn Contender>]) -> Result<()> {
    let [first, others @ ..] = contenders else {
        return Ok(());
    };
    let expected = first.result()?;
    for other in others {
        let found = other.result()?;
        ensure!(found.len() == expected.len(), "{}: {} values, not {}", other.name(), found.len(), expected.len());
        let tolerance = other.tolerance();
        let agrees = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a - b).abs() < tolerance * b.abs().max(1.0);
        if let Some(at) = found.iter().zip(&expected).position(|pair| !agrees(pair)) {
            anyhow::bail!("{}: value {at} is {}, not {}", other.name(), found[at], expected[at]);
        }
    }
    Ok(())
}

/// Seconds of each repetition, by contender.
fn time_in_turn(contenders: &mut [Box<dyn Contender>], seconds: f64) -> Result<Vec<Vec<f64>>> {
    let mut all = vec![Vec::new(); contenders.len()];
    let mut total = 0.0;
    // The first turn warms up. The fastest contender would be done first, but the turns go on for all until the time that
    // they took together is enough for each.
    let enough = seconds * contenders.len() as f64;
    for turn in 0.. {
        for (contender, times) in contenders.iter_mut().zip(&mut all) {
            let start = Instant::now();
            contender.call(turn)?;
            let elapsed = start.elapsed().as_secs_f64();
            if turn > 0 {
                times.push(elapsed);
                total += elapsed;
            }
        }
        if turn >= MIN_REPETITIONS && total >= enough {
            break;
        }
    }
    Ok(all)
}

fn print(workload: &Workload, ids: usize, contenders: &[Box<dyn Contender>], seconds: &[Vec<f64>], json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let medians: Vec<f64> = seconds.iter().map(|times| median(times) * 1e3).collect();
    let own: Vec<f64> = contenders.iter().zip(&medians).filter(|(c, _)| c.is_hotrow()).map(|(_, ms)| *ms).collect();
    if !json {
        writeln!(out, "{}: {ids} ids, {} x {} f32", workload.name, workload.rows, workload.dim)?;
        let over: String = contenders
            .iter()
            .filter(|contender| contender.is_hotrow())
            .map(|contender| format!("  {:>26}", format!("times {}", contender.name())))
            .collect();
        writeln!(out, "  {:38}{:>10}{:>10}{:>10}{over}", "", "median ms", "min", "max")?;
    }
    for ((contender, times), ms) in contenders.iter().zip(seconds).zip(&medians) {
        let min = times.iter().copied().fold(f64::INFINITY, f64::min) * 1e3;
        let max = times.iter().copied().fold(0.0, f64::max) * 1e3;
        let ratios: Vec<f64> = own.iter().map(|own| ms / own).collect();
        if json {
            let line = serde_json::json!({
                "name": workload.name, "op": workload.op.name(), "ids": ids, "contender": contender.name(),
                "ms_median": ms, "ms_min": min, "ms_max": max, "repetitions": times.len(),
                "ratio": ratios.first(), "ratio_to_allocating": ratios.get(1),
            });
            writeln!(out, "{line}")?;
        } else {
            let ratios: String = ratios.iter().map(|ratio| format!("  {ratio:>26.2}")).collect();
            writeln!(out, "  {:38}{ms:>10.3}{min:>10.3}{max:>10.3}{ratios}", contender.name())?;
        }
    }
    if !json {
        writeln!(out)?;
    }
    Ok(out.flush()?)
}
