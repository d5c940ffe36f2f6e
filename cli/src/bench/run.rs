//! Runs one workload: memory, ids, verification, then the timings in turn with the ceilings.

use std::any::Any;
use std::num::NonZeroUsize;

use hotrow::{DType, Element, Level, Parallelism, Rule, Table, Widen, Workspace};

use super::ceiling::{Ceilings, target_bytes};
use super::dense::OneHotProduct;
use super::error::BenchError;
use super::idlist::IdList;
use super::ids::{BATCHES, IdPool};
use super::job::{Bag, Collection, Fault, Gather, Job, Nearest, ScatterAdd, TrainStep, row_state_bytes, wrong};
use super::load::Load;
use super::machine::available_memory;
use super::measure::{Policy, Timings, time};
use super::record::Record;
use super::workload::{Against, Op, Pooling, Workload};

/// How often the workload and the ceilings take turns.
const ROUNDS: usize = 3;

/// Repetitions at least, in all rounds together.
const MIN_REPETITIONS: usize = 9;

/// Seeds the tables' values.
const TABLE_SEED: u64 = 1;

/// What became of a workload.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was measured.
    Measured(Box<Record>),
    /// It was not, for this reason.
    Skipped(String),
}

/// What holds for all workloads of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// A thread count that overrides the workloads' own.
    pub(super) threads: Option<NonZeroUsize>,
    /// A level that overrides the workloads' own.
    pub(super) level: Option<Level>,
    /// Seconds of repetitions a workload.
    pub(super) seconds: f64,
}

/// Runs workloads one after the other, and keeps the last table for a next workload of the same shape.
pub(super) struct Runner {
    settings: Settings,
    /// A `Table<E>` of some element.
    table: Option<Box<dyn Any>>,
}

/// A workload with everything that a default stood for.
struct Plan<'a> {
    workload: &'a Workload,
    /// The ids, where they are not drawn.
    list: Option<&'a IdList>,
    /// The optimizer of a train step.
    rule: Option<Rule>,
    threads: usize,
    level: Level,
    seconds: f64,
}

impl Runner {
    /// A runner that holds no table yet.
    pub(super) fn new(settings: Settings) -> Runner {
        Runner { settings, table: None }
    }

    /// Runs one workload, on the ids of the list where there is one.
    ///
    /// # Errors
    ///
    /// A result that differs from the plain loop's, or whatever the engine refuses. What this version or this machine
    /// cannot do is no error, but skipped.
    pub(super) fn run(&mut self, workload: &Workload, list: Option<&IdList>) -> Result<Outcome, BenchError> {
        if let Some(reason) = not_of_several_tables(workload) {
            return Ok(Outcome::Skipped(format!("{reason} of several tables in one call is not in this version")));
        }
        let rule = match workload.optimizer.as_deref().map(str::parse::<Rule>).transpose() {
            Ok(rule) => rule,
            Err(unknown) => return Ok(Outcome::Skipped(unknown.to_string())),
        };
        let level = self.settings.level.or(workload.level).unwrap_or_else(Level::best);
        if !Level::available().contains(&level) {
            return Ok(Outcome::Skipped(format!("level {level} is not available here: the best is {}", Level::best())));
        }
        // A thread count above the cores is allowed, but no more threads than that run.
        let most = Parallelism::Auto.degree();
        let threads = self.settings.threads.or(workload.threads).map_or(most, |threads| threads.get().min(most));
        let plan = Plan { workload, list, rule, threads, level, seconds: self.settings.seconds };
        use DType::{BF16, F16, F32};
        let outcome = match (workload.dtype, workload.out_dtype) {
            (F32, F32) => self.run_typed::<f32, f32>(&plan),
            (F16, F16) => self.run_typed::<hotrow::f16, hotrow::f16>(&plan),
            (F16, F32) => self.run_typed::<hotrow::f16, f32>(&plan),
            (BF16, BF16) => self.run_typed::<hotrow::bf16, hotrow::bf16>(&plan),
            (BF16, F32) => self.run_typed::<hotrow::bf16, f32>(&plan),
            (from, to) => {
                return Ok(Outcome::Skipped(format!("{from} to {to} is not in this version")));
            }
        };
        match outcome {
            Err(BenchError::Engine { source: hotrow::Error::OutOfMemory { bytes }, .. }) => {
                Ok(Outcome::Skipped(format!("{} of memory could not be had", gigabytes(bytes as u64))))
            }
            other => other,
        }
    }

    fn run_typed<E: Widen<O> + Widen<f32>, O: Element>(&mut self, plan: &Plan<'_>) -> Result<Outcome, BenchError> {
        let Workload { tables, rows, dim, .. } = *plan.workload;
        let kept = self.take_table::<E>(rows, dim).filter(|_| tables == 1);
        let needed = memory_needed(plan, kept.is_some());
        if let Some(available) = available_memory().filter(|&available| available < needed) {
            let (needed, available) = (gigabytes(needed), gigabytes(available));
            return Ok(Outcome::Skipped(format!("it needs {needed} of memory, and {available} are free")));
        }
        let pool = match plan.list {
            Some(list) => IdPool::listed(list, plan.workload.pooling != Pooling::None),
            None => match IdPool::draw(plan.workload) {
                Ok(pool) => pool,
                Err(too_few) => return Ok(Outcome::Skipped(too_few.to_string())),
            },
        };
        let measured = if tables > 1 {
            plan.measure_collection::<E>(&pool)
        } else {
            let table = kept.map_or_else(|| Table::uniform(rows, dim, TABLE_SEED), Ok);
            table.map_err(Fault::Engine).and_then(|table| self.measure::<E, O>(plan, table, &pool))
        };
        measured.map(|record| Outcome::Measured(Box::new(record))).map_err(|fault| fault.in_workload(&plan.workload.name))
    }

    fn measure<E: Widen<O>, O: Element>(&mut self, plan: &Plan<'_>, table: Table<E>, pool: &IdPool) -> Result<Record, Fault> {
        let (ids, outputs) = plan.workload.lookups.on_table(0);
        let (pooling, workspace) = (plan.workload.pooling.of_bags(), plan.workspace()?);
        if let Some(search) = plan.workload.search {
            return self.timed(plan, Nearest::new(table, pool, search, workspace), pool);
        }
        match (plan.workload.op, pooling, plan.rule) {
            (Op::ScatterAdd, ..) => self.timed(plan, ScatterAdd::<E, O>::new(table, pool, ids, workspace)?, pool),
            (Op::Bag, Some(pooling), _) => self.timed(plan, Bag::<E, O>::new(table, pool, pooling, outputs, workspace)?, pool),
            (Op::TrainStep, _, Some(rule)) => {
                self.timed(plan, TrainStep::<E, O>::new(table, rule, pool, pooling, outputs, workspace)?, pool)
            }
            // The reader lets no bags without pooling through, and no train step without an optimizer.
            _ => {
                let mut job = Gather::<E, O>::new(table, pool, ids, workspace)?;
                let mut record = plan.measure(&mut job, pool)?;
                if plan.workload.against == Some(Against::OneHotMatmul) {
                    record.compare_with(one_hot_product(plan, &mut job, pool)?);
                }
                self.keep(job);
                Ok(record)
            }
        }
    }

    fn timed<E: Element>(&mut self, plan: &Plan<'_>, mut job: impl Job<E>, pool: &IdPool) -> Result<Record, Fault> {
        let record = plan.measure(&mut job, pool)?;
        self.keep(job);
        Ok(record)
    }

    fn keep<E: Element>(&mut self, job: impl Job<E>) {
        self.table = job.into_table().map(|table| Box::new(table) as Box<dyn Any>);
    }

    /// The last workload's table, if it has this shape; if not, its memory is free from now on.
    fn take_table<E: Element>(&mut self, rows: usize, dim: usize) -> Option<Table<E>> {
        let table = *self.table.take()?.downcast::<Table<E>>().ok()?;
        (table.shape() == [rows, dim]).then_some(table)
    }
}

impl Plan<'_> {
    fn workspace(&self) -> hotrow::Result<Workspace> {
        Workspace::new().with_parallelism(Parallelism::threads(self.threads)).with_level(self.level)
    }

    /// The same for several tables, which are new ones.
    fn measure_collection<E: Widen<f32>>(&self, pool: &IdPool) -> Result<Record, Fault> {
        let pooling = self.workload.pooling.of_bags().unwrap_or_default();
        self.measure(&mut Collection::<E>::new(self.workload, pooling, self.rule, pool, self.workspace()?)?, pool)
    }

    /// Verifies, then times the job in turn with the two ceilings.
    fn measure<E: Element>(&self, job: &mut impl Job<E>, pool: &IdPool) -> Result<Record, Fault> {
        job.verify()?;
        let Workload { tables, dim, out_dtype, .. } = *self.workload;
        let load = Load::of(pool, job.state_bytes());
        let out_bytes = self.workload.lookups_of_call().1 * dim * out_dtype.size();
        let mut ceilings = Ceilings::new(job.tables()[0], out_bytes, self.workspace()?)?;
        let mut timings = Timings::default();
        let policy = self.policy(self.seconds);
        let for_ceilings = self.policy(self.seconds / 2.0);
        for _ in 0..ROUNDS {
            ceilings.measure_copy(job.tables()[0], for_ceilings)?;
            timings.repeat(policy, |calls| time(calls, || job.call()))?;
            if self.workload.search.is_some() {
                ceilings.measure_scan(job.tables()[0], for_ceilings)?;
            } else {
                ceilings.measure_read(&job.tables(), pool, load.ids / tables, for_ceilings)?;
            }
        }
        let mut record = Record::new(self.workload, load, self.threads, self.level, &timings);
        record.set_memory(job.tables()[0].memory());
        record.set_limits(ceilings.limits());
        Ok(record)
    }

    /// One round's share of the repetitions.
    fn policy(&self, seconds: f64) -> Policy {
        Policy { seconds: seconds / ROUNDS as f64, repetitions: MIN_REPETITIONS.div_ceil(ROUNDS) }
    }
}

/// Verifies and times the dense product that gives the same rows. Its result is compared with the lookup's; a product with
/// zeros cannot keep the sign of a zero, so zeros of both signs count as equal.
fn one_hot_product<E: Widen<O>, O: Element>(plan: &Plan<'_>, job: &mut Gather<'_, E, O>, pool: &IdPool) -> Result<Timings, Fault> {
    let Workload { rows, dim, ref lookups, .. } = *plan.workload;
    let table: Vec<f32> = job.tables()[0].to_vec().into_iter().map(E::to_f32).collect();
    let mut dense = OneHotProduct::new(lookups.on_table(0).0, rows, dim, plan.threads)?;
    let mut calls = 0;
    job.verify()?;
    dense.select(&pool.rows(pool.batches() - 1));
    dense.multiply(&table);
    let pairs = dense.product().iter().zip(job.out()).enumerate();
    for (i, (&found, expected)) in pairs {
        let expected = expected.to_f32();
        if found != expected {
            return Err(wrong("the dense product", [i / dim, i % dim], found, expected));
        }
    }
    let mut timings = Timings::default();
    let policy = Policy { seconds: plan.seconds, repetitions: MIN_REPETITIONS };
    timings.repeat(policy, |repeat| {
        let mut elapsed = std::time::Duration::ZERO;
        for _ in 0..repeat {
            calls += 1;
            dense.select(&pool.rows(calls));
            elapsed += time(1, || {
                dense.multiply(&table);
                Ok::<(), Fault>(())
            })?;
        }
        Ok::<_, Fault>(elapsed)
    })?;
    Ok(timings)
}

/// What of a workload on several tables no single call does.
fn not_of_several_tables(workload: &Workload) -> Option<&'static str> {
    match (workload.op, workload.pooling) {
        _ if workload.tables == 1 => None,
        (Op::Gather, _) => Some("gather"),
        (Op::ScatterAdd, _) => Some("scatter_add"),
        (Op::Nearest, _) => Some("nearest"),
        (_, Pooling::None) => Some("un-pooled train_step"),
        (_, Pooling::Max) => Some("pooling by the maximum"),
        _ if workload.out_dtype != DType::F32 => Some("an output of 16 bits"),
        _ => None,
    }
}

/// The bytes that a workload takes at its peak, which is while it is verified.
fn memory_needed(plan: &Plan<'_>, has_table: bool) -> u64 {
    let Workload { rows, dim, dtype, out_dtype, .. } = *plan.workload;
    let (ids, outputs) = plan.workload.lookups_of_call();
    // All tables together.
    let rows = rows * plan.workload.tables;
    let table = rows * dim * dtype.size();
    let out = outputs * dim * out_dtype.size();
    let state = plan.rule.map_or(0, |rule| row_state_bytes(rule, dim)).saturating_mul(rows);
    // What an operation changes is there twice: as it is, and as the plain loop has it.
    let copies = if matches!(plan.workload.op, Op::ScatterAdd | Op::TrainStep) { 2 } else { 1 };
    let tables = table.saturating_mul(copies - usize::from(has_table)).saturating_add(state.saturating_mul(2));
    // The plain loop sums the gradients of each row apart, and copies them.
    let sums = plan.rule.map_or(0, |_| (2 * 4 * dim).saturating_mul(ids));
    let dense = match plan.workload.against {
        Some(Against::OneHotMatmul) => (ids * rows * 4).saturating_add(2 * table),
        None => 0,
    };
    // The plain loop scores all rows, and sorts them. Queries are made beforehand; each worker keeps the best.
    let scores = plan.workload.search.map_or(0, |search| {
        let best = (8 * (plan.threads + 3)).saturating_mul(search.k.min(rows));
        ids.saturating_mul(best.saturating_add((BATCHES + 1) * 4 * dim)).saturating_add(rows.saturating_mul(16))
    });
    // The output, the plain loop's output, the gradient, the target of copies.
    let outputs = out.saturating_mul(3).saturating_add(target_bytes(table, out));
    // For each id, of each batch: a row number of 4 bytes, the id of 8, and a weight of 4.
    let all_ids = plan.list.map_or(BATCHES * ids, |list| list.ids.len());
    let ids = (16 * all_ids).saturating_add(4 * rows);
    [tables, sums, dense, scores, outputs, ids].into_iter().fold(0usize, usize::saturating_add) as u64
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
