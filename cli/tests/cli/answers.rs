//! Recommendations and neighbours from a trained model.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::program::{camps, camps_inter, command, fail, json, succeed, text, write};
use tempfile::TempDir;

fn trained() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.inter", camps_inter());
    let titles: String = (0..20).map(|item| format!("i{item}|Item {item}, The (19{item:02})|x\n")).collect();
    write(dir.path(), "u.item", titles);
    succeed(dir.path(), "train a.inter --items u.item --dim 8 --epochs 60 --out hotrow-model");
    dir
}

#[test]
fn recommendations_leave_out_what_was_seen_and_follow_tastes() {
    let dir = trained();
    for user in 0..24 {
        let name = format!("u{user}");
        let answer = json(dir.path(), &format!("recommend --user {name} --top 99 --json"));
        assert_eq!(answer["user"], name.as_str());
        let items = answer["recommendations"].as_array().unwrap();
        let ids: Vec<_> = items.iter().map(|item| item["item"].as_str().unwrap()).collect();
        let all = camps();
        let seen: HashSet<_> = all.iter().filter(|(who, ..)| *who == name).map(|(_, item, _)| item.as_str()).collect();
        assert!(ids.iter().all(|id| !seen.contains(id)), "{name}");
        assert_eq!(ids.len() + seen.len(), 20);
        let own: usize =
            items[..2].iter().filter(|item| item["item"].as_str().unwrap()[1..].parse::<usize>().unwrap() % 2 == user % 2).count();
        assert_eq!(own, 2, "{name}: {answer}");
        for (place, pair) in items.windows(2).enumerate() {
            assert_eq!(pair[0]["rank"], place + 1);
            assert!(pair[0]["score"].as_f64() >= pair[1]["score"].as_f64());
        }
    }
}

#[test]
fn neighbours_are_of_the_same_camp() {
    let dir = trained();
    let answer = json(dir.path(), "similar i4 --top 9 --json");
    assert_eq!(answer["item"], "i4");
    assert_eq!(answer["title"], "Item 4, The (1904)");
    let near = answer["similar"].as_array().unwrap();
    assert_eq!(near.len(), 9);
    for item in near {
        assert_eq!(item["item"].as_str().unwrap()[1..].parse::<usize>().unwrap() % 2, 0);
        let cosine = item["score"].as_f64().unwrap();
        assert!((-1.0..=1.0 + 1e-6).contains(&cosine));
    }
    for title in ["Item 4, The (1904)", "item 4, the (1904)", "ITEM 4, THE", "the item 4", "item 4"] {
        let output = command(dir.path(), ["similar", title, "--top", "9", "--json"]).output().unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(), answer, "{title}");
    }
}

#[test]
fn tables_are_for_people() {
    let dir = trained();
    let output = succeed(dir.path(), "recommend --user u1 --top 2");
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0], "for user u1:");
    assert!(lines[2].starts_with("   1  Item "), "{output}");
    let output = succeed(dir.path(), "similar i0 --top 1");
    assert!(output.starts_with("nearest to Item 0, The (1900) (item i0):\n"), "{output}");
}

#[test]
fn what_is_unknown_brings_suggestions() {
    let dir = trained();
    let output = command(dir.path(), ["similar", "Itme 4"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.starts_with("error: no item `Itme 4` among the 20 items of the model"), "{errors}");
    assert!(errors.contains("\n  Item 4, The (1904)  (item i4)\n"), "{errors}");
    let errors = fail(dir.path(), "recommend --user u99", 1);
    assert!(errors.starts_with("error: no user `u99` among the 24 users of the model; perhaps"), "{errors}");
}

#[test]
fn a_missing_or_damaged_model_is_explained() {
    let dir = trained();
    let errors = fail(dir.path(), "recommend --user u1 --model elsewhere", 1);
    assert!(errors.starts_with("error: elsewhere/model.json: cannot read the file: "), "{errors}");
    assert!(errors.ends_with("\n  make a model with `hotrow train`, or say where it is with --model\n"), "{errors}");
    let tables = dir.path().join("hotrow-model/model.safetensors");
    let mut bytes = fs::read(&tables).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(tables, bytes).unwrap();
    let errors = fail(dir.path(), "similar i1", 1);
    assert!(errors.contains("model.safetensors: its checksum is not the one in model.json"), "{errors}");
}

/// Standard output that nobody reads.
fn unheard(dir: &Path, args: &str) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(dir, args.split(' '))
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_reader_who_leaves_is_no_failure() {
    let dir = trained();
    for args in ["recommend --user u1", "similar i1 --json", "train a.inter --epochs 1", "--help"] {
        assert_eq!(unheard(dir.path(), args), (Some(0), String::new()), "{args}");
    }
}

#[test]
fn wrong_usage_has_its_own_code() {
    let dir = tempfile::tempdir().unwrap();
    for (args, wanted) in [
        ("train --dim 0", "invalid value '0' for '--dim <N>': it must be a whole number from 1 to 65536"),
        ("train --lr -1", "invalid value '-1' for '--lr <X>': it must be a number above 0"),
        ("train --l2 nan", "invalid value 'nan' for '--l2 <X>': it must be a number that is 0 or above"),
        ("train --dtype f64", "invalid value 'f64' for '--dtype <DTYPE>'"),
        ("train --level sse9", "invalid value 'sse9' for '--level <LEVEL>': this machine has: portable"),
        ("train --items u.item", "the following required arguments were not provided:\n  <FILE>"),
        ("recommend", "the following required arguments were not provided:\n  --user <ID>"),
        ("recommend --user 1 --top 0", "it must be a whole number from 1 to"),
        ("sell", "unrecognized subcommand 'sell'"),
    ] {
        let errors = fail(dir.path(), args, 2);
        assert!(errors.contains(wanted), "{args}: {errors}");
    }
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    let help = succeed(dir.path(), "train --help");
    assert!(help.contains("hotrow train ml-100k.inter --items ml-100k.item"), "{help}");
    assert!(succeed(dir.path(), "--help").contains("Exit codes: 0"));
}
