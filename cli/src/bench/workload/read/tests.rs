use super::*;
use crate::bench::STANDARD;

/// A list of one gather, with `fields` added or put in place of its own.
fn list(fields: &str) -> String {
    let mut base: Value = serde_json::json!({"name": "w", "op": "gather", "rows": 100, "dim": 16, "dtype": "f32", "ids": 8});
    let Value::Object(changes) = serde_json::from_str(fields).expect("the test's own JSON") else { panic!("an object") };
    for (key, value) in changes {
        let object = base.as_object_mut().expect("an object");
        if value.is_null() {
            object.remove(&key)
        } else {
            object.insert(key, value)
        };
    }
    serde_json::json!({"schema": 1, "workloads": [base]}).to_string()
}

fn read(fields: &str) -> Result<Workload, String> {
    let mut all = read_workloads(list(fields).as_bytes()).map_err(|error| error.to_string())?;
    Ok(all.remove(0))
}

const BAG: &str = r#""op": "bag", "ids": null, "bags": 4"#;

#[test]
fn the_standard_list_is_read() {
    let all = read_workloads(STANDARD).expect("the list that is built in");
    let by_name = |name: &str| all.iter().find(|w| w.name == name).expect("a standard workload");
    assert_eq!(all.len(), 35);
    assert_eq!(by_name("nearest-words").search, Some(Search { k: 10, metric: Metric::Cosine }));
    assert_eq!(by_name("gather-bf16-to-f32").out_dtype, DType::F32);
    assert_eq!(by_name("gather-f16-uniform").out_dtype, DType::F16);
    assert_eq!(by_name("bag-bf16-uniform").out_dtype, DType::F32);
    assert_eq!(by_name("gather-f32-zipf").dist, Dist::Zipf(1.05));
    assert_eq!(by_name("scatter-f32-one-hot-row").dist, Dist::Hot(0.5));
    assert_eq!(by_name("tbe-production-reuse").dist, Dist::Production);
    assert_eq!(by_name("bag-fbgemm-kernel").threads, NonZeroUsize::new(1));
    assert_eq!(by_name("one-hot-matmul").against, Some(Against::OneHotMatmul));
    assert_eq!(by_name("train-sequence-sgd").lookups, Lookups::Ids(131_072));
    assert_eq!(by_name("train-sgd").lookups, Lookups::Bags { bags: 4096, bag_len: BagLen::Same(32) });
    let Lookups::Bags { bag_len: BagLen::PerTable(lens), .. } = &by_name("mlperf-multihot").lookups else {
        panic!("one bag length a table")
    };
    assert_eq!((lens.len(), lens.iter().sum::<usize>()), (26, 214));
}

#[test]
fn defaults_are_those_of_the_format() {
    let workload = read("{}").expect("a workload of required fields alone");
    assert_eq!(workload.tables, 1);
    assert_eq!(workload.dist, Dist::Uniform);
    assert_eq!(workload.id_dtype, IdDtype::I64);
    assert_eq!((workload.threads, workload.level, workload.against), (None, None, None));
    let bag = read(&format!(r#"{{{BAG}, "bag_len": 3}}"#)).expect("a bag");
    assert_eq!((bag.pooling, bag.weighted), (Pooling::Sum, false));
    let search = read(r#"{"op": "nearest", "ids": null, "dtype": "f16"}"#).expect("a search");
    assert_eq!((search.lookups, search.out_dtype), (Lookups::Ids(1), DType::F32));
    assert_eq!(search.search, Some(Search { k: 10, metric: Metric::Cosine }));
}

#[test]
fn errors_name_the_workload_and_the_field() {
    let cases: &[(&str, &str)] = &[
        (r#"{"name": null}"#, "workload #1: field `name` is missing"),
        (r#"{"name": 3}"#, "workload #1: field `name` must be a string, not 3"),
        (r#"{"name": ""}"#, "workload #1: field `name` must be a string of at least one character"),
        (r#"{"name": "a\nb"}"#, "none of them a control character"),
        (
            r#"{"op": "sort"}"#,
            r#"workload "w": field `op` must be one of gather, bag, scatter_add, train_step, nearest, not "sort""#,
        ),
        (r#"{"op": null}"#, r#"workload "w": field `op` is missing"#),
        (r#"{"rows": null}"#, r#"workload "w": field `rows` is missing"#),
        (r#"{"dtype": null}"#, r#"workload "w": field `dtype` is missing"#),
        (r#"{"rows": 0}"#, r#"workload "w": field `rows` must be a whole number of at least 1, not 0"#),
        (r#"{"rows": -5}"#, "field `rows` must be a whole number of at least 1, not -5"),
        (r#"{"rows": 4294967296}"#, "field `rows` makes the number of rows too large"),
        (r#"{"rows": 3000000000, "id_dtype": "i32"}"#, "field `rows` makes the number of rows too large"),
        (r#"{"dim": 18446744073709551615}"#, "makes the tables too large"),
        (r#"{"tables": 9223372036854775807}"#, "makes the tables too large"),
        (r#"{"ids": 0}"#, r#"workload "w": field `ids` must be a whole number of at least 1, not 0"#),
        (r#"{"ids": null}"#, r#"workload "w": field `ids` is missing"#),
        (r#"{"ids": 1.5}"#, "field `ids` must be a whole number of at least 1, not 1.5"),
        (r#"{"ids": 9223372036854775807}"#, "field `ids` makes a batch of ids too large"),
        (r#"{"ids": 1000000000000, "rows": 4000000000, "against": "one_hot_matmul"}"#, "makes the one-hot matrix too large"),
        (r#"{"thread": 2}"#, "field `thread` is not known: the fields are name, op, "),
        (r#"{"threads": 0}"#, "field `threads` must be a whole number of at least 1, not 0"),
        (r#"{"level": "sse"}"#, "field `level` must be one of portable, avx2, avx512"),
        (r#"{"dist": {"zipf": -1}}"#, "field `dist` must be a Zipf exponent from 0 to 64, not -1"),
        (r#"{"dist": {"hot": 1.5}}"#, "field `dist` must be a share from 0 to 1, not 1.5"),
        (r#"{"dist": {"hot": 0.5, "zipf": 1}}"#, r#"field `dist` must be "uniform", "production""#),
        (r#"{"dist": "zipf"}"#, r#"field `dist` must be "uniform", "production""#),
        (r#"{"out_dtype": "f16"}"#, "field `out_dtype` must be the table's own element or f32, not f16"),
        (r#"{"bags": 4}"#, "field `bags` does not apply to an un-pooled operation"),
        (r#"{"optimizer": "sgd"}"#, "field `optimizer` does not apply to an operation other than train_step"),
        (r#"{"dtype": "bf16", "against": "one_hot_matmul"}"#, "field `against` does not apply to anything but a gather"),
        (r#"{"op": "train_step", "pooling": "none"}"#, "field `optimizer` is missing"),
        (r#"{"op": "train_step", "optimizer": "sgd"}"#, "field `ids` does not apply to a pooled train step"),
        (r#"{"op": "bag"}"#, "field `ids` does not apply to bags"),
    ];
    for (fields, expected) in cases {
        let error = read(fields).expect_err(fields);
        assert!(error.contains(expected), "{fields}: {error}");
    }
}

#[test]
fn bag_lengths_are_checked() {
    let cases: &[(&str, &str)] = &[
        (r#""tables": 3, "bag_len": [1, 2]"#, "field `bag_len` must have one number for each of the 3 tables, but has 2"),
        (r#""tables": 2, "bag_len": [1, 0]"#, "field `bag_len` must be a whole number of at least 1, not 0"),
        (r#""bag_len": "many""#, "field `bag_len` must be a whole number"),
        (r#""tables": 1"#, "field `bag_len` is missing"),
        (r#""bag_len": 2, "pooling": "none""#, r#"field `pooling` must be one of sum, mean, max, sqrtn, not "none""#),
        (r#""bag_len": 2, "pooling": "median""#, "field `pooling` must be one of sum, mean, max, sqrtn, none"),
        (r#""bag_len": 2, "pooling": "max", "weighted": true"#, "field `weighted` does not apply to pooling by the maximum"),
        (r#""bag_len": 9223372036854775807"#, "field `bag_len` makes a batch of ids too large"),
    ];
    for (fields, expected) in cases {
        let error = read(&format!("{{{BAG}, {fields}}}")).expect_err(fields);
        assert!(error.contains(expected), "{fields}: {error}");
    }
}

#[test]
fn the_list_itself_is_checked() {
    let one = r#"{"name": "a", "op": "gather", "rows": 1, "dim": 1, "dtype": "f32", "ids": 1}"#;
    let twice = format!(r#"{{"schema": 1, "workloads": [{one}, {one}]}}"#);
    let cases: &[(&str, &str)] = &[
        ("", "not valid JSON: EOF"),
        ("[]", "not valid JSON: it must be an object, not a list of 0"),
        (r#"{"workloads": []}"#, "field `schema` is missing"),
        (r#"{"schema": 2, "workloads": []}"#, "field `schema` must be 1, not 2"),
        (r#"{"schema": 1}"#, "field `workloads` is missing"),
        (r#"{"schema": 1, "workloads": {}}"#, "field `workloads` must be a list, not an object"),
        (r#"{"schema": 1, "workloads": [7]}"#, "workload #1: field `workloads` must be a list of objects, not 7"),
        (r#"{"schema": 1, "workloads": [], "seed": 1}"#, "field `seed` is not known: the fields are schema, workloads"),
        (&twice, r#"workload "a" is there twice: as number 1 and as number 2 of the list"#),
    ];
    for (text, expected) in cases {
        let error = read_workloads(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

/// Many prefixes of the standard list, and every single changed byte of one of its entries: an error or a list, no panic.
#[test]
fn damaged_bytes_do_not_panic() {
    for end in (0..STANDARD.len()).step_by(7) {
        assert!(read_workloads(&STANDARD[..end]).is_err() || STANDARD[end..].trim_ascii().is_empty());
    }
    let mut bytes = list(r#"{"dist": {"zipf": 1.05}, "tables": 3}"#).into_bytes();
    for i in 0..bytes.len() {
        let kept = bytes[i];
        for byte in [0, b'"', b'9', b'-', b'e', b'{', 0xff] {
            bytes[i] = byte;
            let _ = read_workloads(&bytes);
        }
        bytes[i] = kept;
    }
    let deep = "[".repeat(100_000);
    assert!(read_workloads(deep.as_bytes()).is_err());
}
