//! The result of one workload, with the field names of the `--json` output.

use hotrow::{Level, MemoryReport};
use serde::Serialize;

use super::measure::Timings;
use super::workload::{Op, Workload};

/// One result. The order of the fields is that of the JSON objects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Record {
    /// The workload's name.
    pub(super) name: String,
    /// `gather` or `scatter_add`.
    pub(super) op: &'static str,
    /// The element of the table.
    pub(super) dtype: String,
    /// How many threads a call could use.
    pub(super) threads: usize,
    /// The SIMD level.
    pub(super) level: String,
    /// Whether most of the table is on huge pages; null where the system does not tell.
    pub(super) huge_pages: Option<bool>,
    /// The median time of a call, in milliseconds.
    pub(super) ms_median: f64,
    /// The time of a call in the fastest repetition.
    pub(super) ms_min: f64,
    /// The time of a call in the slowest repetition.
    pub(super) ms_max: f64,
    /// How many repetitions there were.
    pub(super) repetitions: usize,
    /// Bytes a call: every row that is read and every row that is written, once per id.
    pub(super) bytes: u64,
    /// `bytes` over the median.
    pub(super) gb_per_s: f64,
    /// The median over the ids of a call.
    pub(super) ns_per_id: f64,
    /// The speed of copying with streaming stores, in bytes read and written.
    pub(super) limit_gb_per_s: f64,
    /// `gb_per_s` over `limit_gb_per_s`.
    pub(super) fraction_of_limit: f64,
    /// The median of the alternative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) against_ms_median: Option<f64>,
    /// How many times as long the alternative takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<f64>,
    /// The element of the output, or of the gradient.
    pub(super) out_dtype: String,
    /// The rows of the table.
    pub(super) rows: usize,
    /// The values of a row.
    pub(super) dim: usize,
    /// The ids of a call.
    pub(super) ids: usize,
    /// How many calls a repetition makes, of which the times are the mean.
    pub(super) calls_per_repetition: usize,
    /// The speed of reading whole rows of this size at random places.
    pub(super) read_limit_gb_per_s: f64,
}

impl Record {
    /// The record of a workload's timings; its limits and its memory are set later.
    pub(super) fn new(workload: &Workload, ids: usize, threads: usize, level: Level, timings: &Timings) -> Record {
        let bytes = bytes_moved(workload, ids);
        let seconds = timings.median();
        Record {
            name: workload.name.clone(),
            op: workload.op.name(),
            dtype: workload.dtype.to_string(),
            threads,
            level: level.to_string(),
            huge_pages: None,
            ms_median: seconds * 1e3,
            ms_min: timings.min() * 1e3,
            ms_max: timings.max() * 1e3,
            repetitions: timings.seconds.len(),
            bytes,
            gb_per_s: bytes as f64 / seconds / 1e9,
            ns_per_id: seconds * 1e9 / ids as f64,
            limit_gb_per_s: 0.0,
            fraction_of_limit: 0.0,
            against_ms_median: None,
            ratio: None,
            out_dtype: workload.out_dtype.to_string(),
            rows: workload.rows,
            dim: workload.dim,
            ids,
            calls_per_repetition: timings.calls_per_repetition,
            read_limit_gb_per_s: 0.0,
        }
    }

    /// Sets the two ceilings. A gather and a scatter-add both read and write, so copying is the limit that applies.
    pub(super) fn set_limits(&mut self, copy_gb_per_s: f64, read_gb_per_s: f64) {
        self.limit_gb_per_s = copy_gb_per_s;
        self.fraction_of_limit = self.gb_per_s / copy_gb_per_s;
        self.read_limit_gb_per_s = read_gb_per_s;
    }

    /// Sets what is known of the table's memory.
    pub(super) fn set_memory(&mut self, memory: MemoryReport) {
        self.huge_pages = memory.huge_page_bytes.map(|huge| 2 * huge >= memory.allocated_bytes);
    }

    /// Sets the alternative's time.
    pub(super) fn compare_with(&mut self, against: Timings) {
        let ms = against.median() * 1e3;
        self.against_ms_median = Some(ms);
        self.ratio = Some(ms / self.ms_median);
    }

    /// The bytes of a row of the table.
    pub(super) fn row_bytes(&self) -> usize {
        self.dim * if self.dtype == "f32" { 4 } else { 2 }
    }
}

/// Each row read and each row written, once per id.
fn bytes_moved(workload: &Workload, ids: usize) -> u64 {
    let row = (workload.dim * workload.dtype.size()) as u64;
    let other = (workload.dim * workload.out_dtype.size()) as u64;
    let per_id = match workload.op {
        // The gradient and the row are read, the row is written.
        Op::ScatterAdd => other + 2 * row,
        _ => row + other,
    };
    per_id * ids as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::read_workloads;

    /// A record of calls of one millisecond, whose copying limit is 4 GB/s.
    pub(in crate::bench) fn sample(name: &str, op: &str, dtype: &str, out_dtype: &str) -> Record {
        let list = format!(
            r#"{{"schema": 1, "workloads": [{{"name": "{name}", "op": "{op}", "rows": 100, "dim": 64, "dtype": "{dtype}",
            "out_dtype": "{out_dtype}", "ids": 1000}}]}}"#
        );
        let workload = &read_workloads(list.as_bytes()).expect("a good list")[0];
        let timings = Timings { seconds: vec![0.002, 0.0005, 0.001], calls_per_repetition: 1 };
        let mut record = Record::new(workload, 1000, 2, Level::Portable, &timings);
        record.set_limits(4.0, 2.5);
        record
    }

    #[test]
    fn the_numbers_follow_from_the_median() {
        let record = sample("w", "gather", "f32", "f32");
        assert_eq!((record.ms_min, record.ms_median, record.ms_max), (0.5, 1.0, 2.0));
        assert_eq!(record.bytes, 2 * 64 * 4 * 1000);
        assert_eq!((record.gb_per_s, record.ns_per_id, record.fraction_of_limit), (0.512, 1000.0, 0.128));
        assert_eq!((record.repetitions, record.row_bytes()), (3, 256));
    }

    #[test]
    fn bytes_count_rows_read_and_written() {
        assert_eq!(sample("w", "gather", "bf16", "bf16").bytes, 256_000);
        assert_eq!(sample("w", "gather", "bf16", "f32").bytes, 384_000);
        assert_eq!(sample("w", "scatter_add", "f32", "f32").bytes, 768_000);
        assert_eq!(sample("w", "scatter_add", "bf16", "f32").bytes, 512_000);
    }

    #[test]
    fn json_has_the_documented_fields_in_order() {
        let mut record = sample("w", "gather", "f32", "f32");
        let documented = [
            "name",
            "op",
            "dtype",
            "threads",
            "level",
            "huge_pages",
            "ms_median",
            "ms_min",
            "ms_max",
            "repetitions",
            "bytes",
            "gb_per_s",
            "ns_per_id",
            "limit_gb_per_s",
            "fraction_of_limit",
        ];
        let json = serde_json::to_string(&record).expect("plain data");
        let places: Vec<_> = documented.iter().map(|field| json.find(&format!("\"{field}\":"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{json}");
        assert!(!json.contains("against_ms_median") && !json.contains("\"ratio\""));
        record.compare_with(Timings { seconds: vec![0.25], calls_per_repetition: 1 });
        let value = serde_json::to_value(&record).expect("plain data");
        assert_eq!((&value["against_ms_median"], &value["ratio"]), (&250.0.into(), &250.0.into()));
        assert!(value["huge_pages"].is_null());
    }
}
