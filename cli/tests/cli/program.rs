//! Running the program.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The program with these arguments, in a folder.
pub(crate) fn command<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotrow"));
    command.current_dir(folder).args(args);
    command
}

/// Its output.
pub(crate) fn hotrow(folder: &Path, args: &str) -> Output {
    command(folder, args.split_whitespace()).output().expect("the program starts")
}

/// Its standard output, when it must succeed and say nothing on standard error.
#[track_caller]
pub(crate) fn succeed(folder: &Path, args: &str) -> String {
    let output = hotrow(folder, args);
    let errors = text(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{args}: {errors}");
    text(&output.stdout)
}

/// Its standard error, when it must fail with a code and print no result.
#[track_caller]
pub(crate) fn fail(folder: &Path, args: &str, code: i32) -> String {
    let output = hotrow(folder, args);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

/// The object on the last line of standard output.
#[track_caller]
pub(crate) fn json(folder: &Path, args: &str) -> Value {
    let output = succeed(folder, args);
    let last = output.lines().last().expect("a line");
    serde_json::from_str(last).expect("JSON")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Writes a file into a folder.
pub(crate) fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("a file");
    path
}

/// `(user, item, time)` of two camps: even users take even items, odd users odd ones. Each leaves out two items of their camp,
/// which a model that has learnt anything recommends first.
pub(crate) fn camps() -> Vec<(String, String, usize)> {
    let mut all = Vec::new();
    for user in 0..24 {
        for step in 0..10 {
            if step != user / 2 % 10 && step != (user / 2 + 3) % 10 {
                let item = 2 * ((step * 7 + user) % 10) + user % 2;
                all.push((format!("u{user}"), format!("i{item}"), 1000 + step));
            }
        }
    }
    all
}

/// The camps as RecBole writes them.
pub(crate) fn camps_inter() -> String {
    let mut text = String::from("user_id:token\titem_id:token\trating:float\ttimestamp:float\n");
    for (user, item, time) in camps() {
        text += &format!("{user}\t{item}\t4\t{time}\n");
    }
    text
}
