//! Checkpoints: what is saved comes back, what is damaged is refused, and what is needed stays.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::states::{Image, State, all_halves};
use hotrow::store::{Checkpoints, FileError, Header, Snapshot};
use hotrow::{Adam, AnyTable, DType, Ftrl, Initializer, Optimizer, Rounding, RowSet, Rule, Sgd, Table, WeightDecay};
use tempfile::tempdir;

const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

fn adam() -> Rule {
    Adam::default().into()
}

/// The names and contents of all files but the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    named.filter(|(name, _)| name != ".hotrow-lock").collect()
}

fn loaded(folder: &Path) -> Image {
    Image::of(&Checkpoints::open(folder).load_last().unwrap().unwrap())
}

#[test]
fn every_optimizer_and_element_comes_back() {
    // 63 f32 are padded to 64, and packed on their way to the file.
    for (dim, shard_bytes) in [(4, u64::MAX), (63, 1000), (63, 1), (1, 64)] {
        // Many files take their time to get onto a disk.
        let rules = if shard_bytes == 1 { &["adam"][..] } else { &Rule::NAMES };
        for rule in rules {
            for dtype in DTYPES {
                let folder = tempdir().unwrap();
                let mut state = State::new(rule.parse().unwrap(), dtype, 9, dim);
                let mut saver = Checkpoints::open(folder.path()).shard_bytes(shard_bytes);
                state.advance();
                let saved = saver.save(&state.snapshot().unwrap()).unwrap();
                assert_eq!((saved.step, saved.unswept), (1, None));
                assert_eq!(loaded(folder.path()), state.image(), "{rule} {dtype} {dim} {shard_bytes}");
                let count = files(folder.path()).len();
                assert!(if shard_bytes == u64::MAX { count == 2 } else { count > 2 }, "{count} files");
                // The same again is the same, and so is a delta.
                state.optimizer.clear_touched();
                for _ in 0..3 {
                    state.advance();
                    let saved = saver.save_delta(&state.snapshot().unwrap(), &state.touched()).unwrap();
                    assert!(saved.bytes > 0);
                    state.optimizer.clear_touched();
                    assert_eq!(loaded(folder.path()), state.image(), "{rule} {dtype} {dim} {shard_bytes}");
                }
                assert_eq!(saver.steps().unwrap(), [1, 2, 3, 4]);
                saver.compact().unwrap().unwrap();
                assert_eq!(saver.info(4).unwrap().base, None);
                assert_eq!(loaded(folder.path()), state.image());
                assert_eq!(saver.compact().unwrap(), None);
                for step in 1..=4 {
                    saver.verify(step).unwrap();
                    assert_eq!(saver.load(step).unwrap().step(), step);
                }
            }
        }
    }
}

#[test]
fn all_bits_options_and_empty_tables_come_back() {
    let folder = tempdir().unwrap();
    let halves = all_halves();
    let (none, flat) = (Table::<f32>::zeros(0, 5).unwrap(), Table::<f32>::zeros(7, 0).unwrap());
    let mut optimizer = Optimizer::new(Ftrl { l1: 0.1, ..Ftrl::default() }, 7, 0).unwrap();
    optimizer = optimizer.with_weight_decay(WeightDecay::L2(1e-7)).unwrap().with_clip_norm(3.3).unwrap();
    optimizer = optimizer.with_rounding(Rounding::Stochastic { seed: u64::MAX }).with_finite_check(true);
    optimizer.set_steps(u64::MAX);
    let ids: Vec<String> = ["", "\"", "\\", "\n\0", "日本", "é", "x"].map(String::from).into();
    let snapshot = Snapshot::new(0).table("halves", &halves).unwrap().table("none", &none).unwrap().table("flat", &flat).unwrap();
    let snapshot = snapshot.optimizer("flat", &optimizer).unwrap().ids("flat", &ids).unwrap().ids("none", &[]).unwrap();
    let mut saver = Checkpoints::open(folder.path()).shard_bytes(10_000);
    saver.save(&snapshot).unwrap();

    let mut checkpoint = Checkpoints::open(folder.path()).load(0).unwrap();
    assert_eq!(checkpoint.config_json(), "null");
    let back = checkpoint.take("halves").unwrap().table;
    let AnyTable::F16(back) = back else { panic!("another element") };
    assert!(back.iter().flatten().zip(halves.iter().flatten()).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(checkpoint.get("none").unwrap().table.shape(), [0, 5]);
    assert_eq!(checkpoint.get("none").unwrap().ids, Some(vec![]));
    let flat = checkpoint.take("flat").unwrap();
    assert_eq!(flat.ids, Some(ids));
    assert_eq!(format!("{:?}", flat.optimizer.unwrap()), format!("{optimizer:?}"));
    assert!(checkpoint.take("flat").is_none());
}

#[test]
fn the_same_state_makes_the_same_files_on_any_number_of_threads() {
    let (rule, dtype) = (adam(), DType::F32);
    let save = |threads: usize| {
        let folder = tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut state = State::new(rule, dtype, 20_000, 33);
            let mut saver = Checkpoints::open(folder.path()).shard_bytes(1 << 20);
            saver.save(&state.snapshot().unwrap()).unwrap();
            state.advance();
            saver.save_delta(&state.snapshot().unwrap(), &state.touched()).unwrap();
            assert_eq!(loaded(folder.path()), state.image());
        });
        files(folder.path())
    };
    let one = save(1);
    assert!(one.len() > 10);
    assert!(save(5) == one);
}

#[test]
fn files_are_safetensors_with_aligned_tables() {
    let folder = tempdir().unwrap();
    let mut state = State::new(adam(), DType::BF16, 50, 3);
    let mut saver = Checkpoints::open(folder.path()).shard_bytes(200);
    saver.save(&state.snapshot().unwrap()).unwrap();
    state.advance();
    saver.save_delta(&state.snapshot().unwrap(), &state.touched()).unwrap();
    let mut names = Vec::new();
    for (name, bytes) in files(folder.path()).into_iter().filter(|(name, _)| name.ends_with(".safetensors")) {
        let crate_reads = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let header = Header::open(&folder.path().join(&name)).unwrap();
        for tensor in header.tensors.iter().filter(|tensor| !tensor.name.starts_with("__padding__")) {
            assert!(tensor.offset % 64 == 0 || tensor.dtype == hotrow::store::Stored::U8, "{tensor:?}");
            let data = crate_reads.tensor(&tensor.name).unwrap().data().to_vec();
            assert_eq!(tensor.crc32, Some(crc32fast::hash(&data)));
            names.push(tensor.name.clone());
        }
    }
    for name in ["t.from-row-0", "t.from-row-33", "t.optimizer.exp_avg.from-row-0", "t.ids", "t.titles", "t.rows", "t"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let folder = tempdir().unwrap();
    let mut state = State::new(Sgd { momentum: 0.5, ..Sgd::default() }.into(), DType::F16, 3, 5);
    let mut saver = Checkpoints::open(folder.path()).shard_bytes(140);
    saver.save(&state.snapshot().unwrap()).unwrap();
    state.advance();
    saver.save_delta(&state.snapshot().unwrap(), &state.touched()).unwrap();
    drop(saver);
    let whole = files(folder.path());
    assert!(whole.len() > 4);
    for (name, bytes) in &whole {
        let path = folder.path().join(name);
        for at in 0..bytes.len() {
            // The case of a letter is what texts are most forgiving of.
            let other = if at % 4 == 0 || name.ends_with(".json") { 0x20 } else { 0 };
            for flip in [1 << (at % 8), other].into_iter().filter(|&flip| flip > 0) {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                fs::write(&path, &damaged).unwrap();
                let loaded = Checkpoints::open(folder.path()).load_last();
                assert!(loaded.is_err(), "{name} byte {at}: {:?}", loaded.map(|loaded| Image::of(&loaded.unwrap())));
                if at % 8 == 0 {
                    assert!(Checkpoints::open(folder.path()).verify(1).is_err(), "{name} byte {at}");
                }
            }
        }
        for len in [0, 1, bytes.len() / 2, bytes.len() - 1, bytes.len() + 1] {
            let mut cut = bytes.clone();
            cut.resize(len, 0);
            fs::write(&path, &cut).unwrap();
            assert!(Checkpoints::open(folder.path()).load_last().is_err(), "{name} of {len} bytes");
        }
        fs::remove_file(&path).unwrap();
        let loaded = Checkpoints::open(folder.path()).load_last();
        // Without the delta's manifest the full checkpoint is the newest.
        assert!(if name == "step-1.json" { loaded.unwrap().unwrap().step() == 0 } else { loaded.is_err() }, "{name}");
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(loaded(folder.path()), state.image());
}

#[test]
fn the_last_checkpoints_stay_and_what_they_are_changes_of() {
    let folder = tempdir().unwrap();
    let mut state = State::new(adam(), DType::F32, 8, 2);
    let mut saver = Checkpoints::open(folder.path()).keep_last(2);
    let removed = Mutex::new(Vec::new());
    let save = |saver: &mut Checkpoints, state: &mut State, full: bool| {
        state.advance();
        let snapshot = state.snapshot().unwrap();
        let saved = if full { saver.save(&snapshot) } else { saver.save_delta(&snapshot, &state.touched()) }.unwrap();
        assert_eq!(saved.unswept, None);
        removed.lock().unwrap().extend(saved.removed);
        state.optimizer.clear_touched();
        saver.steps().unwrap()
    };
    assert_eq!(save(&mut saver, &mut state, true), [1]);
    assert_eq!(save(&mut saver, &mut state, true), [1, 2]);
    assert_eq!(save(&mut saver, &mut state, true), [2, 3]);
    assert_eq!(save(&mut saver, &mut state, false), [3, 4]);
    assert_eq!(save(&mut saver, &mut state, false), [3, 4, 5]);
    assert_eq!(save(&mut saver, &mut state, false), [3, 4, 5, 6]);
    assert_eq!(save(&mut saver, &mut state, true), [3, 4, 5, 6, 7]);
    assert_eq!(save(&mut saver, &mut state, false), [7, 8]);
    assert_eq!(*removed.lock().unwrap(), [1, 2, 6, 5, 4, 3]);
    for left_over in [".hotrow-0123.tmp", "step-9.0.1-of-1.safetensors", "step-8.7.1-of-1.safetensors"] {
        fs::write(folder.path().join(left_over), "left over").unwrap();
    }
    for other in ["step-1.txt", "notes", "step-x.json"] {
        fs::write(folder.path().join(other), "somebody else's").unwrap();
    }
    let saved = saver.compact().unwrap().unwrap();
    assert_eq!((saved.step, saved.removed), (8, vec![]));
    save(&mut saver, &mut state, true);
    let names: Vec<String> = files(folder.path()).into_keys().collect();
    let wanted = [
        "notes",
        "step-1.txt",
        "step-8.8.1-of-1.safetensors",
        "step-8.json",
        "step-9.0.1-of-1.safetensors",
        "step-9.json",
        "step-x.json",
    ];
    assert_eq!(names, wanted);
    assert_eq!(loaded(folder.path()), state.image());
}

#[test]
fn ids_and_titles_are_stored_again_only_when_they_change() {
    let folder = tempdir().unwrap();
    let mut state = State::new(adam(), DType::F32, 100, 1);
    let mut saver = Checkpoints::open(folder.path());
    saver.save(&state.snapshot().unwrap()).unwrap();
    let stored = |step: u64| {
        let text = fs::read_to_string(folder.path().join(format!("step-{step}.json"))).unwrap();
        (text.contains("\"t.ids\""), text.contains("\"t.titles\""))
    };
    let mut delta = |state: &mut State| {
        state.advance();
        saver.save_delta(&state.snapshot().unwrap(), &state.touched()).unwrap();
        assert_eq!(loaded(folder.path()), state.image());
        stored(state.step)
    };
    assert_eq!(delta(&mut state), (false, false));
    state.titles[4] = None;
    assert_eq!(delta(&mut state), (false, true));
    assert_eq!(delta(&mut state), (false, false));
    state.ids[99].push('!');
    assert_eq!(delta(&mut state), (true, false));
    saver.compact().unwrap();
    assert_eq!(loaded(folder.path()), state.image());
}

fn refused<T: std::fmt::Debug>(result: Result<T, FileError>, wanted: &str) {
    let message = result.unwrap_err().to_string();
    assert!(message.contains(wanted), "{message}");
}

#[test]
fn what_cannot_be_a_delta_or_a_snapshot_is_refused() {
    let folder = tempdir().unwrap();
    let mut state = State::new(adam(), DType::F32, 10, 2);
    let mut saver = Checkpoints::open(folder.path().join("new").join("run"));
    assert!(saver.load_last().unwrap().is_none() && saver.steps().unwrap().is_empty() && saver.compact().unwrap().is_none());
    refused(saver.load(3), "there is no checkpoint of step 3; there are none at all");
    refused(
        saver.save_delta(&state.snapshot().unwrap(), &state.touched()),
        "a delta needs a checkpoint that was saved or loaded before it",
    );
    state.advance();
    saver.save(&state.snapshot().unwrap()).unwrap();
    refused(saver.save_delta(&state.snapshot().unwrap(), &state.touched()), "it must come after it");
    refused(saver.load(3), "there is no checkpoint of step 3; there are those of 1");
    refused(
        Checkpoints::open(saver.folder()).save(&state.snapshot().unwrap()),
        "another program is saving checkpoints in this folder",
    );
    state.advance();
    let snapshot = state.snapshot().unwrap();
    refused(saver.save_delta(&snapshot, &[]), "which of its rows have changed is not said");
    refused(saver.save_delta(&snapshot, &[("t", &RowSet::new(9).unwrap())]), "a set of 9 rows, and it has 10");
    refused(saver.save_delta(&snapshot, &[("u", &RowSet::new(9).unwrap())]), "there is no table of this name");
    let [touched] = state.touched();
    refused(saver.save_delta(&snapshot, &[touched, touched]), "two sets of changed rows");
    let bare = Snapshot::new(2).table("t", &state.table).unwrap();
    refused(
        saver.save_delta(&bare, &[touched]),
        "a delta cannot change the checkpoint of step 1, whose table \"t\" has another optimizer: save a full one",
    );
    let other = AnyTable::init(DType::F16, 10, 2, Initializer::Zeros, 0).unwrap();
    let bare = Snapshot::new(2).table("t", &other).unwrap().optimizer("t", &state.optimizer).unwrap();
    refused(saver.save_delta(&bare, &[touched]), "\"t\" of F32 [10, 2] where this has \"t\" of F16 [10, 2]");
    // Whatever was refused has changed nothing.
    saver.save_delta(&snapshot, &[touched]).unwrap();
    refused(saver.save(&Snapshot::new(1)), "a checkpoint of step 1 would be older than the newest, of step 2");
    // A save that came in between.
    let dir = saver.folder().to_owned();
    let mut first = Checkpoints::open(&dir);
    first.load_last().unwrap();
    saver.save(&Snapshot::new(2).table("t", &state.table).unwrap().optimizer("t", &state.optimizer).unwrap()).unwrap();
    drop(saver);
    refused(first.save_delta(&Snapshot::new(3), &[]), "the checkpoint of step 2 has been replaced");
    first.save(&Snapshot::new(4)).unwrap();
    let mut late = Checkpoints::open(&dir);
    late.load(2).unwrap();
    drop(first);
    refused(
        late.save_delta(&Snapshot::new(5), &[]),
        "the checkpoint of step 2, which the delta would change, is not the newest any more",
    );

    let table = Table::<f32>::zeros(2, 2).unwrap();
    for name in ["", "a.ids", "a.rows", "a.titles", "a.optimizer.m", "__padding__.0", "a.from-row-0"] {
        refused(Snapshot::new(0).table(name, &table), "this is no name for a table");
    }
    let snapshot = || Snapshot::new(0).table("a", &table).unwrap();
    refused(snapshot().table("a", &table), "two tables have this name");
    refused(snapshot().ids("b", &[]), "table \"b\": there is no table of this name");
    refused(snapshot().ids("a", &["x".into()]), "1 ids are given for 2 rows");
    refused(snapshot().titles("a", &[]), "0 titles are given for 2 rows");
    refused(snapshot().optimizer("a", &state.optimizer), "the optimizer was made for a table of shape [10, 2]");
}

#[test]
fn a_delta_of_another_base_is_refused() {
    let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
    for (folder, seed) in [(&folder, 1), (&other, 2)] {
        let table = AnyTable::init(DType::F32, 4, 2, Initializer::UNIFORM, seed).unwrap();
        let mut saver = Checkpoints::open(folder.path());
        saver.save(&Snapshot::new(1).table("t", &table).unwrap()).unwrap();
        saver.save_delta(&Snapshot::new(2).table("t", &table).unwrap(), &[("t", &RowSet::all(4).unwrap())]).unwrap();
    }
    for name in ["step-1.json", "step-1.0.1-of-1.safetensors"] {
        fs::copy(other.path().join(name), folder.path().join(name)).unwrap();
    }
    refused(
        Checkpoints::open(folder.path()).load(2),
        "it is a change of the checkpoint of step 1, and what is there is another one",
    );
    fs::remove_file(folder.path().join("step-1.json")).unwrap();
    refused(Checkpoints::open(folder.path()).load_last(), "it is a change of the checkpoint of step 1, which is not there");
    // A manifest under another name is not that step's.
    fs::copy(other.path().join("step-1.json"), folder.path().join("step-7.json")).unwrap();
    refused(Checkpoints::open(folder.path()).load_last(), "it is the manifest of step 1");
}

#[test]
fn progress_goes_to_the_end() {
    let folder = tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut saver = Checkpoints::open(folder.path());
    let told = Arc::clone(&seen);
    saver = saver.with_progress(move |progress| told.lock().unwrap().push(progress));
    let mut state = State::new(adam(), DType::F32, 5_000, 63);
    let bytes = saver.save(&state.snapshot().unwrap()).unwrap().bytes;
    let take = || std::mem::take(&mut *seen.lock().unwrap());
    let complete = |all: Vec<hotrow::store::CheckpointProgress>| {
        assert!(all.len() > 3);
        let most = all.iter().map(|progress| progress.bytes).max().unwrap();
        assert!(all.iter().all(|progress| progress.total == most) && most <= bytes, "{most} of {bytes}");
    };
    complete(take());
    saver.load_last().unwrap();
    complete(take());
    assert!(saver.verify(0).unwrap() <= bytes);
    complete(take());
    state.advance();
    let more = saver.save_delta(&state.snapshot().unwrap(), &state.touched()).unwrap().bytes;
    complete(take());
    saver.load_last().unwrap();
    let all = take();
    assert!(all.iter().map(|progress| progress.bytes).max().unwrap() == all[0].total && all[0].total <= bytes + more);
}

#[test]
fn a_manifest_tells_what_there_is() {
    let folder = tempdir().unwrap();
    let mut state = State::new(adam(), DType::BF16, 10, 2);
    let mut saver = Checkpoints::open(folder.path());
    saver.save(&state.snapshot().unwrap()).unwrap();
    state.advance();
    saver.save_delta(&state.snapshot().unwrap(), &state.touched()).unwrap();
    let info = saver.info(1).unwrap();
    assert_eq!((info.step, info.base, info.config.as_str()), (1, Some(0), "1"));
    assert_eq!(info.files, ["step-1.0.1-of-1.safetensors"]);
    let table = &info.tables[0];
    assert_eq!((table.name.as_str(), table.dtype, table.shape), ("t", DType::BF16, [10, 2]));
    assert_eq!(table.stored_rows, state.optimizer.touched().unwrap().count());
    assert_eq!((table.optimizer.clone(), table.ids, table.titles), (Some(("adam".to_owned(), 1)), true, true));
}

#[test]
fn tables_are_mapped_and_stay_what_they_were() {
    let folder = tempdir().unwrap();
    let mut state = State::new(adam(), DType::F16, 10, 63);
    let mut saver = Checkpoints::open(folder.path()).keep_last(1);
    saver.save(&state.snapshot().unwrap()).unwrap();
    let mapped = saver.map(0, "t").unwrap();
    let rows = || (0..10).map(|row| mapped.view().row_f32(row)).collect::<Vec<_>>();
    let before = rows();
    assert_eq!(before, (0..10).map(|row| state.table.row_f32(row)).collect::<Vec<_>>());
    refused(saver.map(0, "u"), "there is no table \"u\"; there are \"t\"");
    state.advance();
    saver.save_delta(&state.snapshot().unwrap(), &state.touched()).unwrap();
    refused(saver.map(1, "t"), "its tables cannot be mapped: compact it first");
    // The same name, another file, and the first one is removed.
    saver.compact().unwrap();
    assert_eq!(saver.steps().unwrap(), [1]);
    assert_eq!(rows(), before);
    let mut saver = saver.shard_bytes(500);
    state.advance();
    saver.save(&state.snapshot().unwrap()).unwrap();
    refused(saver.map(2, "t"), "it is in 4 shards, and only what is in one can be mapped");
}
