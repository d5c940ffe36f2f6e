//! The fuzzer's corpus of safetensors files, replayed. Its allocator counts, so it is a program of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[path = "../fuzz/bodies/peak.rs"]
mod peak;
#[path = "../fuzz/bodies/safetensors.rs"]
mod tensors;

#[test]
fn any_bytes_are_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/safetensors");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 20, "the corpus is there");
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        // Every beginning of a file is a file that was cut short.
        let cuts = (0..bytes.len().min(2000)).step_by(7).chain([bytes.len()]);
        for cut in cuts {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tensors::check(&bytes[..cut]))) {
                eprintln!("that was {cut} bytes of {}", path.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
}
