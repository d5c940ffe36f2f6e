//! `train --checkpoint`: stopped by signals, and gone on with.

use std::fs;
use std::path::Path;

use crate::program::{camps_inter, fail, hotrow, json, succeed, text, write};

fn model(dir: &Path, name: &str) -> (Vec<u8>, Vec<u8>) {
    let read = |file| fs::read(dir.join(name).join(file)).unwrap();
    (read("model.safetensors"), read("model.json"))
}

#[test]
fn checkpoints_are_gone_on_with_and_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "a.inter", camps_inter());
    let train = "train a.inter --dim 4 --epochs 6 --optimizer adam --json";
    succeed(dir, &format!("{train} --out whole"));
    succeed(dir, &format!("{train} --out saved --checkpoint run --every 2 --keep 2"));
    assert!(model(dir, "saved") == model(dir, "whole"));
    let mut names: Vec<_> =
        fs::read_dir(dir.join("run")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names[1..], ["step-4.0.1-of-1.safetensors", "step-4.json", "step-6.0.1-of-1.safetensors", "step-6.json"]);

    // From the checkpoint before the last.
    for name in ["step-6.json", "step-6.0.1-of-1.safetensors"] {
        fs::remove_file(dir.join("run").join(name)).unwrap();
    }
    let output = hotrow(dir, &format!("{train} --out resumed --checkpoint run --resume"));
    assert_eq!(text(&output.stderr), "going on with run, which has 4 of 6 epochs behind it\n");
    assert!(output.status.success() && model(dir, "resumed") == model(dir, "whole"));

    let errors = fail(dir, &format!("{train} --checkpoint run"), 1);
    assert!(errors.contains("--checkpoint run: it has checkpoints already: --resume goes on with them"), "{errors}");
    let errors = fail(dir, &format!("{train} --checkpoint run --resume --seed 5"), 1);
    assert!(errors.contains("of another training: --seed is 5 here and 42 there"), "{errors}");
    let mut fewer = camps_inter();
    fewer.truncate(fewer.trim_end().rfind('\n').unwrap());
    write(dir, "fewer.inter", fewer);
    let errors = fail(dir, "train fewer.inter --dim 4 --epochs 6 --optimizer adam --checkpoint run --resume", 1);
    assert!(errors.contains("of another training: the data has 167 interactions here and 168 there"), "{errors}");
    for options in ["--resume", "--every 2", "--keep 1", "--checkpoint run --every 0"] {
        fail(dir, &format!("{train} {options}"), 2);
    }
    let output = hotrow(dir, &format!("{train} --checkpoint new --resume"));
    assert_eq!(text(&output.stderr), "there is no checkpoint in new yet: training begins\n");
    assert!(output.status.success());

    // A damaged one is not passed over for an older one.
    let path = dir.join("run/step-6.0.1-of-1.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let errors = fail(dir, &format!("{train} --checkpoint run --resume"), 1);
    assert!(errors.contains("step-6.0.1-of-1.safetensors: tensor ") && errors.contains("is damaged"), "{errors}");

    write(dir, "file", "");
    let errors = fail(dir, &format!("{train} --checkpoint file"), 1);
    assert!(errors.contains("--checkpoint file: file: cannot make the folder"), "{errors}");
}

/// Signals are sent by the program that is there for it.
#[cfg(unix)]
mod signals {
    use std::process::{Child, Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::program::command;

    fn start(dir: &Path, args: &str) -> Child {
        command(dir, args.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn signal(child: &Child, name: &str) {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    }

    /// Waits for a file of the folder.
    fn wait_for(dir: &Path, name: &str) {
        let start = Instant::now();
        while !dir.join(name).exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "{name} never came");
            sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn ctrl_c_leaves_a_checkpoint_that_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(dir, "a.inter", camps_inter());
        let train = "train a.inter --dim 8 --epochs 3000 --json";
        succeed(dir, &format!("{train} --out whole"));
        let mut stops = 0;
        for attempt in 0.. {
            let child = start(dir, &format!("{train} --out stopped --checkpoint run --resume --every 1000000"));
            wait_for(dir, "run/.hotrow-lock");
            sleep(Duration::from_millis(30 + 20 * attempt));
            signal(&child, "-INT");
            let output = child.wait_with_output().unwrap();
            let errors = text(&output.stderr);
            if output.status.success() {
                break;
            }
            assert_eq!(output.status.code(), Some(130), "{errors}");
            // Before it has begun to learn there is nothing to save.
            if errors.contains("stopping; Ctrl-C again ends at once") {
                assert!(errors.contains("of 3000; a checkpoint is in run: the same command with --resume goes on"), "{errors}");
                stops += 1;
            }
        }
        assert!(stops > 0);
        assert!(model(dir, "stopped") == model(dir, "whole"));
    }

    #[test]
    fn ctrl_c_without_checkpoints_says_that_nothing_is_saved() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(dir, "a.inter", camps_inter());
        let child = start(dir, "train a.inter --epochs 1000000");
        sleep(Duration::from_millis(700));
        signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{errors}");
        assert!(errors.contains("of 1000000; nothing is saved, as there is no --checkpoint DIR"), "{errors}");
        assert!(!dir.join("hotrow-model/model.json").exists());
    }

    #[test]
    fn kill_loses_no_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(dir, "a.inter", camps_inter());
        let train = "train a.inter --dim 8 --epochs 400 --optimizer ftrl --dtype bf16 --json";
        succeed(dir, &format!("{train} --out whole"));
        for attempt in 0..6 {
            let mut child = start(dir, &format!("{train} --out killed --checkpoint run --resume"));
            wait_for(dir, "run/.hotrow-lock");
            sleep(Duration::from_millis(40 + 37 * attempt));
            // It may have come to its end by now.
            let _ = child.kill();
            child.wait().unwrap();
        }
        let output = hotrow(dir, &format!("{train} --out killed --checkpoint run --resume"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stderr).starts_with("going on with run, which has "));
        assert!(model(dir, "killed") == model(dir, "whole"));
    }
}

/// What several processes have saved together is a checkpoint as any other.
#[test]
fn parts_of_several_writers_are_read() {
    use hotrow::store::{Checkpoints, PartName, PartTable};
    use hotrow::{Adagrad, DType, Optimizer, Table};

    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let table = Table::<f32>::from_fn(6, 2, |row, column| if column == 0 { row as f32 } else { 1.0 }).unwrap();
    let optimizer = Optimizer::new(Adagrad::default(), 6, 2).unwrap();
    let mut saver = Checkpoints::open(dir.join("run"));
    let generation = saver.begin(4).unwrap();
    let mut records = Vec::new();
    for (at, rows) in [(1, 0..2), (2, 2..6)] {
        let of = |table: &Table<f32>| Table::from_slice(&table.to_vec()[rows.start * 2..rows.end * 2], rows.len(), 2).unwrap();
        let announced = PartTable::new("items", DType::F32, [6, 2]).unwrap().rows(rows.clone()).unwrap();
        let announced = announced.optimizer(&optimizer.record()).unwrap();
        let mut part = saver.part(PartName { step: 4, generation, at, count: 2 }, &[announced]).unwrap();
        part.write("items", &of(&table)).unwrap();
        part.write_state("items", "sum", &of(optimizer.state().next().unwrap().1)).unwrap();
        records.push(part.finish().unwrap());
    }
    saver.commit(4, generation, &["items"], &records, r#"{"epoch":1}"#).unwrap();

    let info = json(dir, "info run --json");
    assert_eq!(info["steps"][0]["tables"][0]["name"], "items", "{info}");
    let said = succeed(dir, "info run");
    assert!(said.contains("items") && said.contains("adagrad"), "{said}");
    succeed(dir, "verify run");
    let similar = json(dir, "similar 5 --in run --metric dot --top 2 --json");
    let items: Vec<&str> = similar["similar"].as_array().unwrap().iter().map(|row| row["item"].as_str().unwrap()).collect();
    assert_eq!(items, ["4", "3"], "{similar}");

    let path = dir.join("run/step-4.0.2-of-2.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let errors = fail(dir, "verify run", 1);
    assert!(errors.contains("step-4.0.2-of-2.safetensors"), "{errors}");
}
