//! The report for people: one aligned line a workload, then the ceilings, the machine, and how far from its limits the
//! engine runs.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Sink;
use super::ceiling::Limits;
use super::machine::Machine;
use super::measure::median;
use super::record::{Limit, Record};

/// Room for the longest element column, `bf16 to f32`.
const DTYPE_WIDTH: usize = 11;

/// Prints results as they come, under one heading.
pub(super) struct Report<'a> {
    out: &'a mut dyn Write,
    name_width: usize,
    has_heading: bool,
    records: Vec<Record>,
}

impl<'a> Report<'a> {
    /// A report on workloads of these names.
    pub(super) fn new<'n>(out: &'a mut dyn Write, names: impl Iterator<Item = &'n str>) -> Report<'a> {
        let name_width = names.map(|name| name.chars().count()).max().unwrap_or(0).max("workload".len());
        Report { out, name_width, has_heading: false, records: Vec::new() }
    }

    fn heading(&mut self) -> io::Result<()> {
        if self.has_heading {
            return Ok(());
        }
        self.has_heading = true;
        let columns = ["workload", "element", "threads", "ids", "median", "min - max", "per id", "GB/s", "limit", "of limit"];
        self.line(&columns)
    }

    fn line(&mut self, [name, dtype, numbers @ ..]: &[&str; 10]) -> io::Result<()> {
        let width = self.name_width;
        write!(self.out, "{name:width$}  {dtype:DTYPE_WIDTH$}")?;
        for (text, width) in numbers.iter().zip([7, 9, 8, 19, 8, 6, 6, 8]) {
            write!(self.out, "  {text:>width$}")?;
        }
        writeln!(self.out)
    }
}

impl Sink for Report<'_> {
    fn measured(&mut self, record: Record) -> io::Result<()> {
        self.heading()?;
        let range = format!("{} - {}", duration(record.ms_min), duration(record.ms_max));
        self.line(&[
            &record.name,
            &dtype(&record),
            &record.threads.to_string(),
            &thousands(record.ids),
            &duration(record.ms_median),
            &range,
            &nanoseconds(record.ns_per_id),
            &format!("{:.2}", record.gb_per_s),
            &format!("{:.2}", record.limit_gb_per_s),
            &percent(record.fraction_of_limit),
        ])?;
        if let (Some(ms), Some(ratio)) = (record.against_ms_median, record.ratio) {
            let width = self.name_width;
            let product = duration(ms);
            writeln!(self.out, "{:width$}  the dense one-hot product takes {product}: {ratio:.0} times as long", "")?;
        }
        self.records.push(record);
        self.out.flush()
    }

    fn skipped(&mut self, name: &str, reason: &str) -> io::Result<()> {
        self.heading()?;
        let width = self.name_width;
        writeln!(self.out, "{name:width$}  skipped: {reason}")?;
        self.out.flush()
    }

    fn finish(self: Box<Self>, machine: &Machine, _err: &mut dyn Write) -> io::Result<()> {
        let Report { out, records, .. } = *self;
        if !records.is_empty() {
            writeln!(out, "\nGB/s counts every row read and every row written once per id, state included; 1 GB = 1e9 bytes.")?;
            writeln!(
                out,
                "The limit is copying with streaming stores; of bags, reading random rows; of nearest, which reads the table once a"
            )?;
            writeln!(out, "call, reading in order: measured in turn with each workload. What stays in the caches can beat it.\n")?;
            writeln!(
                out,
                "{:>9}  {:>13}  {:>13}  {:>19}  {:>16}",
                "row size", "table", "copying", "reading random rows", "reading in order"
            )?;
            for ((row_bytes, rows, tables), Limits { copy, read, scan }) in ceilings(&records) {
                let row = format!("{row_bytes} B");
                let times = if tables == 1 { String::new() } else { format!("{tables} x ") };
                let table = format!("{times}{:.1} MB", (rows * row_bytes) as f64 / 1e6);
                let speed = |speed: Option<f64>| speed.map_or("-".to_owned(), |speed| format!("{speed:.2} GB/s"));
                writeln!(out, "{row:>9}  {table:>13}  {copy:>8.2} GB/s  {:>19}  {:>16}", speed(read), speed(scan))?;
            }
            writeln!(out)?;
        }
        writeln!(out, "{machine}")?;
        for line in distances(&records) {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

/// The ceilings for each row size, number of rows and number of tables: what the caches hold of a table makes as much of
/// a difference as the size of its rows. Of several, the highest for copying and reading in order, and the lowest for reading random
/// rows: that of the ids that the caches help least.
fn ceilings(records: &[Record]) -> BTreeMap<(usize, usize, usize), Limits> {
    let mut best: BTreeMap<_, Limits> = BTreeMap::new();
    for record in records {
        let limits = best.entry((record.row_bytes(), record.rows, record.tables)).or_default();
        limits.copy = limits.copy.max(record.copy_limit_gb_per_s);
        limits.read = [limits.read, record.read_limit_gb_per_s].into_iter().flatten().reduce(f64::min);
        limits.scan = [limits.scan, record.scan_limit_gb_per_s].into_iter().flatten().reduce(f64::max);
    }
    best
}

/// For each operation: the median fraction of the limit, and the workloads at both ends.
pub(super) fn distances(records: &[Record]) -> Vec<String> {
    let mut by_op: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_op.entry(record.op).or_default().push(record);
    }
    by_op.into_iter().map(|(op, records)| distance(op, records)).collect()
}

fn distance(op: &str, mut records: Vec<&Record>) -> String {
    // Small calls are about their own cost, not about memory: they count only where there are no others.
    let is_large = |record: &&Record| record.bytes >= 1 << 20;
    if records.iter().any(is_large) {
        records.retain(is_large);
    }
    records.sort_by(|a, b| a.fraction_of_limit.total_cmp(&b.fraction_of_limit));
    let fractions: Vec<f64> = records.iter().map(|record| record.fraction_of_limit).collect();
    let middle = percent(median(&fractions));
    let limit = match records[0].limit() {
        Limit::Copying => "copying limit",
        Limit::RandomRows => "limit of reading random rows",
        Limit::InOrder => "limit of reading in order",
    };
    match records[..] {
        [lowest, .., highest] => format!(
            "distance: {op} runs at {middle} of the {limit} (median of {} workloads; lowest {} {}, highest {} {})",
            records.len(),
            lowest.name,
            percent(lowest.fraction_of_limit),
            highest.name,
            percent(highest.fraction_of_limit),
        ),
        _ => format!("distance: {op} runs at {middle} of the {limit} (one workload)"),
    }
}

fn dtype(record: &Record) -> String {
    match record.dtype == record.out_dtype {
        true => record.dtype.clone(),
        // The other side of what changes the table is its gradient.
        false if matches!(record.op, "scatter_add" | "train_step") => format!("{} to {}", record.out_dtype, record.dtype),
        false => format!("{} to {}", record.dtype, record.out_dtype),
    }
}

/// Milliseconds in the unit that leaves one to three digits before the point.
fn duration(ms: f64) -> String {
    match ms {
        _ if ms >= 1e3 => format!("{} s", digits(ms / 1e3)),
        _ if ms >= 1.0 => format!("{} ms", digits(ms)),
        _ if ms >= 1e-3 => format!("{} us", digits(ms * 1e3)),
        _ => format!("{} ns", digits(ms * 1e6)),
    }
}

/// In nanoseconds, so that workloads can be compared; those of searches are milliseconds.
fn nanoseconds(ns: f64) -> String {
    if ns < 1e6 { format!("{} ns", digits(ns)) } else { duration(ns / 1e6) }
}

/// Three significant digits.
fn digits(value: f64) -> String {
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$}")
}

fn percent(fraction: f64) -> String {
    format!("{:.0}%", fraction * 100.0)
}

/// `262,144`.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;
    use hotrow::Level;

    #[test]
    fn numbers_are_short() {
        let durations = [0.000_013, 0.0042, 0.5, 9.996, 99.96, 1500.0].map(duration);
        assert_eq!(durations, ["13.0 ns", "4.20 us", "500 us", "10.0 ms", "100 ms", "1.50 s"]);
        assert_eq!([7, 999, 1000, 262_144, 1_000_000].map(thousands), ["7", "999", "1,000", "262,144", "1,000,000"]);
        assert_eq!(percent(0.715), "72%");
    }

    #[test]
    fn the_table_is_aligned_and_ends_with_the_machine_and_the_distances() {
        let machine = Machine {
            cpu: "a CPU".to_owned(),
            cores: 2,
            level: Level::Portable,
            huge_pages: Some("madvise".to_owned()),
            os: "an OS".to_owned(),
            rustc: None,
            load: None,
        };
        let mut bytes = Vec::new();
        let names = ["short", "a-longer-name", "bags"];
        let mut report = Report::new(&mut bytes, names.into_iter());
        report.measured(sample("short", "gather", "f32", "f32")).expect("memory takes all");
        let mut compared = sample("a-longer-name", "scatter_add", "bf16", "f32");
        compared.against_ms_median = Some(250.0);
        compared.ratio = Some(250.0);
        report.measured(compared).expect("memory takes all");
        report.skipped("bags", "bag is not in this version").expect("memory takes all");
        Box::new(report).finish(&machine, &mut io::sink()).expect("memory takes all");
        let text = String::from_utf8(bytes).expect("plain text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].len(), lines[1].len(), "{text}");
        assert_eq!(lines[1].len(), lines[2].len(), "{text}");
        assert_eq!(
            lines[1],
            "short          f32                2      1,000   1.00 ms     500 us - 2.00 ms   1000 ns    0.51    4.00       13%"
        );
        assert!(lines[2].contains("f32 to bf16"), "{text}");
        assert!(lines[3].contains("the dense one-hot product takes 250 ms: 250 times as long"), "{text}");
        assert_eq!(lines[4], "bags           skipped: bag is not in this version");
        let end = &lines[lines.len() - 3..];
        assert_eq!(end[0], "machine: a CPU, 2 cores, SIMD level portable, huge pages madvise; an OS");
        assert_eq!(end[1], "distance: gather runs at 13% of the copying limit (one workload)");
        assert!(text.contains("    256 B         0.0 MB      4.00 GB/s            2.50 GB/s"), "{text}");
    }

    #[test]
    fn distances_name_both_ends() {
        let mut records: Vec<_> = ["a", "b", "c", "a-small-one"].map(|name| sample(name, "gather", "f32", "f32")).into();
        records[..3].iter_mut().for_each(|record| record.bytes = 1 << 20);
        records[0].fraction_of_limit = 0.7;
        records[1].fraction_of_limit = 0.2;
        records[2].fraction_of_limit = 0.9;
        assert_eq!(
            distances(&records),
            ["distance: gather runs at 70% of the copying limit (median of 3 workloads; lowest b 20%, highest c 90%)"]
        );
        assert!(distances(&[]).is_empty());
    }
}
