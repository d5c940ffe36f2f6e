//! Factorization machines.

use std::fs;
use std::path::Path;

use crate::program::{fail, hotrow, json, succeed, text, write};

/// Lines whose label depends on a pair of features, which no weights of single features can tell: users of one kind click on
/// items of the same kind. 12 users and 12 items, the items at 100 and on, and a value that says nothing.
fn clicks(no: &str, from: usize, count: usize) -> String {
    let line = |k: usize| {
        let (user, item) = (k * 7 % 12, (k * 5 + k / 12) % 12);
        let label = if user % 2 == item % 2 { "1" } else { no };
        format!("{label} {user}:1 {}:1 500:{}\n", 100 + item, (k % 5) as f32 / 10.0)
    };
    (from..from + count).map(line).collect()
}

const TRAIN: &str = "train --model fm a.libfm --dim 4 --epochs 15 --batch 8 --lr 0.3 --json --out m";

#[test]
fn pairs_of_features_are_learnt_and_measured() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.libfm", clicks("-1", 0, 600));
    write(dir, "b.libfm", clicks("0", 600, 200) + "1 77:1 77:1 78:1\n");
    let result = json(dir, &format!("{TRAIN} --valid b.libfm --seed 3"));
    let number = |key: &str| result[key].as_f64().unwrap_or_else(|| panic!("{key}: {result}"));
    assert!(number("auc") > 0.97, "{result}");
    assert!(number("log_loss") < 0.2 && number("loss") < 0.2, "{result}");
    assert!((number("guess_log_loss") - 0.693).abs() < 0.01, "{result}");
    for (key, value) in [
        ("epochs", 15),
        ("examples", 600),
        ("valid_examples", 201),
        ("features", 25),
        ("unknown_features", 2),
        ("unknown_entries", 2),
        ("dim", 4),
        ("seed", 3),
    ] {
        assert_eq!(result[key], value, "{key}");
    }
    assert_eq!(result["optimizer"], "adagrad");
    assert_eq!(result["epoch_auc"].as_array().unwrap().len(), 15);
    assert_eq!(result["epoch_auc"][14], result["auc"]);
    assert_eq!(result["epoch_log_loss"][14], result["log_loss"]);

    // Without a file to measure with, the last tenth is.
    let result = json(dir, TRAIN);
    assert_eq!((&result["examples"], &result["valid_examples"]), (&540.into(), &60.into()));
}

#[test]
fn every_optimizer_learns() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.libfm", clicks("0", 0, 600));
    for optimizer in ["sgd", "adagrad", "rowwise_adagrad", "adam", "adamw", "partial_rowwise_adam", "rmsprop", "ftrl"] {
        let result = json(dir, &format!("train --model fm a.libfm --batch 8 --dim 4 --epochs 40 --optimizer {optimizer} --json"));
        assert_eq!(result["optimizer"], optimizer);
        assert!(result["auc"].as_f64().unwrap() > 0.9, "{result}");
    }
}

fn model(dir: &Path, args: &str) -> (Vec<u8>, Vec<u8>) {
    succeed(dir, &format!("train --model fm large.libfm --epochs 2 --dim 20 {args} --json --out m"));
    let read = |name| fs::read(dir.join("m").join(name)).unwrap();
    (read("model.safetensors"), read("model.json"))
}

#[test]
fn threads_and_levels_change_nothing_and_the_seed_does() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "large.libfm", clicks("-1", 0, 20_000));
    // The batch of 16384 is large enough for the engine to share it among threads.
    for settings in ["--optimizer adam --dtype f32", "--dtype bf16", "--dtype f16 --optimizer ftrl --batch 16384"] {
        let expected = model(dir, &format!("{settings} --threads 1"));
        for place in ["--threads 2", "--threads 3", "--level portable", "--threads 3 --level portable"] {
            assert!(model(dir, &format!("{settings} {place}")) == expected, "{settings} {place}");
        }
        assert!(model(dir, &format!("{settings} --seed 1")).0 != expected.0);
    }
}

#[test]
fn people_get_a_table_and_features_have_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.libfm", clicks("-1", 0, 600));
    let output = succeed(dir, &TRAIN.replace(" --json", ""));
    for wanted in [
        "a.libfm: 540 examples, ",
        " % of them yes; 25 features, 1,620 in all\n",
        "the last tenth, held out: 60 examples, ",
        "\n15 epochs of ",
        "\nepoch      loss       AUC  log loss\n    1 ",
        "(one guess for all)\n",
        "saved the model in m; now try:\n  hotrow similar --model m 0\n",
    ] {
        assert!(output.contains(wanted), "{wanted:?} is not in {output}");
    }
    let answer = json(dir, "similar 3 --model m --top 5 --json");
    assert_eq!(answer["item"], "3");
    for near in answer["similar"].as_array().unwrap() {
        let feature: usize = near["item"].as_str().unwrap().parse().unwrap();
        assert_eq!(feature % 2, 1, "{answer}");
    }
    assert!(succeed(dir, "similar 100 --model m --top 1").starts_with("nearest to feature 100:\n"));
    let errors = fail(dir, "similar 99 --model m", 1);
    assert!(errors.starts_with("error: no feature `99` among the 25 features of the model"), "{errors}");
    let errors = fail(dir, "recommend --user 3 --model m", 1);
    assert!(errors.starts_with("error: m/model.json: the model is a factorization machine, which tells yes from no"), "{errors}");

    // The file of tables is of the training that `model.json` tells of.
    let tables = fs::read(dir.join("m/model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&tables).unwrap();
    for (name, shape) in [("bias", [1, 1]), ("feature_weight.weight", [25, 1]), ("feature_embedding.weight", [25, 4])] {
        assert_eq!(file.tensor(name).unwrap().shape(), shape, "{name}");
    }
    fs::write(dir.join("m/model.safetensors"), &tables[1..]).unwrap();
    assert!(fail(dir, "similar 3 --model m", 1).contains("its checksum is not the one in model.json"));
}

#[test]
fn bad_files_are_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "good.libfm", "1 1:1\n0 2:1\n1 1:1\n0 3:1\n");
    for (content, wanted) in [
        (
            &b"1 1:1\n-1 2:x\n"[..],
            "bad.libfm: line 2: column 6: the value `x` of feature 2 is not a finite number\n  the line: -1 2:x\n",
        ),
        (b"1 1:1\n3 2:1\n", "bad.libfm: line 2: column 1: the label `3` is not 1, -1 or 0\n"),
        (b"1 1:1\n\n1 qid:2 2:1\n", "bad.libfm: line 3: column 3: query groups (`qid:`) are for ranking"),
        (b"0 1:1\n-1 2:1\n", "bad.libfm: line 2: the label is -1, but that of line 1 is 0; "),
        (b"1 2147483649:1\n", "bad.libfm: line 1: column 3: the index `2147483649` is no whole number up to 2147483648"),
        (b"", "bad.libfm: the file holds no data: expected a label"),
        (b"1 1:1\n1 2:1\n1 3:1\n", "bad.libfm: there is nothing to learn: all of the 2 examples to learn from are labelled yes"),
        (b"1\n0\n1\n0\n", "bad.libfm: there is nothing to learn: no example has a feature"),
    ] {
        write(dir, "bad.libfm", content);
        let errors = fail(dir, "train --model fm bad.libfm --out m", 1);
        assert!(errors.starts_with(&format!("error: {wanted}")), "{errors}");
        assert!(!dir.join("m/model.json").exists());
    }
    write(dir, "bad.libfm", "1 1:1\n1 1\n");
    let errors = fail(dir, "train --model fm good.libfm --valid bad.libfm --out m", 1);
    assert!(errors.starts_with("error: bad.libfm: line 2: column 3: `1` is no pair `index:value`"), "{errors}");
    let errors = fail(dir, "train --model fm good.libfm --valid none.libfm --out m", 1);
    assert!(errors.starts_with("error: none.libfm: cannot read the file: "), "{errors}");
    write(dir, "bad.libfm", "1 1:1e30 2:1e30\n0 1:1e30 2:1\n1 1:1\n");
    let errors = fail(dir, "train --model fm bad.libfm --out m", 1);
    assert!(errors.starts_with("error: the numbers of the model are no longer finite after epoch 1"), "{errors}");
    assert!(!dir.join("m/model.json").exists());
}

#[test]
fn options_that_do_not_go_together_are_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    for (args, wanted) in [
        ("train --model fm", "error: --model fm needs a FILE of examples: on each line a label (1 or -1, or 1 or 0)"),
        ("train --model fm a --items b", "error: --items is for --model mf\n"),
        ("train --model fm a --format pairs", "error: --format is for --model mf\n"),
        ("train a --valid b", "error: --valid is for --model fm\n"),
        ("train --model gbdt", "error: invalid value 'gbdt' for '--model <MODEL>'"),
        ("train --optimizer sgdd", "error: invalid value 'sgdd' for '--optimizer <NAME>'"),
    ] {
        let errors = fail(dir.path(), args, 2);
        assert!(errors.starts_with(wanted), "{args}: {errors}");
        assert!(errors.ends_with("For more information, try '--help'.\n") || errors.ends_with("try 'hotrow train --help'.\n"));
    }
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn standard_input_is_a_file_of_examples() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let file = write(dir, "a.libfm", clicks("-1", 0, 100));
    let output = crate::program::command(dir, "train --model fm - --epochs 1 --dim 2 --json --out m".split(' '))
        .stdin(fs::File::open(file).unwrap())
        .output()
        .unwrap();
    let result: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(result["examples"], 90);
    // One line leaves nothing to measure with, and one label nothing to learn.
    write(dir, "one.libfm", "1 1:1\n");
    let output = hotrow(dir, "train --model fm one.libfm --out m");
    assert_eq!(output.status.code(), Some(1));
}
