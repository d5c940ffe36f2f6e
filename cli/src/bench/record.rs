//! The result of one workload, with the field names of the `--json` output.

use hotrow::{Level, MemoryReport};
use serde::Serialize;

use super::ceiling::Limits;
use super::load::Load;
use super::measure::Timings;
use super::workload::{Op, Workload};

/// One result. The order of the fields is that of the JSON objects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Record {
    /// The workload's name.
    pub(super) name: String,
    /// The operation: `gather`, `bag`, `scatter_add`, `train_step` or `nearest`.
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
    /// Bytes a call: every row that is read and every row that is written, once per id, optimizer state included.
    pub(super) bytes: u64,
    /// `bytes` over the median.
    pub(super) gb_per_s: f64,
    /// The median over the ids of a call.
    pub(super) ns_per_id: f64,
    /// The limit that applies: `copy_limit_gb_per_s`; `read_limit_gb_per_s` for bags, which write little; `scan_limit_gb_per_s` for nearest.
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
    /// How many tables a call serves.
    pub(super) tables: usize,
    /// The rows of each table.
    pub(super) rows: usize,
    /// The values of a row.
    pub(super) dim: usize,
    /// The ids of a call, on all tables; where batches differ, their mean. Of nearest, the queries.
    pub(super) ids: usize,
    /// The bags of a call, on all tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bags: Option<usize>,
    /// How bags are pooled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pooling: Option<String>,
    /// Whether ids carry weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weighted: Option<bool>,
    /// How many neighbours of each query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) k: Option<usize>,
    /// How near they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metric: Option<String>,
    /// The optimizer of a train step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) optimizer: Option<String>,
    /// How many calls a repetition makes, of which the times are the mean.
    pub(super) calls_per_repetition: usize,
    /// The speed of copying with streaming stores, in bytes read and written.
    pub(super) copy_limit_gb_per_s: f64,
    /// The speed of reading whole rows of this size at random places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_limit_gb_per_s: Option<f64>,
    /// The speed of reading all rows in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scan_limit_gb_per_s: Option<f64>,
}

impl Record {
    /// The record of a workload's timings; its limits and its memory are set later.
    pub(super) fn new(workload: &Workload, load: Load, threads: usize, level: Level, timings: &Timings) -> Record {
        let bytes = load.bytes(workload);
        let pooling = workload.pooling.of_bags();
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
            ns_per_id: seconds * 1e9 / load.ids as f64,
            limit_gb_per_s: 0.0,
            fraction_of_limit: 0.0,
            against_ms_median: None,
            ratio: None,
            out_dtype: workload.out_dtype.to_string(),
            tables: workload.tables,
            rows: workload.rows,
            dim: workload.dim,
            ids: load.ids,
            bags: pooling.map(|_| load.outputs),
            pooling: pooling.map(|pooling| pooling.to_string()),
            weighted: pooling.map(|_| workload.weighted),
            k: workload.search.map(|search| search.k),
            metric: workload.search.map(|search| search.metric.to_string()),
            optimizer: workload.optimizer.clone(),
            calls_per_repetition: timings.calls_per_repetition,
            copy_limit_gb_per_s: 0.0,
            read_limit_gb_per_s: None,
            scan_limit_gb_per_s: None,
        }
    }

    /// Sets the ceilings. Bags read many rows for one that they write, so reading random rows is their limit; that of a search is reading
    /// in order; the other operations write as much as they read, or half as much, and their limit is copying.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.copy_limit_gb_per_s = limits.copy;
        self.read_limit_gb_per_s = limits.read;
        self.scan_limit_gb_per_s = limits.scan;
        self.limit_gb_per_s = match self.limit() {
            Limit::Copying => Some(limits.copy),
            Limit::RandomRows => limits.read,
            Limit::InOrder => limits.scan,
        }
        .unwrap_or(f64::NAN);
        self.fraction_of_limit = self.gb_per_s / self.limit_gb_per_s;
    }

    /// Which limit applies.
    pub(super) fn limit(&self) -> Limit {
        match self.op {
            op if op == Op::Bag.name() => Limit::RandomRows,
            op if op == Op::Nearest.name() => Limit::InOrder,
            _ => Limit::Copying,
        }
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

/// What a speed is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// Copying with streaming stores.
    Copying,
    /// Reading random rows.
    RandomRows,
    /// Reading all rows in order.
    InOrder,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::ids::IdPool;
    use crate::bench::read_workloads;

    /// A record of calls of one millisecond, whose copying limit is 4 GB/s.
    pub(in crate::bench) fn sample(name: &str, op: &str, dtype: &str, out_dtype: &str) -> Record {
        sample_with(name, op, dtype, out_dtype, r#""ids": 1000"#, 0)
    }

    /// The same with other lookups, of 1,000 ids all the same, and so many bytes of optimizer state a row.
    fn sample_with(name: &str, op: &str, dtype: &str, out_dtype: &str, lookups: &str, state_bytes: usize) -> Record {
        let list = format!(
            r#"{{"schema": 1, "workloads": [{{"name": "{name}", "op": "{op}", "rows": 100, "dim": 64, "dtype": "{dtype}",
            "out_dtype": "{out_dtype}", {lookups}}}]}}"#
        );
        let workload = &read_workloads(list.as_bytes()).expect("a good list")[0];
        let load = Load::of(&IdPool::draw(workload).expect("enough rows"), state_bytes);
        assert_eq!(load.ids, 1000);
        let timings = Timings { seconds: vec![0.002, 0.0005, 0.001], calls_per_repetition: 1 };
        let mut record = Record::new(workload, load, 2, Level::Portable, &timings);
        record.set_limits(Limits { copy: 4.0, read: Some(2.5), scan: None });
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
        let bag = |dtype, out_dtype| sample_with("w", "bag", dtype, out_dtype, r#""bags": 50, "bag_len": 20"#, 0).bytes;
        assert_eq!(bag("f32", "f32"), 256 * (1000 + 50));
        assert_eq!((bag("bf16", "f32"), bag("bf16", "bf16")), (128 * 1000 + 256 * 50, 128 * (1000 + 50)));
        let tables = r#""tables": 2, "bags": 50, "bag_len": [19, 1]"#;
        assert_eq!(sample_with("w", "bag", "f32", "f32", tables, 0).bytes, 256 * (1000 + 100));
    }

    #[test]
    fn bytes_of_a_train_step_are_those_of_forward_and_update_with_the_state() {
        let bags = r#""bags": 50, "bag_len": 20, "optimizer": "adam""#;
        let forward = 256 * (1000 + 50);
        let update = 256 * (50 + 2 * 1000);
        let train = |lookups, state| sample_with("w", "train_step", "f32", "f32", lookups, state).bytes;
        assert_eq!(train(bags, 0), forward + update);
        assert_eq!(train(bags, 2 * 256), forward + update + 2 * 2 * 256 * 1000);
        assert_eq!(train(bags, 4), forward + update + 2 * 4 * 1000);
        assert_eq!(train(r#""ids": 1000, "pooling": "none", "optimizer": "sgd""#, 0), 256 * 1000 * (2 + 3));
    }

    #[test]
    fn the_limit_of_bags_is_reading_and_that_of_the_others_copying() {
        let bags = r#""bags": 50, "bag_len": 20, "optimizer": "sgd""#;
        let train = sample_with("w", "train_step", "f32", "f32", bags, 0);
        let bag = sample_with("w", "bag", "f32", "f32", r#""bags": 50, "bag_len": 20, "pooling": "mean""#, 0);
        for (record, limit) in [(&bag, 2.5), (&train, 4.0), (&sample("w", "gather", "f32", "f32"), 4.0)] {
            assert_eq!(record.limit_gb_per_s, limit);
            assert_eq!(record.fraction_of_limit, record.gb_per_s / limit);
            assert_eq!((record.copy_limit_gb_per_s, record.read_limit_gb_per_s), (4.0, Some(2.5)));
        }
        let json = |record: &Record| serde_json::to_value(record).expect("plain data");
        assert_eq!((&json(&bag)["pooling"], &json(&bag)["bags"]), (&"mean".into(), &50.into()));
        assert_eq!(json(&bag).get("optimizer"), None);
        assert_eq!(json(&train)["optimizer"], "sgd");
        assert_eq!(json(&sample("w", "gather", "f32", "f32")).get("bags"), None);
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
