//! `info`, `verify` and `stats`: what a file holds, whether it is damaged, and what its rows look like.

use std::fs;
use std::path::Path;

use hotrow::store::{Block, Checkpoints, Header, SafetensorsWriter, Snapshot, Values, WriteRows};
use hotrow::{Adagrad, DType, Optimizer, Table};
use serde_json::{Value, json};

use crate::program::{fail, hotrow, json, succeed, text, write};

/// Six rows of two: one of zeros, one with a NaN, and the first once more.
fn table(dir: &Path, name: &str) {
    let mut writer = SafetensorsWriter::create(&dir.join(name), "t", 2, DType::F32, true).unwrap();
    let values = vec![3.0, 4.0, 0.0, -0.0, 1.0, f32::NAN, 3.0, 4.0, 0.0, 10.0, 6.0, 8.0];
    let words = ["cat", "no\u{1b}thing", "odd", "kitten", "dog", "wolf"].map(str::to_owned).to_vec();
    writer.write(&Block { values: Values::F32(values), words }).unwrap();
    Box::new(writer).finish().unwrap();
}

#[test]
fn info_tells_what_a_header_says() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    table(dir, "a.safetensors");
    let output = succeed(dir, "info a.safetensors");
    let lines: Vec<_> = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines[0].starts_with("a.safetensors: safetensors, "), "{output}");
    assert_eq!(lines[1], "tensor shape type size aligned to checksum words");
    assert!(lines[2].starts_with("t [6, 2] f32 48 B ") && lines[2].ends_with(" words"), "{output}");
    assert_eq!((lines[3].as_str(), lines.len()), ("producer: hotrow", 4), "{output}");

    let info = json(dir, "info a.safetensors --json");
    let header = Header::open(&dir.join("a.safetensors")).unwrap();
    let crc32 = format!("{:08x}", header.tensor("t").unwrap().crc32.unwrap());
    let tensor = &info["tensors"][0];
    for (key, value) in [
        ("name", json!("t")),
        ("role", json!("table")),
        ("type", json!("f32")),
        ("shape", json!([6, 2])),
        ("bytes", json!(48)),
        ("offset", json!(header.data)),
        ("crc32", json!(crc32)),
        ("words", json!(true)),
        ("titles", json!(false)),
    ] {
        assert_eq!(tensor[key], value, "{key}");
    }
    assert!(tensor["alignment"].as_u64().unwrap() >= 64);
    assert_eq!((&info["format"], &info["tensors"][1]["role"]), (&json!("safetensors"), &json!("text")));
}

#[test]
fn info_reads_every_format_and_folders() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("model")).unwrap();
    table(dir, "model/b.safetensors");
    write(dir, "model/a.vec", "2 3\ncat 1 2 3\ndog 4 5 6\n");
    write(dir, "model/notes.txt", "nothing\n");
    write(dir, "c.csv", "1,2\n3,4\n");
    let lines: Vec<Value> =
        succeed(dir, "info model c.csv --json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        lines.iter().map(|info| (info["format"].as_str().unwrap(), info["tensors"][0]["shape"].to_string())).collect();
    assert_eq!(told, [("fasttext", "[2,3]".into()), ("safetensors", "[6,2]".into()), ("csv", "[null,2]".into())]);
    assert_eq!(lines[0]["tensors"][0]["words"], true);

    fs::create_dir(dir.join("empty")).unwrap();
    assert_eq!(fail(dir, "info empty", 1), "error: empty: there is no embedding file in this folder\n");
    assert!(fail(dir, "info none", 1).starts_with("error: none: cannot open the file: "));
    // One bad file of several leaves the others their answers.
    let output = hotrow(dir, "info none model/a.vec");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("a.vec: fasttext") && text(&output.stderr).contains("1 of 2 could not be read"));
    assert!(fail(dir, "info", 2).contains("<FILE>"));
}

#[test]
fn info_costs_nothing_whatever_a_file_claims() {
    let dir = tempfile::tempdir().unwrap();
    let claims = [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat();
    write(dir.path(), "bomb.safetensors", claims);
    let errors = fail(dir.path(), "info bomb.safetensors", 1);
    assert!(errors.contains("a header of 1152921504606846976 bytes is announced, and 2 follow"), "{errors}");
}

#[test]
fn verify_finds_every_damaged_byte() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    table(dir, "a.safetensors");
    let output = succeed(dir, "verify a.safetensors");
    assert!(output.starts_with("a.safetensors: as it was written: all 2 checksums are right ("), "{output}");
    let report = json(dir, "verify a.safetensors --json");
    assert_eq!((&report["ok"], &report["compared"], &report["error"]), (&json!(true), &json!(2), &Value::Null));

    let mut bytes = fs::read(dir.join("a.safetensors")).unwrap();
    let tensors = Header::open(&dir.join("a.safetensors")).unwrap().tensors;
    for tensor in &tensors {
        bytes[tensor.offset as usize] ^= 1;
    }
    write(dir, "b.safetensors", &bytes);
    let errors = fail(dir, "verify b.safetensors", 1);
    assert!(errors.starts_with("error: b.safetensors: `t` is damaged: its checksum is "), "{errors}");
    assert!(errors.contains("\nerror: b.safetensors: `t.ids` is damaged: its checksum is "), "{errors}");
    assert!(errors.ends_with("error: b.safetensors: it is damaged or cannot be read\n"), "{errors}");
    let output = hotrow(dir, "verify a.safetensors b.safetensors --json");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), "error: 1 of 2 are damaged or cannot be read\n"));
    let reports: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&reports[0]["ok"], &reports[1]["ok"], &reports[1]["parts"][0]["outcome"]),
        (&json!(true), &json!(false), &json!("damaged"))
    );

    write(dir, "c.safetensors", &bytes[..bytes.len() - 1]);
    assert!(fail(dir, "verify c.safetensors", 1).contains("it is cut short"));
}

#[test]
fn verify_reads_what_has_no_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.vec", "2 3\ncat 1 2 3\ndog 4 5 6\n");
    let output = succeed(dir, "verify a.vec");
    assert!(output.starts_with("a.vec: can be read (24 B in "), "{output}");
    write(dir, "b.vec", "2 3\ncat 1 2 3\ndog 4 5\n");
    let errors = fail(dir, "verify b.vec", 1);
    assert!(errors.starts_with("error: b.vec: line 3, "), "{errors}");
    let output = hotrow(dir, "verify b.vec --json");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["ok"] == false && report["error"].as_str().unwrap().starts_with("b.vec: line 3, "), "{report}");
}

#[test]
fn stats_tell_what_rows_look_like() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    table(dir, "a.safetensors");
    let stats = json(dir, "stats a.safetensors --bins 2 --json");
    for (key, value) in [
        ("rows", json!(6)),
        ("dim", json!(2)),
        ("type", json!("f32")),
        ("table", json!("t")),
        ("values", json!({"min": 0.0, "mean": 39.0 / 11.0, "max": 10.0})),
        ("norms", json!({"min": 0.0, "mean": 6.0, "median": 5.0, "max": 10.0})),
        ("nan_values", json!(1)),
        ("infinite_values", json!(0)),
        ("broken_rows", json!({"count": 1, "first": [2], "words": ["odd"]})),
        ("zero_rows", json!({"count": 1, "first": [1], "words": ["no\u{1b}thing"]})),
        ("duplicate_rows", json!({"count": 1, "first": [3], "words": ["kitten"]})),
        ("histogram", json!([{"from": 0.0, "to": 5.0, "count": 1}, {"from": 5.0, "to": 10.0, "count": 4}])),
    ] {
        assert_eq!(stats[key], value, "{key}");
    }
    let output = succeed(dir, "stats a.safetensors --bins 2");
    for wanted in [
        "a.safetensors, table t: 6 rows of 2 f32\n",
        "norms     0  6.000   5.000  10.00\n",
        "not finite  1  rows, with 1 NaN and 0 infinite values: `odd`\n",
        "zero        1  rows: `no\\u{1b}thing`\n",
        "duplicate   1  rows, equal to an earlier one: `kitten`\n",
        "      0  to  5.000  1  ██████████\n",
        "  5.000  to  10.00  4  ████████████████████████████████████████\n",
    ] {
        assert!(output.contains(wanted), "{wanted:?} is not in {output}");
    }
}

#[test]
fn stats_draw_a_picture_and_convert() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.csv", "1,2\n3,4\n");
    for (name, start) in [("a.svg", &b"<svg"[..]), ("a.png", b"\x89PNG")] {
        succeed(dir, &format!("stats a.csv --plot {name}"));
        assert!(fs::read(dir.join(name)).unwrap().starts_with(start));
    }
    write(dir, "empty.glove", "");
    let double = br#"{"t":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]}}"#;
    write(dir, "d.safetensors", [&(double.len() as u64).to_le_bytes()[..], double, &0.5f64.to_le_bytes()].concat());
    let output = hotrow(dir, "stats d.safetensors");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), "note: f64 values are rounded to f32\n"));
    let errors = fail(dir, "stats d.safetensors --table u", 1);
    assert_eq!(errors, "error: d.safetensors: it has no tensor `u`; its tables are `t` [1, 1] f64\n");
    assert!(fail(dir, "stats d.safetensors --plot a.jpg", 2).contains("must end with .svg or .png"));
    assert!(fail(dir, "stats d.safetensors --bins 0", 2).contains("--bins"));
}

#[test]
fn checkpoints_are_told_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let table = Table::<f32>::uniform(50, 4, 1).unwrap();
    let optimizer = Optimizer::new(Adagrad::default(), 50, 4).unwrap();
    let mut checkpoints = Checkpoints::open(dir.join("run"));
    for step in [5, 10] {
        let snapshot = Snapshot::new(step).config(&json!({"dim": 4})).unwrap();
        let snapshot = snapshot.table("items", &table).unwrap().optimizer("items", &optimizer).unwrap();
        checkpoints.save(&snapshot).unwrap();
    }
    let output = succeed(dir, "info run");
    assert!(output.starts_with("run: 2 checkpoints, "), "{output}");
    assert!(output.contains("\nstep 5: full, ") && output.contains("adagrad after 0 steps"), "{output}");
    let report = json(dir, "info run --json");
    assert_eq!((&report["format"], &report["steps"][1]["step"]), (&json!("checkpoints"), &json!(10)));
    let told = &report["steps"][0]["tables"][0];
    assert_eq!((&told["name"], &told["shape"], &told["optimizer"]), (&json!("items"), &json!([50, 4]), &json!("adagrad")));
    assert_eq!(report["steps"][0]["config"], json!({"dim": 4}));

    let stats = json(dir, "stats run --table items --json");
    assert_eq!((&stats["rows"], &stats["table"], &stats["values"]["max"].is_number()), (&json!(50), &json!("items"), &true));

    let output = succeed(dir, "verify run");
    assert!(
        output.lines().count() == 2 && output.starts_with("run, step 5: as it was written: all checksums are right ("),
        "{output}"
    );
    let shard = fs::read_dir(dir.join("run")).unwrap().map(|entry| entry.unwrap().path());
    let shard = shard.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors")).min().unwrap();
    let mut bytes = fs::read(&shard).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&shard, bytes).unwrap();
    let errors = fail(dir, "verify run", 1);
    assert!(errors.contains(" is damaged: ") && errors.ends_with("error: 1 of 2 are damaged or cannot be read\n"), "{errors}");
}
