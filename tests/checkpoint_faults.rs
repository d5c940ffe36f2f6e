//! Whatever goes wrong while a checkpoint is saved, and whenever: loading gives the old state or the new one, whole, and the next save works.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use common::Random;
use common::shaky::{Crash, Fault, Shaky};
use common::states::{Image, State};
use hotrow::DType;
use hotrow::store::{Checkpoints, FileError, FileResult, Saved};
use tempfile::{TempDir, tempdir};

/// The state at a step, with the rows touched by that step alone.
fn at(step: u64) -> State {
    let mut state = State::new("adagrad".parse().unwrap(), DType::F32, 6, 3);
    for _ in 0..step {
        state.optimizer.clear_touched();
        state.advance();
    }
    state
}

/// In memory, where there is such a folder: a disk takes its time to be synchronized.
fn folder() -> TempDir {
    if Path::new("/dev/shm").is_dir() { tempfile::tempdir_in("/dev/shm").unwrap() } else { tempdir().unwrap() }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Full(u64),
    Delta(u64),
    Compact,
}

impl Act {
    fn run(self, saver: &mut Checkpoints) -> FileResult<Option<Saved>> {
        match self {
            Act::Full(step) => saver.save(&at(step).snapshot()?).map(Some),
            Act::Delta(step) => {
                let state = at(step);
                saver.save_delta(&state.snapshot()?, &state.touched()).map(Some)
            }
            Act::Compact => saver.compact(),
        }
    }
}

struct Scenario {
    before: &'static [Act],
    act: Act,
    keep: usize,
    shard_bytes: u64,
}

const SCENARIOS: [Scenario; 7] = [
    Scenario { before: &[], act: Act::Full(1), keep: 2, shard_bytes: 100 },
    Scenario { before: &[Act::Full(1)], act: Act::Full(2), keep: 1, shard_bytes: 1000 },
    Scenario { before: &[Act::Full(1)], act: Act::Delta(2), keep: 1, shard_bytes: 100 },
    Scenario { before: &[Act::Full(1), Act::Delta(2), Act::Delta(3)], act: Act::Full(4), keep: 1, shard_bytes: 1000 },
    Scenario { before: &[Act::Full(1), Act::Full(2)], act: Act::Full(2), keep: 2, shard_bytes: 1000 },
    Scenario { before: &[Act::Full(1), Act::Delta(2), Act::Delta(3)], act: Act::Compact, keep: 1, shard_bytes: 1000 },
    Scenario { before: &[Act::Full(1), Act::Delta(2), Act::Full(3)], act: Act::Delta(4), keep: 2, shard_bytes: 100 },
];

impl Scenario {
    fn saver(&self, folder: &Path) -> Checkpoints {
        Checkpoints::open(folder).keep_last(self.keep).shard_bytes(self.shard_bytes)
    }

    /// The step of the newest checkpoint before and after.
    fn newest(&self) -> [Option<u64>; 2] {
        let step = |act: &Act| if let Act::Full(step) | Act::Delta(step) = act { Some(*step) } else { None };
        let before = self.before.iter().filter_map(step).next_back();
        [before, step(&self.act).or(before)]
    }

    /// Runs it with the `n`-th operation going wrong; `None` when there are fewer operations.
    fn run(&self, before: &BTreeMap<String, Vec<u8>>, n: usize, fault: Fault, crash: Option<Crash>) -> Option<()> {
        let told = || format!("{:?} then {:?}, operation {n}: {fault:?} {crash:?}", self.before, self.act);
        let dir = folder();
        before.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
        let shaky = Shaky::new(dir.path());
        let mut saver = self.saver(dir.path()).with_storage(Arc::new(shaky.clone()));
        saver.prepare().unwrap();
        saver.load_last().unwrap();
        shaky.arm(n, fault);
        let outcome = self.act.run(&mut saver);
        if !shaky.disarm() {
            return None;
        }
        if let Some(crash) = crash {
            drop(saver);
            shaky.crash(crash);
            saver = self.saver(dir.path());
            saver.load_last().unwrap_or_else(|error| panic!("{}: {error}", told()));
        }

        let [old, new] = self.newest();
        let steps = saver.steps().unwrap();
        // Every checkpoint that is listed is whole, and the newest is the old one or the new one.
        for &step in &steps {
            let loaded = Checkpoints::open(dir.path()).load(step).unwrap_or_else(|error| panic!("{}: {error}", told()));
            assert!(Image::of(&loaded) == at(step).image(), "{}: step {step} is not as it was", told());
        }
        let newest = steps.last().copied();
        match &outcome {
            Ok(_) => assert_eq!(newest, new, "{}", told()),
            Err(error) => {
                assert!(newest == old || newest == new, "{}: {newest:?}", told());
                let whole = error.to_string();
                assert!(whole.contains("a fault") || whole.contains("no storage space"), "{}: {whole}", told());
            }
        }

        // The same saver, or the one after the crash, goes on; what is left over goes.
        let next = new.unwrap_or(0) + 1;
        let state = at(next);
        saver.save(&state.snapshot().unwrap()).unwrap_or_else(|error| panic!("{}: {error}", told()));
        assert!(Image::of(&Checkpoints::open(dir.path()).load_last().unwrap().unwrap()) == state.image());
        let known: Vec<String> = saver.steps().unwrap().iter().flat_map(|&step| saver.info(step).unwrap().files).collect();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let own = known.contains(&name) || name == ".hotrow-lock" || (name.starts_with("step-") && name.ends_with(".json"));
            assert!(own, "{}: {name} is left over", told());
        }
        Some(())
    }
}

fn every_operation(fault: Fault, crashes: &[Option<Crash>]) {
    let mut runs = 0;
    for scenario in &SCENARIOS {
        let dir = folder();
        let mut saver = scenario.saver(dir.path()).keep_last(9);
        scenario.before.iter().for_each(|act| drop(act.run(&mut saver).unwrap()));
        drop(saver);
        let mut before = BTreeMap::new();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            before.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        }
        for &crash in crashes {
            let mut operations = 0;
            while scenario.run(&before, operations, fault, crash).is_some() {
                operations += 1;
            }
            assert!(operations >= 10, "{operations} operations");
            runs += operations;
        }
    }
    println!("{runs} faults");
}

#[test]
fn an_operation_that_fails_leaves_the_old_state_or_the_new_one() {
    every_operation(Fault::Fails, &[None]);
}

#[test]
fn a_write_that_is_done_by_halves_leaves_the_old_state_or_the_new_one() {
    every_operation(Fault::Halves, &[None]);
}

#[test]
fn a_program_that_ends_leaves_the_old_state_or_the_new_one() {
    every_operation(Fault::Stops, &[Some(Crash::OfTheProgram)]);
}

#[test]
fn a_machine_that_ends_leaves_the_old_state_or_the_new_one() {
    let crashes = [Crash::Forgets, Crash::Zeros, Crash::Random(1), Crash::Random(2), Crash::Random(3)];
    every_operation(Fault::Stops, &crashes.map(Some));
}

/// The folder in which a child of these tests is to do something; nothing is to be done without it.
const FOLDER: &str = "HOTROW_TEST_FOLDER";

fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Not a test, but the child of one: saves in a loop.
#[test]
fn child_saves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut saver = Checkpoints::open(Path::new(&folder)).keep_last(2).shard_bytes(300);
    let last = saver.load_last().unwrap().map_or(0, |checkpoint| checkpoint.step());
    let mut state = at(last);
    loop {
        state.optimizer.clear_touched();
        state.advance();
        let (snapshot, step) = (state.snapshot().unwrap(), state.step);
        if step.is_multiple_of(5) || step == 1 {
            saver.save(&snapshot).unwrap();
        } else {
            saver.save_delta(&snapshot, &state.touched()).unwrap();
        }
        if step.is_multiple_of(7) {
            saver.compact().unwrap();
        }
    }
}

#[test]
fn a_child_killed_at_200_moments_loses_nothing_that_was_saved() {
    let dir = folder();
    let mut random = Random(std::process::id().into());
    let mut state = at(0);
    for kill in 0..200 {
        let mut child = child("child_saves_until_it_is_killed", dir.path()).spawn().unwrap();
        sleep(Duration::from_micros(random.below(60_000) as u64));
        assert!(child.try_wait().unwrap().is_none(), "kill {kill}: the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let mut checkpoints = Checkpoints::open(dir.path());
        let Some(loaded) = checkpoints.load_last().unwrap_or_else(|error| panic!("kill {kill}: {error}")) else { continue };
        assert!(loaded.step() >= state.step, "kill {kill}: step {} was saved, and now there is {}", state.step, loaded.step());
        while state.step < loaded.step() {
            state.advance();
        }
        assert!(Image::of(&loaded) == state.image(), "kill {kill}: step {} is not as it was", loaded.step());
        for step in checkpoints.steps().unwrap() {
            checkpoints.verify(step).unwrap();
        }
    }
    println!("200 kills, {} steps", state.step);
    assert!(state.step > 200);
}

/// Not a test, but the child of some: saves a step after the last and prints what came of it.
#[test]
fn child_saves_once() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut saver = Checkpoints::open(Path::new(&folder));
    let result = saver.load_last().and_then(|last| saver.save(&at(last.map_or(0, |last| last.step()) + 1).snapshot()?));
    match result {
        Ok(saved) => println!("saved {}", saved.step),
        Err(error) => println!("refused: {error}"),
    }
}

/// What a child that saves once, started so, prints; `None` where it cannot be started so.
fn saves_once(mut command: Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find(|line| line.contains("saved ") || line.contains("refused: ")).map(str::to_owned)
}

fn last_is(folder: &Path, step: u64) {
    let loaded = Checkpoints::open(folder).load_last().unwrap().unwrap();
    assert!(Image::of(&loaded) == at(step).image());
}

#[cfg(unix)]
#[test]
fn a_file_that_may_grow_no_further_is_a_clear_error() {
    let dir = tempdir().unwrap();
    let answer = |limit: &str| {
        // A limit of the size of files, which the system answers with an error once its signal is ignored: as a full disk does.
        let exe = std::env::current_exe().unwrap();
        let script = format!("ulimit -f {limit} && trap '' XFSZ && exec {exe:?} child_saves_once --exact --nocapture");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env(FOLDER, dir.path()).stderr(Stdio::null());
        saves_once(command).unwrap()
    };
    assert!(answer("unlimited").contains("saved 1"));
    let refused = answer("1");
    assert!(refused.contains("step-2.0.1-of-1.safetensors: cannot write the file: File too large"), "{refused}");
    last_is(dir.path(), 1);
    assert!(answer("unlimited").contains("saved 2"));
    last_is(dir.path(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_clear_error() {
    let dir = tempdir().unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(dir.path()).stderr(Stdio::null()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: no file system may be mounted here");
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        let mut saver = Checkpoints::open(dir.path()).keep_last(9);
        let mut saved = 0;
        let error = loop {
            match saver.save(&at(saved + 1).snapshot().unwrap()) {
                Ok(_) => saved += 1,
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("No space left on device"), "{error}");
        last_is(dir.path(), saved);
        // Room is made, and the next save works.
        fs::remove_file(dir.path().join("step-1.json")).unwrap();
        fs::remove_file(dir.path().join("step-1.0.1-of-1.safetensors")).unwrap();
        saver.save(&at(saved + 1).snapshot().unwrap()).unwrap();
        last_is(dir.path(), saved + 1);
    });
    Command::new("umount").arg("-l").arg(dir.path()).status().unwrap();
    outcome.unwrap();
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_a_clear_error() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let dir = tempdir().unwrap();
    Checkpoints::open(dir.path()).save(&at(1).snapshot().unwrap()).unwrap();
    mode(dir.path(), 0o555);
    // Whoever may do anything is made somebody who may not.
    let everything = fs::write(dir.path().join("try"), "").is_ok();
    let answer = if everything {
        fs::remove_file(dir.path().join("try")).unwrap();
        let child = child("child_saves_once", dir.path());
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(child.get_program()).args(child.get_args());
        other.env(FOLDER, dir.path()).stderr(Stdio::null());
        saves_once(other)
    } else {
        saves_once(child("child_saves_once", dir.path()))
    };
    mode(dir.path(), 0o755);
    match answer {
        Some(answer) => assert!(answer.contains(": cannot write to the folder: Permission denied"), "{answer}"),
        None => println!("skipped: this user may write anywhere, and there is no other"),
    }
    last_is(dir.path(), 1);
    Checkpoints::open(dir.path()).save(&at(2).snapshot().unwrap()).unwrap();
    last_is(dir.path(), 2);
}

#[test]
fn a_folder_that_has_gone_is_a_clear_error() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("run");
    let mut saver = Checkpoints::open(&path);
    saver.save(&at(1).snapshot().unwrap()).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let error = saver.save(&at(2).snapshot().unwrap()).unwrap_err();
    assert!(matches!(&error, FileError::Io { kind: std::io::ErrorKind::NotFound, .. }), "{error}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert!(!path.exists());
    fs::write(&path, "a file").unwrap();
    let error = Checkpoints::open(&path).save(&at(2).snapshot().unwrap()).unwrap_err();
    assert!(error.to_string().contains(": cannot make the folder: "), "{error}");
}
