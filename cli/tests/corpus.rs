//! The fuzzers' corpus of the command's readers, replayed. `fuzz/README.md` says what the checks are.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use hotrow_cli::bench::{IdsError, read_ids, read_workloads};
use hotrow_cli::data::{read_interactions, read_libfm};

#[path = "../../fuzz/bodies/idlists.rs"]
mod idlists;
#[path = "../../fuzz/bodies/libfm.rs"]
mod libfm;
#[path = "../../fuzz/bodies/ratings.rs"]
mod ratings;
#[path = "../../fuzz/bodies/workloads.rs"]
mod workloads;

/// Runs a check on every file of a target's corpus, at least one; names the file that fails.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        if let Err(panic) = catch_unwind(|| check(&bytes)) {
            eprintln!("that was {}", path.display());
            resume_unwind(panic);
        }
    }
}

#[test]
fn files_of_interactions_are_read_or_refused_with_a_line() {
    replay("ratings", ratings::check);
}

#[test]
fn files_of_examples_are_read_or_refused_with_a_line() {
    replay("libfm", libfm::check);
}

#[test]
fn workload_lists_are_read_or_refused_with_a_place() {
    replay("workloads", workloads::check);
}

#[test]
fn files_of_ids_are_read_or_refused_with_a_place() {
    replay("idlists", idlists::check);
}

/// Whether a check fails.
fn fails(check: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(check)).is_err()
}

/// What a reader with a mistake could return is told from what is right.
#[test]
fn the_check_of_interactions_sees_mistakes() {
    let file = b"ann tea\nbob tea\nann rye\n";
    let read = read_interactions(file, None).unwrap();
    assert!(!fails(|| ratings::assert_consistent(&read, file)));

    let one_line = b"ann tea bob rye";
    assert!(fails(|| ratings::assert_consistent(&read, one_line)), "more interactions than lines");
    let other_names = b"ann tea\nbob tea\nann oat\n";
    assert!(fails(|| ratings::assert_consistent(&read, other_names)), "a name that the file does not have");
    let mut swapped = read.clone();
    swapped.user.reverse();
    swapped.user[0] = 1;
    assert!(fails(|| ratings::assert_consistent(&swapped, file)), "numbers out of order");
    let mut short = read.clone();
    short.item.pop();
    assert!(fails(|| ratings::assert_consistent(&short, file)), "a user without an item");

    let error = read_interactions(b"a b\nc\n", None).unwrap_err();
    assert!(!fails(|| ratings::assert_names_a_line(&error, b"a b\nc\n")));
    assert!(fails(|| ratings::assert_names_a_line(&error, b"a b")), "a line that the file does not have");
}

#[test]
fn the_check_of_examples_sees_mistakes() {
    let file = b"1 3:1 5:2\n-1 4:1\n";
    let read = read_libfm(file).unwrap();
    assert!(!fails(|| libfm::assert_consistent(&read, file)));
    assert!(fails(|| libfm::assert_consistent(&read, b"1 3:1 5:2 4:1")), "more examples than lines");
    assert!(fails(|| libfm::assert_consistent(&read, b"1 3:1 5:2\n-1 4")), "more features than pairs");

    let error = read_libfm(b"1 1:1\n1 2\n").unwrap_err();
    assert!(!fails(|| libfm::assert_names_a_line(&error, b"1 1:1\n1 2\n")));
    assert!(fails(|| libfm::assert_names_a_line(&error, b"1 1:1")), "a line that the file does not have");
}

#[test]
fn the_check_of_workloads_sees_mistakes() {
    let file = br#"{"schema": 1, "workloads": [{"name": "a", "op": "gather", "rows": 9, "dim": 3, "dtype": "f32", "ids": 7}]}"#;
    let list = read_workloads(file).unwrap();
    assert!(!fails(|| workloads::assert_consistent(&list, file)));

    let twice = [&list[..], &list[..]].concat();
    assert!(fails(|| workloads::assert_consistent(&twice, file)), "a name twice");
    assert!(fails(|| workloads::assert_consistent(&list, b"{}")), "more workloads than bytes");
    for (mistake, change) in [
        ("no rows", (|workload| workload.rows = 0) as fn(&mut hotrow_cli::bench::Workload)),
        ("too many rows", |workload| workload.rows = 1 << 33),
        ("a table that does not fit", |workload| workload.dim = usize::MAX),
        ("an optimizer of a gather", |workload| workload.optimizer = Some("sgd".to_owned())),
        ("weights without bags", |workload| workload.weighted = true),
    ] {
        let mut changed = list.clone();
        change(&mut changed[0]);
        assert!(fails(|| workloads::assert_consistent(&changed, file)), "{mistake}");
    }
}

#[test]
fn the_check_of_ids_sees_mistakes() {
    let file = b"0 7 8\n1\n2 9\n";
    let list = read_ids(file, None, None).unwrap();
    assert!(!fails(|| idlists::assert_consistent(&list, file, Some(10))));

    assert!(fails(|| idlists::assert_consistent(&list, file, Some(9))), "an id that is no row");
    assert!(fails(|| idlists::assert_consistent(&list, b"0 7 8", None)), "more bags than lines");
    for (mistake, change) in [
        ("an id that no bag has", (|list| list.ids.push(1)) as fn(&mut hotrow_cli::bench::IdList)),
        ("a bag that ends before it starts", |list| list.splits = Some(vec![0, 2, 1, 3])),
        ("no bags", |list| list.splits = None),
        ("no ids", |list| list.ids.clear()),
    ] {
        let mut changed = list.clone();
        change(&mut changed);
        assert!(fails(|| idlists::assert_consistent(&changed, file, None)), "{mistake}");
    }

    let file = b"0 7\n1 x\n";
    let error = read_ids(file, None, None).unwrap_err();
    assert!(!fails(|| idlists::assert_names_its_place(&error, file)));
    assert!(fails(|| idlists::assert_names_its_place(&error, b"0 7\n1 y\n")), "a word that is not there");
    assert!(fails(|| idlists::assert_names_its_place(&error, b"0 7\n")), "a line that is not there");
    let elsewhere = IdsError::OutOfRange { line: 1, column: 2, found: "7".to_owned(), rows: 5 };
    assert!(fails(|| idlists::assert_names_its_place(&elsewhere, file)), "a column that is not the word's");
}
