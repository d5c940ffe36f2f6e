//! Neighbours, analogies and rows of embedding files, whoever made them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use hotrow::store::{Block, Checkpoints, RowOptions, SafetensorsWriter, Snapshot, Values, WriteRows, open_rows};
use hotrow::{DType, Metric, Table, reference};
use serde_json::{Value, json};

use crate::program::{command, fail, hotrow, json, succeed, text, write};

/// Seven words in the plane, one of them nowhere.
const WORDS: &str = "7 2\nking 1 3\nqueen -1 3\nman 1 1\nwoman -1 1\nkings 2 6\nnothing 0 0\nstate 5 0.5\n";

/// The same words as safetensors.
fn safetensors(dir: &Path, source: &str) -> PathBuf {
    let path = dir.join("words.safetensors");
    let mut rows = open_rows(&dir.join(source), &RowOptions::default()).unwrap();
    let mut file = SafetensorsWriter::create(&path, "embeddings", rows.info().dim, DType::F32, true).unwrap();
    let mut block = Block::new(DType::F32);
    while rows.read(&mut block).unwrap() > 0 {
        file.write(&block).unwrap();
    }
    Box::new(file).finish().unwrap();
    path
}

fn with_input(dir: &Path, args: &str, input: &[u8]) -> Output {
    let mut child =
        command(dir, args.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The program may have ended before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The items of a JSON answer, in order.
fn items<'a>(answer: &'a Value, field: &str) -> Vec<&'a str> {
    answer[field].as_array().unwrap().iter().map(|near| near["item"].as_str().unwrap()).collect()
}

#[test]
fn neighbours_of_words_whatever_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "words.vec", WORDS);
    safetensors(dir, "words.vec");
    let want = json(dir, "similar king --in words.vec --json");
    assert_eq!(want["item"], "king");
    assert_eq!(items(&want, "similar"), ["kings", "man", "queen", "woman", "state", "nothing"]);
    assert_eq!(want["similar"][5]["score"], 0.0, "zeros are near to nothing");
    for args in ["words.safetensors", "words.safetensors --map", "words.safetensors --table embeddings"] {
        assert_eq!(json(dir, &format!("similar king --json --in {args}")), want, "{args}");
    }
    assert_eq!(
        succeed(dir, "similar man --model words.vec --top 2"),
        "\
nearest to word man:
      word     cosine
   1  king     0.8944
   2  kings    0.8944
"
    );
    let dots = json(dir, "similar man --in words.vec --metric dot --top 3 --json");
    assert_eq!(items(&dots, "similar"), ["kings", "state", "king"]);
    let errors = fail(dir, "similar king --in words.vec --map", 1);
    assert!(errors.starts_with("error: words.vec: fasttext files have no table to map; "), "{errors}");
    assert!(fail(dir, "similar king --in words.vec --metric l2", 2).contains("expected one of cosine, dot"));
}

#[test]
fn many_words_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "words.vec", WORDS);
    let many: String = ["king\r\n", "man\n", "\n"].concat().repeat(40);
    let output = with_input(dir, "similar --in words.vec --top 1 --json", many.as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 80);
    assert_eq!((items(&lines[78], "similar"), items(&lines[79], "similar")), (vec!["kings"], vec!["king"]));
    let output = with_input(dir, "similar --in words.vec --top 1", b"king\nman\n");
    assert!(text(&output.stdout).contains("\n\nnearest to word man:\n"), "{}", text(&output.stdout));
    let output = with_input(dir, "similar --in words.vec", b"king\n\xff\n");
    assert_eq!(text(&output.stderr), "error: standard input: line 2: stream did not contain valid UTF-8\n");
}

#[test]
fn what_is_missing_is_named_or_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "words.vec", WORDS);
    let errors = fail(dir, "similar kign zebra --in words.vec", 1);
    assert_eq!(
        errors,
        "\
error: no word `kign` among the 7 words of words.vec; perhaps one of these was meant:
  king
  kings
no word `zebra` among the 7 words of words.vec
"
    );
    let output = hotrow(dir, "lookup words.vec zebra man --skip-missing");
    assert_eq!(text(&output.stdout), "man 1 1\n");
    assert_eq!(text(&output.stderr), "note: skipped word `zebra`: words.vec does not have it\n");
    let many: String = (0..40).map(|k| format!("{k}\n")).collect();
    let output = with_input(dir, "lookup words.vec", many.as_bytes());
    assert!(
        text(&output.stderr).ends_with("no word `9` among the 7 words of words.vec\nand 30 more\n"),
        "{}",
        text(&output.stderr)
    );
    assert!(fail(dir, "lookup none.vec a", 1).starts_with("error: none.vec: cannot "));
}

#[test]
fn rows_come_as_text_json_and_arrays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "words.vec", WORDS);
    assert_eq!(succeed(dir, "lookup words.vec state king"), "state 5 0.5\nking 1 3\n");
    assert_eq!(succeed(dir, "lookup words.vec --by-row 6 0"), "state 5 0.5\nking 1 3\n");
    assert_eq!(json(dir, "lookup words.vec state --json"), json!({"word": "state", "row": 6, "vector": [5.0, 0.5]}));
    assert_eq!(succeed(dir, "lookup words.vec state man --format npy -o some.npy"), "");
    assert_eq!(hotrow(dir, "lookup words.vec state man --format npy").stdout, fs::read(dir.join("some.npy")).unwrap());
    assert_eq!(succeed(dir, "lookup some.npy 1 0"), "1 1 1\n0 5 0.5\n");
    assert_eq!(json(dir, "lookup some.npy 1 --json"), json!({"row": 1, "vector": [1.0, 1.0]}));
    let errors = fail(dir, "lookup some.npy 2", 1);
    assert_eq!(errors, "error: no row `2` among the 2 rows of some.npy, which have no names but numbers from 0\n");
    assert_eq!(json(dir, "similar 0 --in some.npy --json")["similar"][0]["item"], "1");
    assert_eq!(succeed(dir, "lookup words.vec man -o man.txt"), "");
    assert_eq!(fs::read_to_string(dir.join("man.txt")).unwrap(), "man 1 1\n");
    let output = with_input(dir, "lookup words.vec", b"man\nking\n");
    assert_eq!(text(&output.stdout), "man 1 1\nking 1 3\n");
}

#[test]
fn analogies_are_sums_of_directions() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "words.vec", WORDS);
    let answer = json(dir, "analogy words.vec king man woman --json");
    assert_eq!((&answer["positive"], &answer["negative"]), (&json!(["king", "woman"]), &json!(["man"])));
    assert_eq!(items(&answer, "nearest")[0], "queen");
    assert_eq!(items(&answer, "nearest").len(), 4, "what was given is no answer");
    assert_eq!(json(dir, "analogy words.vec --positive king woman --negative man --json"), answer);
    let output = with_input(dir, "analogy words.vec --json", b"king man woman\nqueen woman man\n");
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]), (2, &answer));
    assert!(succeed(dir, "analogy words.vec king man woman").starts_with("nearest to king + woman - man:\n"));
    assert!(fail(dir, "analogy words.vec king man", 1).contains("an analogy has three words"));
    assert!(fail(dir, "analogy words.vec king man woman --positive queen", 2).contains("cannot be used with"));
}

#[test]
fn checkpoints_have_tables_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (films, users) = (Table::from_slice(&[1.0f32, 0.0, 1.0, 1.0], 2, 2).unwrap(), Table::<f32>::zeros(3, 2).unwrap());
    let ids = ["alien", "amour"].map(str::to_owned);
    let save = |folder: &str, snapshot: Snapshot<'_>| Checkpoints::open(dir.join(folder)).save(&snapshot).map(|_| ()).unwrap();
    save("one", Snapshot::new(1).table("films", &films).unwrap().ids("films", &ids).unwrap());
    save("two", Snapshot::new(1).table("films", &films).unwrap().table("users", &users).unwrap());
    assert_eq!(json(dir, "similar alien --in one --json")["similar"][0]["item"], "amour");
    assert_eq!(succeed(dir, "lookup two --table films 1"), "1 1 1\n");
    let errors = fail(dir, "lookup two 1", 1);
    assert_eq!(errors, "error: two: the checkpoint has the tables `films`, `users`: choose one with --table\n");
    let errors = fail(dir, "lookup two 1 --table items", 1);
    assert_eq!(errors, "error: two: the checkpoint has no table `items`; it has `films`, `users`\n");
    assert!(fail(dir, "similar alien --in one --map", 1).contains("--map is for embedding files"));
}

/// Files of gensim, which are not kept here: `HOTROW_DATA` is the folder that has them.
#[test]
fn neighbours_in_real_files_agree_with_the_plain_loop() {
    let Some(folder) = std::env::var_os("HOTROW_DATA").map(PathBuf::from) else {
        println!("skipped: HOTROW_DATA is not set");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for name in ["lee_fasttext.vec", "similarity.bin", "euclidean_vectors.bin"] {
        let path = folder.join(name);
        let mut rows = open_rows(&path, &RowOptions::default()).unwrap();
        let (mut block, mut values, mut words) = (Block::new(DType::F32), Vec::new(), Vec::new());
        while rows.read(&mut block).unwrap() > 0 {
            let Values::F32(some) = &block.values else { panic!("{name}: f32") };
            values.extend_from_slice(some);
            words.append(&mut block.words);
        }
        let table = Table::from_slice(&values, words.len(), rows.info().dim).unwrap();
        for row in (0..words.len()).step_by(words.len() / 20) {
            let args = ["similar", &words[row], "--in", path.to_str().unwrap(), "--json"];
            let output = command(dir.path(), args).output().unwrap();
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            let want = reference::nearest(table.view(), table.row(row).unwrap(), 10, Metric::Cosine, &[row as u32]);
            let want: Vec<(&str, f32)> = want.iter().map(|near| (&*words[near.row as usize], near.score)).collect();
            let got = answer["similar"].as_array().unwrap().iter();
            let got: Vec<(&str, f32)> =
                got.map(|near| (near["item"].as_str().unwrap(), near["score"].as_f64().unwrap() as f32)).collect();
            assert_eq!(got, want, "{name}: {}", words[row]);
        }
    }
}
