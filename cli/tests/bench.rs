//! `hotrow bench` from the outside: what it prints, and that it says no clearly.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// Small shapes of every kind that this version measures, and of two that it does not measure.
const TINY: &str = r#"{"schema": 1, "workloads": [
    {"name": "tiny-gather", "op": "gather", "rows": 200, "dim": 7, "dtype": "f32", "ids": 50, "against": "one_hot_matmul"},
    {"name": "tiny-widening", "op": "gather", "rows": 200, "dim": 16, "dtype": "bf16", "out_dtype": "f32", "ids": 50,
     "dist": {"zipf": 1.05}, "id_dtype": "i32", "threads": 1, "level": "portable"},
    {"name": "tiny-one", "op": "gather", "rows": 200, "dim": 16, "dtype": "f16", "ids": 1},
    {"name": "tiny-scatter", "op": "scatter_add", "rows": 200, "dim": 16, "dtype": "f32", "ids": 300, "dist": {"hot": 0.5}},
    {"name": "tiny-scatter-bf16", "op": "scatter_add", "rows": 200, "dim": 5, "dtype": "bf16", "ids": 300},
    {"name": "tiny-production", "op": "gather", "rows": 4000, "dim": 16, "dtype": "f32", "ids": 900, "dist": "production"},
    {"name": "tiny-bag", "op": "bag", "rows": 200, "dim": 16, "dtype": "f32", "bags": 3, "bag_len": 2},
    {"name": "tiny-train", "op": "train_step", "rows": 200, "dim": 16, "dtype": "f32", "bags": 9, "bag_len": 4, "optimizer": "adam"},
    {"name": "tiny-strange", "op": "train_step", "rows": 200, "dim": 16, "dtype": "f32", "bags": 9, "bag_len": 4, "optimizer": "adan"},
    {"name": "tiny-tables", "op": "gather", "tables": 2, "rows": 200, "dim": 16, "dtype": "f32", "ids": 5},
    {"name": "tiny-crowd", "op": "gather", "rows": 3, "dim": 16, "dtype": "f32", "ids": 900, "dist": "production"}
]}"#;

fn bench(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_hotrow");
    Command::new(program).arg("bench").args(args).output().expect("the command that cargo built")
}

/// A workload file of its own for each test.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a directory for test files");
    path
}

fn run_file(name: &str, text: &str, args: &[&str]) -> Output {
    let path = file(name, text);
    let path = path.to_str().expect("a plain path");
    let time: &[&str] = if args.contains(&"--time") { &[] } else { &["--time", "0.002"] };
    bench(&[&["--workloads", path], time, args].concat())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// The lines of a run with `--json`.
fn records(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// A record has all its fields, and its numbers mean something.
fn assert_complete(line: &Value) {
    let speeds = ["gb_per_s", "limit_gb_per_s", "copy_limit_gb_per_s", "fraction_of_limit"];
    for field in ["ms_median", "ms_min", "ms_max", "bytes", "ns_per_id"].iter().chain(&speeds) {
        assert!(line[field].as_f64().is_some_and(|value| value > 0.0 && value.is_finite()), "{field}: {line}");
    }
    let [min, median, max] = ["ms_min", "ms_median", "ms_max"].map(|field| line[field].as_f64());
    assert!(min <= median && median <= max, "{line}");
    assert!(line["repetitions"].as_u64() >= Some(9), "{line}");
    let reading = if line["op"] == "nearest" { "scan_limit_gb_per_s" } else { "read_limit_gb_per_s" };
    assert!(line[reading].as_f64() > Some(0.0), "{line}");
    let limit = if line["op"] == "bag" || line["op"] == "nearest" { reading } else { "copy_limit_gb_per_s" };
    assert_eq!(line["limit_gb_per_s"], line[limit], "{line}");
    for field in ["name", "op", "dtype", "threads", "level", "huge_pages", "out_dtype", "tables", "rows", "dim", "ids"] {
        assert!(line.get(field).is_some(), "{field}: {line}");
    }
    let pooled = line["op"] == "bag" || line.get("bags").is_some();
    assert!(["bags", "pooling", "weighted"].iter().all(|field| line.get(field).is_some() == pooled), "{line}");
    assert_eq!(line.get("optimizer").is_some(), line["op"] == "train_step", "{line}");
}

#[test]
fn json_lines_hold_the_results_and_nothing_else() {
    let output = run_file("json.json", TINY, &["--json"]);
    let lines = records(&output);
    let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().expect("a name")).collect();
    let gathers = ["tiny-gather", "tiny-widening", "tiny-one"];
    let others = ["tiny-scatter", "tiny-scatter-bf16", "tiny-production", "tiny-bag", "tiny-train"];
    assert_eq!(names, [&gathers[..], &others].concat());
    lines.iter().for_each(assert_complete);
    let (gather, widening) = (&lines[0], &lines[1]);
    assert_eq!(gather["bytes"], 50 * 7 * 8);
    assert!(gather["ratio"].as_f64() > Some(0.0) && gather["against_ms_median"].as_f64() > Some(0.0), "{gather}");
    assert_eq!((&widening["threads"], &widening["level"]), (&1.into(), &"portable".into()));
    assert!(widening.get("ratio").is_none());

    let notes = text(&output.stderr);
    assert!(notes.contains("tiny-tables skipped: gather of several tables in one call is not in this version"), "{notes}");
    assert!(notes.contains(r#"tiny-strange skipped: optimizer "adan" is not known: expected one of sgd, "#), "{notes}");
    assert!(notes.contains("tiny-crowd skipped: the production histogram touches"), "{notes}");
    assert!(notes.contains("machine: "), "{notes}");
    assert!(!notes.contains('\r'), "no progress where no terminal is: {notes}");
}

/// Every element and output, every pooling, weights or none: each is verified before it is timed.
#[test]
fn bags_of_every_kind_are_measured() {
    let mut list = Vec::new();
    for (dtype, out_dtype) in [("f32", "f32"), ("f16", "f32"), ("f16", "f16"), ("bf16", "f32"), ("bf16", "bf16")] {
        for (pooling, weighted) in [("sum", false), ("mean", true), ("max", false), ("sqrtn", true)] {
            let name = format!("{dtype}-{out_dtype}-{pooling}");
            list.push(json!({"name": name, "op": "bag", "rows": 90, "dim": 19, "dtype": dtype, "out_dtype": out_dtype, "bags": 7,
                "bag_len": 5, "pooling": pooling, "weighted": weighted, "dist": {"zipf": 1.05}, "id_dtype": "i32"}));
        }
    }
    let lines = records(&run_file("bags.json", &json!({"schema": 1, "workloads": list}).to_string(), &["--json"]));
    assert_eq!(lines.len(), 20);
    for (line, workload) in lines.iter().zip(&list) {
        assert_complete(line);
        for field in ["name", "dtype", "out_dtype", "bags", "pooling", "weighted", "rows", "dim"] {
            assert_eq!(line[field], workload[field], "{line}");
        }
        let size = |dtype: &Value| if *dtype == "f32" { 4 } else { 2 };
        assert_eq!(line["bytes"], 35 * 19 * size(&line["dtype"]) + 7 * 19 * size(&line["out_dtype"]), "{line}");
    }
}

/// Every optimizer of every element, in bags and in none: table and state are verified before anything is timed.
#[test]
fn train_steps_of_every_kind_are_measured() {
    // The state of a row of 19 values, in bytes.
    let optimizers =
        [("sgd", 0), ("adagrad", 76), ("rowwise_adagrad", 4), ("adam", 152), ("adamw", 152), ("partial_rowwise_adam", 80)];
    let optimizers = [&optimizers[..], &[("rmsprop", 152), ("ftrl", 152)]].concat();
    let mut list = Vec::new();
    for (dtype, out_dtype) in [("f32", "f32"), ("f16", "f32"), ("bf16", "f32"), ("bf16", "bf16")] {
        for (optimizer, state) in &optimizers {
            let base =
                json!({"op": "train_step", "rows": 90, "dim": 19, "dtype": dtype, "out_dtype": out_dtype, "optimizer": optimizer});
            for (kind, fields) in [
                ("none", json!({"ids": 35, "dist": {"hot": 0.5}})),
                ("sum", json!({"bags": 7, "bag_len": 5})),
                ("mean", json!({"bags": 7, "bag_len": 5, "weighted": true})),
                ("max", json!({"bags": 7, "bag_len": 5, "id_dtype": "i32"})),
            ] {
                let mut workload = base.clone();
                let object = workload.as_object_mut().expect("an object");
                object.extend(fields.as_object().expect("an object").clone());
                object.insert("name".to_owned(), format!("{dtype}-{out_dtype}-{optimizer}-{kind}").into());
                object.insert("pooling".to_owned(), kind.into());
                list.push((workload, *state));
            }
        }
    }
    let workloads: Vec<_> = list.iter().map(|(workload, _)| workload).collect();
    let file = json!({"schema": 1, "workloads": workloads}).to_string();
    let lines = records(&run_file("train.json", &file, &["--json", "--time", "0.0005"]));
    assert_eq!(lines.len(), list.len());
    for (line, (workload, state)) in lines.iter().zip(&list) {
        assert_complete(line);
        for field in ["name", "op", "dtype", "out_dtype", "optimizer", "rows", "dim"] {
            assert_eq!(line[field], workload[field], "{line}");
        }
        let size = |dtype: &Value| if *dtype == "f32" { 4 } else { 2 };
        let outputs = if workload["pooling"] == "none" { 35 } else { 7 };
        let (row, out) = (19 * size(&line["dtype"]), 19 * size(&line["out_dtype"]));
        assert_eq!(line["bytes"], 35 * (3 * row + 2 * state) + outputs * 2 * out, "{line}");
    }
}

/// Every element and metric, one query and several: verified before it is timed.
#[test]
fn searches_of_every_kind_are_measured() {
    let mut list = Vec::new();
    for dtype in ["f32", "f16", "bf16"] {
        for (metric, queries, k) in [("cosine", 1, 10), ("dot", 5, 3)] {
            let name = format!("{dtype}-{metric}");
            list.push(json!({"name": name, "op": "nearest", "rows": 90, "dim": 19, "dtype": dtype, "queries": queries, "k": k,
                "metric": metric}));
        }
    }
    let lines = records(&run_file("nearest.json", &json!({"schema": 1, "workloads": list}).to_string(), &["--json"]));
    assert_eq!(lines.len(), 6);
    for (line, workload) in lines.iter().zip(&list) {
        assert_complete(line);
        for (field, of) in [("name", "name"), ("k", "k"), ("metric", "metric"), ("ids", "queries")] {
            assert_eq!(line[field], workload[of], "{line}");
        }
        assert_eq!(line["bytes"], 90 * 19 * if line["dtype"] == "f32" { 4 } else { 2 }, "{line}");
    }
    let list = r#"{"schema": 1, "workloads": [{"name": "w", "op": "nearest", "rows": 90, "dim": 19, "dtype": "f32"}]}"#;
    let output = run_file("nearest-table.json", list, &[]);
    let report = text(&output.stdout);
    assert!(report.contains("reading in order") && report.contains("distance: nearest runs at "), "{report}");
    assert!(report.contains("limit of reading in order (one workload)"), "{report}");
}

/// Several tables in one call: their ids, rows and bytes are counted together.
#[test]
fn several_tables_are_measured() {
    let base = r#""tables": 3, "rows": 90, "dim": 19, "bags": 7, "bag_len": [1, 2, 4]"#;
    let list = format!(
        r#"{{"schema": 1, "workloads": [
            {{"name": "bag", "op": "bag", "dtype": "f32", {base}}},
            {{"name": "mean", "op": "bag", "dtype": "bf16", "pooling": "mean", "weighted": true, {base}}},
            {{"name": "train", "op": "train_step", "dtype": "f16", "optimizer": "rowwise_adagrad", {base}}},
            {{"name": "max", "op": "bag", "dtype": "f32", "pooling": "max", {base}}},
            {{"name": "own", "op": "bag", "dtype": "f16", "out_dtype": "f16", {base}}},
            {{"name": "apart", "op": "train_step", "tables": 3, "rows": 90, "dim": 19, "dtype": "f32", "optimizer": "sgd", "pooling": "none",
             "ids": 9}}
        ]}}"#
    );
    let output = run_file("tables.json", &list, &["--json"]);
    let lines = records(&output);
    lines.iter().for_each(assert_complete);
    assert_eq!(lines.iter().map(|line| line["name"].as_str()).collect::<Vec<_>>(), [Some("bag"), Some("mean"), Some("train")]);
    for (line, bytes) in lines.iter().zip([(49 + 21) * 76, 49 * 38 + 21 * 76, 49 * (3 * 38 + 8) + 21 * 2 * 76]) {
        assert_eq!((&line["tables"], &line["ids"], &line["bags"]), (&3.into(), &49.into(), &21.into()));
        assert_eq!(line["bytes"], bytes, "{line}");
    }
    let notes = text(&output.stderr);
    for reason in
        ["max skipped: pooling by the maximum", "own skipped: an output of 16 bits", "apart skipped: un-pooled train_step"]
    {
        assert!(notes.contains(&format!("{reason} of several tables in one call is not in this version")), "{notes}");
    }
}

/// Users and their items; the third has none.
const BAGS: &str = "0 7 8 3\n1 2\n2\n3 5 5\n4 1\n5 0\n6 6\n7 4\n8 11\n";

#[test]
fn ids_of_a_file_are_looked_up() {
    let path = file("bags.txt", BAGS);
    let path = path.to_str().expect("a plain path");
    let run = |args: &[&str]| bench(&[&["--ids", path, "--time", "0.002"], args].concat());
    let output = run(&["--json"]);
    let lines = records(&output);
    lines.iter().for_each(assert_complete);
    let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().expect("a name")).collect();
    let trained = ["ids-train-sgd", "ids-train-rowwise-adagrad", "ids-train-adagrad", "ids-train-adam"];
    assert_eq!(names, [&["ids-gather", "ids-bag"][..], &trained].concat());
    for line in &lines {
        assert_eq!((&line["rows"], &line["dim"], &line["dtype"]), (&12.into(), &64.into(), &"f32".into()));
    }
    // Eight batches of 11 ids, and of nine bags: two of each at most, on average.
    assert_eq!((&lines[0]["ids"], &lines[1]["ids"], &lines[1]["bags"]), (&2.into(), &2.into(), &2.into()));
    let read = "bags.txt: 11 ids, 10 different, in 9 bags (longest 3, empty 1); read as bags";
    assert!(text(&output.stderr).contains(read), "{}", text(&output.stderr));

    let other = run(&["--format", "ids", "--rows", "100", "--dim", "5", "--dtype", "bf16", "--filter", "gather"]);
    assert!(other.status.success(), "{}", text(&other.stderr));
    let report = text(&other.stdout);
    assert!(report.contains("bags.txt: 20 ids, 10 different; read as ids\n") && report.contains("ids-gather  bf16"), "{report}");

    let list = run(&["--list", "--filter", "bag"]);
    assert_eq!(text(&list.stdout), "ids-bag  bag          12 x 64 f32\n");
}

#[test]
fn the_table_ends_with_the_machine_and_the_distance_from_its_limits() {
    let output = run_file("table.json", TINY, &["--filter", "^tiny-(gather|scatter|bag|train|tables)$", "--threads", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert!(lines[0].starts_with("workload") && lines[0].ends_with("of limit"), "{lines:?}");
    assert!(lines[1].starts_with("tiny-gather") && lines[1].len() == lines[0].len(), "{lines:?}");
    assert!(lines[2].contains("the dense one-hot product takes"), "{lines:?}");
    assert!(lines[3].starts_with("tiny-scatter") && lines[4].starts_with("tiny-bag"), "{lines:?}");
    assert!(lines[5].starts_with("tiny-train") && lines[5].len() == lines[0].len(), "{lines:?}");
    assert!(lines[6].starts_with("tiny-tables") && lines[6].contains("skipped: gather of several tables"), "{lines:?}");
    let [machine, bag, gather, scatter, train] = lines[lines.len() - 5..] else { panic!("five last lines: {lines:?}") };
    assert!(train.starts_with("distance: train_step runs at ") && train.contains("copying limit"), "{train}");
    assert!(bag.starts_with("distance: bag runs at ") && bag.contains("limit of reading random rows"), "{bag}");
    assert!(machine.starts_with("machine: ") && machine.contains("SIMD level"), "{machine}");
    assert!(gather.starts_with("distance: gather runs at "), "{gather}");
    assert!(scatter.starts_with("distance: scatter_add runs at "), "{scatter}");
}

#[test]
fn results_are_drawn() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, start) in [("bench.svg", &b"<svg "[..]), ("bench.png", b"\x89PNG")] {
        let path = folder.join(name);
        let _ = std::fs::remove_file(&path);
        let output =
            run_file("plot.json", TINY, &["--json", "--filter", "gather|bag", "--plot", path.to_str().expect("a plain path")]);
        assert_eq!(records(&output).len(), 2);
        assert!(std::fs::read(path).expect("a picture").starts_with(start));
    }
    let refused = bench(&["--plot", "bench.pdf"]);
    assert!(text(&refused.stderr).contains("the name of a picture must end with .svg or .png"), "{}", text(&refused.stderr));
    let output = run_file("plot.json", TINY, &["--json", "--filter", "gather", "--plot", "/no/such/folder/bench.svg"]);
    assert!(!output.status.success() && text(&output.stderr).contains("bench.svg: cannot write the picture: "));
    assert!(text(&output.stdout).contains("tiny-gather"), "the results are there all the same");
}

#[test]
fn the_standard_list_is_the_default() {
    let output = bench(&["--list"]);
    assert!(output.status.success());
    let listed = text(&output.stdout);
    assert_eq!(listed.lines().count(), 35);
    assert!(listed.contains("gather-f32-big") && listed.contains("8,000,000 x 128 f32"), "{listed}");
    let one = bench(&["--list", "--filter", "one-hot-m"]);
    assert_eq!(text(&one.stdout), "one-hot-matmul  gather       10,000 x 64 f32\n");
}

#[test]
fn refusals_say_what_is_wrong() {
    let refused = |output: &Output, expected: &str| {
        assert!(!output.status.success());
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        let message = text(&output.stderr);
        assert!(message.contains(expected), "{message}");
    };
    let typo = r#"{"schema": 1, "workloads": [{"name": "w", "op": "gather", "row": 9}]}"#;
    refused(&run_file("typo.json", typo, &[]), "typo.json: workload \"w\": field `row` is not known");
    refused(&bench(&["--workloads", "no-such-file.json"]), "cannot read no-such-file.json");
    refused(&bench(&["--filter", "no-such-workload"]), "no workload matches --filter \"no-such-workload\"");
    refused(&bench(&["--filter", "("]), "is not a regular expression");
    refused(&bench(&["--time", "0"]), "expected a number of seconds above 0");
    refused(&bench(&["--level", "sse"]), "portable, avx2, avx512");
    refused(&bench(&["--threads", "0"]), "--threads");
    let ids = |name, text, args: &[&str]| {
        let path = file(name, text);
        bench(&[&["--ids", path.to_str().expect("a plain path")], args].concat())
    };
    refused(&ids("word.txt", "1\n2 x\n", &[]), "word.txt: line 2, column 3: `x` is not an id");
    refused(&ids("high.txt", "1\n9\n", &["--rows", "9"]), "high.txt: line 2, column 1: id 9 is out of range: ids must be in 0..9");
    refused(&ids("none.txt", "\n", &[]), "none.txt: the file holds no ids");
    refused(&ids("wide.txt", "4294967294", &["--dim", "4294967295"]), "too large for this machine");
    refused(&ids("format.txt", "1\n", &["--format", "csv"]), "bags, negatives, ids");
    refused(&bench(&["--ids", "no-such-file.txt"]), "cannot read no-such-file.txt");
    refused(&bench(&["--dim", "8"]), "--ids");
    refused(&bench(&["--ids", "a.txt", "--workloads", "b.json"]), "cannot be used with");
}
