//! convert, select, merge and shard.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::program::{command, fail, hotrow, json, succeed, text, write};

const ANIMALS: &str = "3 2\ncat 0.5 -1\ndog 0.25 2\neel 1e-7 nan\n";

/// The program with this on standard input.
fn with_input(folder: &Path, args: &str, input: &[u8]) -> Output {
    let mut child = command(folder, args.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().expect("standard input").write_all(input);
    child.wait_with_output().expect("the program ends")
}

fn read(folder: &Path, name: &str) -> String {
    text(&fs::read(folder.join(name)).expect("a file"))
}

/// Five rows of no numbers.
#[test]
fn rows_without_a_number_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let header = br#"{"t":{"dtype":"F32","shape":[5,0],"data_offsets":[0,0]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    fs::write(at.join("none.safetensors"), file).unwrap();
    for args in [
        "convert none.safetensors a.npy",
        "select none.safetensors a.safetensors --ids 1",
        "merge none.safetensors none.safetensors a.safetensors",
        "shard none.safetensors parts --rows 2",
        "lookup none.safetensors 1",
        "similar 1 --in none.safetensors",
    ] {
        let said = fail(at, args, 1);
        assert!(said.contains("rows have at least one number, and here they have none"), "{args}: {said}");
    }
    assert!(succeed(at, "info none.safetensors").contains("[5, 0]"));
}

#[test]
fn a_file_goes_through_every_format_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "a.txt", ANIMALS);
    assert_eq!(succeed(at, "convert a.txt a.npz"), "wrote a.npz: 3 rows of 2 f32\n");
    succeed(at, "convert a.npz a.safetensors");
    succeed(at, "convert a.safetensors a.csv");
    assert_eq!(read(at, "a.csv"), "word,v1,v2\ncat,0.5,-1\ndog,0.25,2\neel,0.0000001,nan\n");
    succeed(at, "convert a.csv a.bin");
    succeed(at, "convert a.bin a.vec");
    succeed(at, "convert a.vec a.glove");
    succeed(at, "convert a.glove a.tsv");
    let summary = json(at, "convert a.tsv b.txt --json");
    let expected = r#"{"files":["b.txt"],"format":"word2vec","rows":3,"dim":2,"dtype":"f32","words":true,"notes":[]}"#;
    assert_eq!(summary, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    // Where the number of rows is not known at the start, there is room for it.
    assert_eq!(read(at, "b.txt"), "3          2\ncat 0.5 -1\ndog 0.25 2\neel 0.0000001 nan\n");
    succeed(at, "convert b.txt c.txt");
    assert_eq!(read(at, "c.txt"), "3 2\ncat 0.5 -1\ndog 0.25 2\neel 0.0000001 nan\n");
    let left: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "no temporary files: {left:?}");
}

#[test]
fn notes_say_what_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "a.txt", "3 2\ncat 0.5 -1\ndog 0.1 2\ncat 3 4\n");
    let output = hotrow(at, "convert a.txt a.npy --dtype f16");
    assert_eq!(text(&output.stdout), "wrote a.npy: 2 rows of 2 f16\n");
    let notes = "note: 1 row is left out, since their words came before; the first such word is `cat`\n\
                 note: npy holds no words, so they are left out; npz and safetensors keep them\n";
    assert_eq!(text(&output.stderr), notes);
    let output = hotrow(at, "convert a.npy b.vec");
    assert_eq!(text(&output.stderr), "note: rows have no words, so their numbers stand for them\n");
    assert_eq!(read(at, "b.vec"), "2 2\n0 0.5 -1 \n1 0.099975586 2 \n");
}

#[test]
fn standard_input_and_output_are_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let output = with_input(at, "convert - - --from word2vec --to tsv", ANIMALS.as_bytes());
    assert_eq!(text(&output.stdout), "word\tv1\tv2\ncat\t0.5\t-1\ndog\t0.25\t2\neel\t0.0000001\tnan\n");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(fs::read_dir(at).unwrap().count(), 0);
    // A magic word tells the format of standard input as well.
    write(at, "a.txt", ANIMALS);
    succeed(at, "convert a.txt a.npz");
    let output = with_input(at, "convert - - --to word2vec", &fs::read(at.join("a.npz")).unwrap());
    assert_eq!(text(&output.stdout), "3 2\ncat 0.5 -1\ndog 0.25 2\neel 0.0000001 nan\n");
    let output = with_input(at, "convert - - --to csv", ANIMALS.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("standard input: neither its name nor its first bytes tell its format; choose one of"));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let output = with_input(at, "convert /dev/stdin a.npz --from word2vec", ANIMALS.as_bytes());
    assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("wrote a.npz: 3 rows of 2 f32\n", ""));
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "a.txt", ANIMALS);
    write(at, "bad.txt", "2 1\ncat 1\ndog x\n");
    assert!(fail(at, "convert a.txt a.unknown", 2).contains("the name a.unknown does not tell a format; choose one with --to"));
    assert!(fail(at, "convert a.txt - --to csv --json", 2).contains("cannot both go to standard output"));
    assert!(fail(at, "convert a.txt a.h5", 2).contains("files of Keras can be read, but not written"));
    assert!(fail(at, "convert a.txt a.npy --dtype f64", 2).contains("f32, f16, bf16"));
    assert!(fail(at, "shard a.txt parts", 2).contains("--rows"));
    assert!(fail(at, "shard a.txt parts --rows 0", 2).contains("--rows"));
    assert!(fail(at, "merge a.txt", 2).contains("required"));
    assert!(fail(at, "select a.txt b.txt --ids 1 --words cat", 2).contains("cannot be used with"));
    assert!(fail(at, "convert none.txt a.npy", 1).starts_with("error: none.txt: cannot open the file: "));
    assert_eq!(fail(at, "convert bad.txt a.npy", 1), "error: bad.txt: line 3, column 5: `x` is no number\n");
    assert!(!at.join("a.npy").exists());
    // A file that is there already stays as it was.
    write(at, "old.csv", "old");
    fail(at, "convert bad.txt old.csv", 1);
    assert_eq!(read(at, "old.csv"), "old");
}

#[test]
fn rows_are_selected_in_the_order_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "a.txt", ANIMALS);
    succeed(at, "select a.txt b.csv --ids 2,0,2");
    assert_eq!(read(at, "b.csv"), "word,v1,v2\neel,0.0000001,nan\ncat,0.5,-1\neel,0.0000001,nan\n");
    succeed(at, "select a.txt b.txt --words dog cat");
    assert_eq!(read(at, "b.txt"), "2 2\ndog 0.25 2\ncat 0.5 -1\n");
    let missing = "error: a.txt has no `cow`, `yak`; --skip-missing leaves out what is not there\n";
    assert_eq!(fail(at, "select a.txt c.txt --words cow dog yak", 1), missing);
    assert!(!at.join("c.txt").exists());
    let output = hotrow(at, "select a.txt c.txt --words cow dog yak --skip-missing --json");
    assert_eq!(text(&output.stderr), "note: a.txt has no `cow`, `yak`\n");
    assert!(text(&output.stdout).contains(r#""rows":1"#));
    assert_eq!(fail(at, "select a.txt c.txt --ids 3", 1), missing.replace("`cow`, `yak`", "`3`"));
    // Words on standard input where rows have words, and numbers where they have none.
    let output = with_input(at, "select a.txt - --to glove", b"eel\n\ndog\n");
    assert_eq!(text(&output.stdout), "eel 0.0000001 nan\ndog 0.25 2\n");
    hotrow(at, "convert a.txt a.npy");
    let output = with_input(at, "select a.npy - --to csv", b"1\n0\n");
    assert_eq!(text(&output.stdout), "0.25,2\n0.5,-1\n");
    let output = with_input(at, "select a.npy - --to csv", b"1\ncat\n");
    let problem = "error: standard input: line 2: `cat` is no number of a row, and rows of this file have no words\n";
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), problem));
    assert_eq!(fail(at, "select a.npy b.npy --words cat", 1), "error: a.npy: its rows have no words; ask for them by number\n");
    let output = with_input(at, "select - b.npy --from word2vec", b"");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn shards_are_joined_to_what_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let rows: Vec<String> = (0..7).map(|row| format!("w{row} {row} {}", row * row)).collect();
    write(at, "a.glove", rows.join("\n") + "\n");
    for (cut, each) in [("--rows 3", vec![3, 3, 1]), ("--parts 3", vec![3, 2, 2]), ("--parts 9", vec![1, 1, 1, 1, 1, 1, 1, 0, 0])] {
        let parts = each.len();
        let summary = json(at, &format!("shard a.glove cut{parts} {cut} --json"));
        let files: Vec<&str> = summary["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
        assert_eq!(files.len(), parts);
        assert_eq!(files[0], format!("cut{parts}/a-00001-of-{parts:05}.safetensors"));
        for (file, rows) in files.iter().zip(&each) {
            let one = json(at, &format!("convert {file} one.npz --json"));
            assert_eq!(one["rows"], *rows, "{file}");
        }
        succeed(at, &format!("merge {} joined.glove", files.join(" ")));
        assert_eq!(read(at, "joined.glove"), read(at, "a.glove"));
        fs::remove_dir_all(at.join(format!("cut{parts}"))).unwrap();
    }
    succeed(at, "shard a.glove text --rows 4 --to fasttext");
    assert_eq!(read(at, "text/a-00002-of-00002.vec"), "3 2\nw4 4 16 \nw5 5 25 \nw6 6 36 \n");
}

#[test]
fn files_that_do_not_fit_together_are_not_joined() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "a.glove", "cat 1 2\ndog 3 4\n");
    write(at, "b.glove", "eel 5 6\ncat 7 8\n");
    write(at, "c.glove", "eel 5 6 7\n");
    write(at, "d.csv", "1,2\n");
    let error = fail(at, "merge a.glove b.glove ab.glove", 1);
    assert_eq!(error, "error: b.glove: the word `cat` came before, in this file or an earlier one\n");
    let output = hotrow(at, "merge a.glove b.glove ab.glove --keep first");
    assert_eq!(text(&output.stderr), "note: 1 row is left out, since its word came before\n");
    assert_eq!(read(at, "ab.glove"), "cat 1 2\ndog 3 4\neel 5 6\n");
    let error = fail(at, "merge a.glove c.glove x.npz", 1);
    assert_eq!(error, "error: c.glove: its rows have 3 values, but those of a.glove have 2\n");
    let error = fail(at, "merge a.glove d.csv x.npz", 1);
    assert_eq!(error, "error: d.csv: a.glove has words, but d.csv has none\n");
    // Elements that differ are widened.
    succeed(at, "convert d.csv e.npy");
    hotrow(at, "convert d.csv f.npy --dtype f16");
    let output = hotrow(at, "merge f.npy e.npy g.npy");
    assert_eq!(text(&output.stderr), "note: the files have different elements, and f32 holds them all\n");
    assert_eq!(text(&output.stdout), "wrote g.npy: 2 rows of 2 f32\n");
}

#[test]
fn words_that_are_not_utf8_are_refused_or_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "a.txt", b"d\xc3\xb6\xffg 1 2\n");
    assert_eq!(fail(at, "convert a.txt a.csv", 1), "error: a.txt: line 1, column 3: the word is not UTF-8 from here on\n");
    let output = hotrow(at, "convert a.txt a.csv --lossy");
    assert_eq!(text(&output.stderr), "note: in 1 word, bytes that are not UTF-8 are replaced by U+FFFD\n");
    assert_eq!(read(at, "a.csv"), "word,v1,v2\ndö\u{fffd}g,1,2\n");
}
