//! What training gives, and what it does not depend on.

use std::fs;
use std::path::Path;

use crate::program::{camps_inter, fail, json, succeed, write};
use serde_json::Value;

#[test]
fn the_result_has_its_fields_and_the_model_learns() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.inter", camps_inter());
    let result = json(dir.path(), "train a.inter --dim 8 --epochs 60 --seed 3 --json");
    let number = |key: &str| result[key].as_f64().unwrap_or_else(|| panic!("{key}: {result}"));
    assert_eq!(result["epochs"], 60);
    assert_eq!(result["seed"], 3);
    assert_eq!(result["dim"], 8);
    assert_eq!(result["dtype"], "f32");
    assert_eq!(result["best_hr_at_10"], Value::Null);
    assert_eq!(result["model"], "hotrow-model");
    assert!(number("train_seconds_per_epoch") > 0.0);
    assert!(number("samples_per_second") > 0.0);
    // A user's camp leaves three unseen items and the other camp ten, so whoever tells the camps apart always hits.
    assert_eq!(number("hr_at_10"), 1.0);
    assert!(number("ndcg_at_10") > number("popularity_ndcg_at_10"));
    assert!(number("popularity_hr_at_10") <= 1.0);
}

/// A file of 20,000 interactions, more than are drawn in one piece, in a pattern that repeats nothing.
fn large() -> String {
    (0..250u32)
        .flat_map(|user| (0..80).map(move |step| format!("{user} {}\n", (user * 31 + step * (2 * user + 1)) % 512)))
        .collect()
}

fn model(dir: &Path, args: &str) -> (Vec<u8>, Vec<u8>) {
    succeed(dir, &format!("train large.txt --epochs 2 --dim 20 {args} --json --out model"));
    let read = |name| fs::read(dir.join("model").join(name)).unwrap();
    (read("model.safetensors"), read("model.json"))
}

#[test]
fn threads_and_levels_change_nothing_and_the_seed_does() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "large.txt", large());
    // The batch of 16384 is large enough for the engine to share it among threads.
    for settings in ["--dtype f32", "--dtype bf16", "--dtype f16 --batch 16384"] {
        let expected = model(dir, &format!("{settings} --threads 1"));
        for place in ["--threads 2", "--threads 3", "--level portable", "--threads 3 --level portable"] {
            assert!(model(dir, &format!("{settings} {place}")) == expected, "{settings} {place}");
        }
        assert!(model(dir, &format!("{settings} --seed 1")).0 != expected.0);
    }
}

#[test]
fn the_tables_have_their_names_types_and_shapes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.inter", camps_inter());
    for (dtype, stored) in [("f32", safetensors::Dtype::F32), ("f16", safetensors::Dtype::F16), ("bf16", safetensors::Dtype::BF16)]
    {
        succeed(dir, &format!("train a.inter --dim 6 --epochs 1 --dtype {dtype} --out model"));
        let bytes = fs::read(dir.join("model/model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let users = file.tensor("user_embedding.weight").unwrap();
        let items = file.tensor("item_embedding.weight").unwrap();
        assert_eq!((users.dtype(), users.shape()), (stored, &[24, 6][..]));
        assert_eq!((items.dtype(), items.shape()), (stored, &[20, 6][..]));
    }
}

#[test]
fn the_market_knows_how_good_a_model_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let result = json(dir, "train --epochs 3 --dim 16 --json");
    let number = |key: &str| result[key].as_f64().unwrap();
    assert!(number("best_hr_at_10") > 0.35);
    // Three short epochs learn less than the default, and still far more than popularity.
    assert!(number("hr_at_10") > 2.0 * number("popularity_hr_at_10"));
    assert!(number("hr_at_10") < number("best_hr_at_10"));
    assert!(number("ndcg_at_10") < number("best_ndcg_at_10"));

    let advice = succeed(dir, "recommend --user 42");
    assert!(advice.starts_with("for user 42 (likes "), "{advice}");
    assert_eq!(advice.lines().count(), 12);
    let near = crate::program::command(dir, ["similar", "SMOKED TROUT"]).output().unwrap();
    assert!(crate::program::text(&near.stdout).starts_with("nearest to Smoked Trout (fish) (item 301):\n"));
}

#[test]
fn people_get_a_table() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.inter", camps_inter());
    let output = succeed(dir.path(), "train a.inter --epochs 2 --out m");
    for wanted in [
        "a.inter (inter): 24 users, 20 items, 192 interactions\n",
        "training on 168, with the last item of 24 users held out\n",
        "HR@10   NDCG@10\nthis model ",
        "\npopularity ",
        "saved the model in m; now try:\n  hotrow recommend --model m --user u0\n",
    ] {
        assert!(output.contains(wanted), "{wanted:?} is not in {output}");
    }
    assert!(!output.contains("best reachable"));
}

#[test]
fn a_failure_leaves_the_earlier_model_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.inter", camps_inter());
    succeed(dir, "train a.inter --epochs 2 --out m");
    let read = |name: &str| fs::read(dir.join("m").join(name)).unwrap();
    let before = (read("model.json"), read("model.safetensors"));
    let errors = fail(dir, "train a.inter --epochs 9 --lr 1e30 --out m", 1);
    assert!(errors.starts_with("error: the embeddings are no longer finite after epoch "), "{errors}");
    assert_eq!((read("model.json"), read("model.safetensors")), before);
    assert_eq!(fs::read_dir(dir.join("m")).unwrap().count(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_is_found_out_before_the_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "taken", "");
    let errors = fail(dir.path(), "train none.txt --out taken", 1);
    assert_eq!(errors, "error: --out taken: it exists and is no folder\n");
    let errors = fail(dir.path(), "train none.txt --out taken/model", 1);
    assert!(errors.starts_with("error: --out taken/model: cannot make the folder: "), "{errors}");
}
