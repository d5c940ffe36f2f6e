//! The reader of workload lists takes any bytes without a panic. What it accepts can be run: no zero, no size that does not fit.
//! What it refuses, it refuses with the name of a workload or a field.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use std::collections::HashSet;

use hotrow::DType;
use hotrow_cli::bench::{Against, BagLen, Dist, IdDtype, Lookups, Op, Pooling, Workload, WorkloadError, read_workloads};

pub fn check(bytes: &[u8]) {
    match read_workloads(bytes) {
        Ok(list) => assert_consistent(&list, bytes),
        Err(error) => assert_names_its_place(&error),
    }
}

pub fn assert_consistent(list: &[Workload], bytes: &[u8]) {
    // A workload takes more bytes than its six required keys.
    assert!(list.len() <= bytes.len() / 40, "{} workloads in {} bytes", list.len(), bytes.len());
    let names: HashSet<&str> = list.iter().map(|workload| workload.name.as_str()).collect();
    assert_eq!(names.len(), list.len(), "a name is there twice");
    for workload in list {
        assert!(!workload.name.is_empty() && !workload.name.contains(char::is_control), "{workload:?}");
        assert_fits(workload, bytes);
        assert_means_something(workload);
    }
}

/// No size is zero, and every product of sizes fits.
fn assert_fits(workload: &Workload, bytes: &[u8]) {
    let Workload { tables, rows, dim, dtype, id_dtype, .. } = *workload;
    let most = match id_dtype {
        IdDtype::I64 => u32::MAX as usize,
        IdDtype::I32 => i32::MAX as usize,
    };
    assert!((1..=most).contains(&rows), "{workload:?}");
    let (ids, lens) = match &workload.lookups {
        Lookups::Ids(ids) => (Some(*ids), 1),
        Lookups::Bags { bags, bag_len: BagLen::Same(len) } => (bags.checked_mul(*len), 1),
        Lookups::Bags { bags, bag_len: BagLen::PerTable(lens) } => {
            assert_eq!(lens.len(), tables, "{workload:?}");
            (lens.iter().try_fold(0, |sum: usize, &len| sum.checked_add(bags.checked_mul(len).filter(|&n| n > 0)?)), lens.len())
        }
        Lookups::Listed { .. } => panic!("a workload list holds no ids: {workload:?}"),
    };
    // A list of numbers is as long as the file at most.
    assert!(lens <= bytes.len(), "{workload:?}");
    let ids = ids.expect("the number of ids fits");
    for factors in [[tables, rows, dim, dtype.size()], [ids, dim, 4, 1], [ids, 8, 1, 1]] {
        let product = factors.iter().try_fold(1usize, |product, &factor| product.checked_mul(factor));
        assert!(product.is_some_and(|n| 0 < n && n <= isize::MAX as usize), "{factors:?} of {workload:?}");
    }
}

/// No combination that has no meaning.
fn assert_means_something(workload: &Workload) {
    let Workload { op, dtype, out_dtype, pooling, .. } = *workload;
    let bags = matches!(workload.lookups, Lookups::Bags { .. });
    assert_eq!(bags, pooling != Pooling::None, "{workload:?}");
    assert!((bags && pooling != Pooling::Max) || !workload.weighted, "{workload:?}");
    match op {
        Op::Gather | Op::ScatterAdd | Op::Nearest => assert!(!bags, "{workload:?}"),
        Op::Bag => assert!(bags, "{workload:?}"),
        Op::TrainStep => {}
    }
    assert_eq!(workload.search.is_some(), op == Op::Nearest, "{workload:?}");
    assert_eq!(workload.optimizer.is_some(), op == Op::TrainStep, "{workload:?}");
    assert!(out_dtype == dtype || out_dtype == DType::F32, "{workload:?}");
    match workload.dist {
        Dist::Zipf(exponent) => assert!((0.0..=64.0).contains(&exponent), "{workload:?}"),
        Dist::Hot(share) => assert!((0.0..=1.0).contains(&share), "{workload:?}"),
        Dist::Uniform | Dist::Production => {}
    }
    if workload.against == Some(Against::OneHotMatmul) {
        assert!(op == Op::Gather && dtype == DType::F32, "{workload:?}");
    }
}

/// The error names a workload, or a field of the list, or a place in the JSON text. A terminal can show it.
pub fn assert_names_its_place(error: &WorkloadError) {
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "control characters: {message:?}");
    assert!(message.len() < 1000, "{} bytes: {message}", message.len());
    let named = match error {
        WorkloadError::Json { .. } => message.contains(" at line ") || message.contains("must be an object"),
        WorkloadError::List { field, .. } => message.contains(&format!("field `{field}`")),
        WorkloadError::Field { workload, field, .. } => message.starts_with(&format!("workload {workload}: field `{field}`")),
        WorkloadError::Duplicate { name, first, second } => {
            assert!(first < second, "{message}");
            message.starts_with(&format!("workload {name:?} "))
        }
        other => panic!("an error that this check does not know: {other:?}"),
    };
    assert!(named, "{message}");
}
