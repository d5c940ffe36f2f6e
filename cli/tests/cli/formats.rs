//! Files of every format, good and bad.

use crate::program::{camps, camps_inter, fail, hotrow, json, succeed, text, write};

const TRAIN: &str = "--epochs 2 --dim 4 --json --out model";

/// Everything of a result that does not measure time.
fn result(mut value: serde_json::Value) -> serde_json::Value {
    let fields = value.as_object_mut().unwrap();
    fields.remove("train_seconds_per_epoch").unwrap();
    fields.remove("samples_per_second").unwrap();
    value
}

#[test]
fn every_format_trains_to_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let line = |gap: &str, end: &str| -> String {
        camps().iter().map(|(user, item, time)| [user.as_str(), item, "4", &time.to_string()].join(gap) + end).collect()
    };
    write(dir, "a.inter", camps_inter());
    write(dir, "u.data", line("\t", "\n"));
    write(dir, "ratings.dat", line("::", "\n"));
    let csv = String::from("userId,movieId,rating,timestamp\r\n") + &line(",", "\r\n");
    write(dir, "ratings.csv", [b"\xef\xbb\xbf", csv.as_bytes()].concat());
    write(dir, "spaces.txt", line("  ", "\n\n"));
    write(dir, "commas.txt", line(", ", "\n").trim_end());
    let mut expected = None;
    for (file, format) in [
        ("a.inter", "inter"),
        ("u.data", "u.data"),
        ("ratings.dat", "ratings.dat"),
        ("ratings.csv", "ratings.csv"),
        ("spaces.txt", "pairs"),
        ("commas.txt", "pairs"),
    ] {
        let found = result(json(dir, &format!("train {file} {TRAIN}")));
        let told = result(json(dir, &format!("train {file} --format {format} {TRAIN}")));
        assert_eq!(found, told, "{file}");
        let tables = std::fs::read(dir.join("model/model.safetensors")).unwrap();
        let expected = expected.get_or_insert((found.clone(), tables.clone()));
        assert_eq!((&found, &tables), (&expected.0, &expected.1), "{file}");
    }
    let (result, _) = expected.unwrap();
    assert_eq!(result["users"], 24);
    assert_eq!(result["items"], 20);
    assert_eq!(result["interactions"], camps().len());
    assert_eq!(result["training_interactions"], camps().len() - 24);
}

#[test]
fn pairs_without_times_are_enough_and_standard_input_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let pairs: String = camps().iter().map(|(user, item, _)| format!("{user} {item}\n")).collect();
    let file = write(dir.path(), "pairs.txt", pairs);
    let from_file = result(json(dir.path(), &format!("train pairs.txt {TRAIN}")));
    let output = crate::program::command(dir.path(), format!("train - {TRAIN}").split(' '))
        .stdin(std::fs::File::open(file).unwrap())
        .output()
        .unwrap();
    let from_input = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(from_file, result(from_input));
}

#[test]
fn bad_lines_are_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (content, wanted) in [
        (&b"1\t2\t3\t4\n1\t3\tx\t5\n"[..], "bad.txt: line 2: the rating `x` is not a number"),
        (b"a b\n\nc\n", "bad.txt: line 3: it has 1 field\n  the line: c\n  expected: 2 fields"),
        (b"a::b::1::2\na::b::1\n", "bad.txt: line 2: it has 3 fields\n  the line: a::b::1\n"),
        (b"a b\n\xff c\n", "bad.txt: line 2: byte 1 is 0xff, which is not UTF-8"),
        (b"", "bad.txt: the file holds no data"),
        (b"user_id:token\trating:float\n", "bad.txt: line 1: the header names no user or no item column"),
        (b"a b\na b\n", "there is nothing to learn"),
    ] {
        write(dir, "bad.txt", content);
        let errors = fail(dir, &format!("train bad.txt {TRAIN}"), 1);
        assert!(errors.starts_with(&format!("error: {wanted}")), "{errors}");
        assert!(!dir.join("model/model.json").exists());
    }
    write(dir, "good.txt", "a b\na c\n");
    let errors = fail(dir, &format!("train good.txt --format u.data {TRAIN}"), 1);
    assert!(errors.contains("good.txt: line 1: it has 1 field"), "{errors}");
    let errors = fail(dir, &format!("train none.txt {TRAIN}"), 1);
    assert!(errors.starts_with("error: none.txt: cannot read the file: "), "{errors}");
}

#[test]
fn titles_of_every_format_reach_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.inter", camps_inter());
    write(dir, "a.item", "item_id:token\tmovie_title:token_seq\trelease_year:token\ni0\tOne, \"The\"\t1999\n");
    write(dir, "u.item", b"i0|One, \"The\" (1999)|x\nnone|Caf\xe9|x\n");
    write(dir, "movies.dat", "i0::One, \"The\" (1999)::x\n");
    write(dir, "movies.csv", "movieId,title,genres\ni0,\"One, \"\"The\"\" (1999)\",x\n");
    for items in ["a.item", "u.item", "movies.dat", "movies.csv"] {
        succeed(dir, &format!("train a.inter --items {items} {TRAIN}"));
        let answer = json(dir, "similar i0 --model model --json");
        assert_eq!(answer["title"], "One, \"The\" (1999)", "{items}");
        assert_eq!(answer["similar"][0]["title"], serde_json::Value::Null);
    }
    write(dir, "other.item", "x|y\n");
    let output = hotrow(dir, &format!("train a.inter --items other.item {TRAIN}"));
    assert!(output.status.success());
    let warning = "warning: other.item: none of its ids is an item of the interactions\n";
    assert_eq!(text(&output.stderr), warning);
    write(dir, "bad.item", "x|y\nz\n");
    let errors = fail(dir, &format!("train a.inter --items bad.item {TRAIN}"), 1);
    assert!(errors.starts_with("error: bad.item: line 2: it has no title"), "{errors}");
}
