//! `hotrow bench` from the outside: what it prints, and that it says no clearly.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Small shapes of every kind that this version measures, and of two that it does not.
const TINY: &str = r#"{"schema": 1, "workloads": [
    {"name": "tiny-gather", "op": "gather", "rows": 200, "dim": 7, "dtype": "f32", "ids": 50, "against": "one_hot_matmul"},
    {"name": "tiny-widening", "op": "gather", "rows": 200, "dim": 16, "dtype": "bf16", "out_dtype": "f32", "ids": 50,
     "dist": {"zipf": 1.05}, "id_dtype": "i32", "threads": 1, "level": "portable"},
    {"name": "tiny-one", "op": "gather", "rows": 200, "dim": 16, "dtype": "f16", "ids": 1},
    {"name": "tiny-scatter", "op": "scatter_add", "rows": 200, "dim": 16, "dtype": "f32", "ids": 300, "dist": {"hot": 0.5}},
    {"name": "tiny-scatter-bf16", "op": "scatter_add", "rows": 200, "dim": 5, "dtype": "bf16", "ids": 300},
    {"name": "tiny-production", "op": "gather", "rows": 4000, "dim": 16, "dtype": "f32", "ids": 900, "dist": "production"},
    {"name": "tiny-bag", "op": "bag", "rows": 200, "dim": 16, "dtype": "f32", "bags": 3, "bag_len": 2},
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
    bench(&[&["--workloads", path.to_str().expect("a plain path"), "--time", "0.002"], args].concat())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn json_lines_hold_the_results_and_nothing_else() {
    let output = run_file("json.json", TINY, &["--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().expect("a name")).collect();
    let measured = ["tiny-gather", "tiny-widening", "tiny-one", "tiny-scatter", "tiny-scatter-bf16", "tiny-production"];
    assert_eq!(names, measured);
    for line in &lines {
        for field in ["ms_median", "ms_min", "ms_max", "gb_per_s", "ns_per_id", "limit_gb_per_s", "fraction_of_limit"] {
            assert!(line[field].as_f64().is_some_and(|value| value > 0.0 && value.is_finite()), "{field}: {line}");
        }
        let [min, median, max] = ["ms_min", "ms_median", "ms_max"].map(|field| line[field].as_f64());
        assert!(min <= median && median <= max, "{line}");
        assert!(line["repetitions"].as_u64() >= Some(9), "{line}");
    }
    let (gather, widening) = (&lines[0], &lines[1]);
    assert_eq!(gather["bytes"], 50 * 7 * 8);
    assert!(gather["ratio"].as_f64() > Some(0.0) && gather["against_ms_median"].as_f64() > Some(0.0), "{gather}");
    assert_eq!((&widening["threads"], &widening["level"]), (&1.into(), &"portable".into()));
    assert!(widening.get("ratio").is_none());

    let notes = text(&output.stderr);
    assert!(notes.contains("tiny-bag skipped: bag is not in this version"), "{notes}");
    assert!(notes.contains("tiny-tables skipped: several tables in one call are not in this version"), "{notes}");
    assert!(notes.contains("tiny-crowd skipped: the production histogram touches"), "{notes}");
    assert!(notes.contains("machine: "), "{notes}");
    assert!(!notes.contains('\r'), "no progress where no terminal is: {notes}");
}

#[test]
fn the_table_ends_with_the_machine_and_the_distance_from_its_limits() {
    let output = run_file("table.json", TINY, &["--filter", "^tiny-(gather|scatter|bag)$", "--threads", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert!(lines[0].starts_with("workload") && lines[0].ends_with("of limit"), "{lines:?}");
    assert!(lines[1].starts_with("tiny-gather") && lines[1].len() == lines[0].len(), "{lines:?}");
    assert!(lines[2].contains("the dense one-hot product takes"), "{lines:?}");
    assert!(lines[4].starts_with("tiny-bag") && lines[4].ends_with("skipped: bag is not in this version"), "{lines:?}");
    assert!(lines[3].starts_with("tiny-scatter"), "{lines:?}");
    let [machine, gather, scatter] = lines[lines.len() - 3..] else { panic!("three last lines: {lines:?}") };
    assert!(machine.starts_with("machine: ") && machine.contains("SIMD level"), "{machine}");
    assert!(gather.starts_with("distance: gather runs at "), "{gather}");
    assert!(scatter.starts_with("distance: scatter_add runs at "), "{scatter}");
}

#[test]
fn the_standard_list_is_the_default() {
    let output = bench(&["--list"]);
    assert!(output.status.success());
    let listed = text(&output.stdout);
    assert_eq!(listed.lines().count(), 33);
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
}
