//! Folders of checkpoints: manifests of any bytes, and deltas of any row numbers.
//!
//! The first byte says what the others are:
//!
//! - `m`: the file of a manifest;
//! - `s`: what is inside of one, to be sealed with its checksum; the shard that it may name is there;
//! - `d`: a delta: rows and dim of the table in a byte each, and the numbers of the changed rows in two bytes each.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hotrow::store::{Checkpoints, Snapshot};
use hotrow::{Adagrad, AnyTable, Optimizer, RowSet, Table};
use serde_json::Value;

const SHARD: &str = "step-1.0.1-of-1.safetensors";

/// The check.
pub(crate) fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'm', rest)) => manifest(rest),
        Some((b's', rest)) => sealed(rest),
        Some((b'd', rest)) => delta(rest),
        _ => {}
    }
}

/// A folder that goes when it is dropped, in memory where that can be.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder for the check")
}

fn manifest(bytes: &[u8]) {
    let folder = folder();
    fs::write(folder.path().join("step-1.json"), bytes).expect("a file in the folder");
    let _ = Checkpoints::open(folder.path()).info(1);
    let mut checkpoints = Checkpoints::open(folder.path());
    assert!(
        checkpoints.load_last().is_err() || !bytes.windows(7).any(|part| part == b"\"bytes\""),
        "there are no shards to be loaded"
    );
}

/// A manifest and its shard that are as they should be: the contents of the manifest, and the shard.
fn sound() -> &'static (String, Vec<u8>) {
    static SOUND: OnceLock<(String, Vec<u8>)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = folder();
        let table = Table::<f32>::uniform(3, 2, 7).expect("a table");
        let optimizer = Optimizer::new(Adagrad::default(), 3, 2).expect("an optimizer");
        let ids = ["a", "b", "c"].map(String::from);
        let snapshot = Snapshot::new(1).table("t", &table).and_then(|snapshot| snapshot.optimizer("t", &optimizer));
        let snapshot = snapshot.and_then(|snapshot| snapshot.ids("t", &ids)).expect("a snapshot");
        Checkpoints::open(folder.path()).save(&snapshot).expect("it can be saved");
        let text = fs::read_to_string(folder.path().join("step-1.json")).expect("a manifest");
        (inner(&text).to_owned(), fs::read(folder.path().join(SHARD)).expect("a shard"))
    })
}

/// What is inside of a manifest.
fn inner(text: &str) -> &str {
    let start = text.find("\"manifest\":").expect("a manifest") + "\"manifest\":".len();
    &text[start..text.len() - "}\n".len()]
}

/// The file of a manifest with these contents.
fn seal(inner: &[u8]) -> Vec<u8> {
    let head =
        format!("{{\"format\":\"hotrow-checkpoint\",\"version\":1,\"crc32\":\"{:08x}\",\"manifest\":", crc32fast::hash(inner));
    [head.as_bytes(), inner, b"}\n"].concat()
}

fn sealed(inner: &[u8]) {
    let (sound, shard) = sound();
    let folder = folder();
    fs::write(folder.path().join("step-1.json"), seal(inner)).expect("a file in the folder");
    fs::write(folder.path().join(SHARD), shard).expect("a file in the folder");
    let mut checkpoints = Checkpoints::open(folder.path());
    let loaded = checkpoints.load(1);
    assert_eq!(loaded.is_ok(), checkpoints.load_last().is_ok());
    match loaded {
        Ok(checkpoint) => {
            let expected = checkpoints.info(1).expect("it was loaded").tables;
            let mut bytes = 0;
            for (table, info) in checkpoint.tables().iter().zip(&expected) {
                let [rows, dim] = table.table.shape();
                assert_eq!((table.table.shape(), table.table.dtype(), &table.name), (info.shape, info.dtype, &info.name));
                assert_eq!(table.ids.as_ref().map_or(rows, Vec::len), rows);
                bytes += rows * dim * table.table.dtype().size();
            }
            assert!(bytes <= shard.len(), "{bytes} bytes of tables from a shard of {}", shard.len());
        }
        Err(error) => {
            assert_ne!(inner, sound.as_bytes(), "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
}

fn delta(bytes: &[u8]) {
    let [rows, dim, numbers @ ..] = bytes else { return };
    let (rows, dim) = (usize::from(*rows), usize::from(*dim % 5));
    let numbers: Vec<u32> = numbers.chunks_exact(2).map(|two| u32::from(u16::from_le_bytes([two[0], two[1]]))).take(rows).collect();
    // A number beyond 16 bits stands for one that no table has.
    let numbers: Vec<u32> = numbers.into_iter().map(|number| if number == 0xffff { u32::MAX } else { number }).collect();
    let folder = folder();
    let base = Table::<f32>::uniform(rows, dim, 7).expect("a table");
    let changed = Table::<f32>::from_fn(rows, dim, |row, column| (row * 8 + column) as f32).expect("a table");
    let mut touched = RowSet::new(rows).expect("a set");
    (0..numbers.len() as u32).for_each(|row| touched.mark(row).expect("a row of the table"));
    let mut saver = Checkpoints::open(folder.path());
    let save = |saver: &mut Checkpoints| {
        saver.save(&Snapshot::new(1).table("t", &base)?)?;
        saver.save_delta(&Snapshot::new(2).table("t", &changed)?, &[("t", &touched)])
    };
    save(&mut saver).expect("it can be saved");
    change_rows(folder.path(), &numbers);

    let loaded = Checkpoints::open(folder.path()).load(2);
    let right = numbers.is_sorted_by(|a, b| a < b) && numbers.iter().all(|&row| (row as usize) < rows);
    assert_eq!(loaded.is_ok(), right, "{numbers:?} of {rows} rows: {:?}", loaded.err());
    let Ok(mut loaded) = loaded else { return };
    let AnyTable::F32(table) = loaded.take("t").expect("the table").table else { panic!("another element") };
    for row in 0..rows {
        let expected = match numbers.iter().position(|&number| number as usize == row) {
            Some(at) => changed.row(at),
            None => base.row(row),
        };
        assert_eq!(table.row(row), expected, "row {row}");
    }
}

/// Replaces the row numbers of the delta of step 2, and the checksums of all that has changed by that.
fn change_rows(folder: &Path, numbers: &[u32]) {
    let path: PathBuf = folder.join("step-2.json");
    let text = fs::read_to_string(&path).expect("a manifest");
    let mut manifest: Value = serde_json::from_str(inner(&text)).expect("JSON");
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let tensors = manifest["tensors"].as_array_mut().expect("tensors");
    for tensor in tensors.iter_mut().filter(|tensor| tensor["name"] == "t.rows") {
        let piece = &mut tensor["pieces"][0];
        let start = piece["offset"].as_u64().expect("an offset") as usize;
        piece["crc32"] = format!("{:08x}", crc32fast::hash(&bytes)).into();
        let shard = folder.join("step-2.0.1-of-1.safetensors");
        let mut file = fs::read(&shard).expect("a shard");
        file[start..start + bytes.len()].copy_from_slice(&bytes);
        fs::write(&shard, file).expect("a file in the folder");
    }
    fs::write(&path, seal(manifest.to_string().as_bytes())).expect("a file in the folder");
}
