//! Files of any size are converted in the memory of a few blocks.
#![allow(unsafe_code)] // an allocator that counts has to be one

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotrow::DType;
use hotrow::store::{BLOCK_BYTES, Block, Format, NewRows, RowOptions, Values, copy_rows, create_rows, open_rows};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Rows of a file of 12 MiB, if each value takes four bytes.
const ROWS: usize = 12 << 10;
const DIM: usize = 256;

/// What a conversion may hold at once: a block, what is read and written ahead, and the words.
const BOUND: usize = 2 * BLOCK_BYTES;

fn convert(from: &Path, to: &Path, format: Format) -> usize {
    let before = BYTES.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let mut rows = open_rows(from, &RowOptions::default()).unwrap();
    let info = rows.info().clone();
    let named = info.named && format.holds_words();
    let new = NewRows { dim: info.dim, rows: info.rows, dtype: info.dtype, named, table: None };
    let mut writer = create_rows(to, format, &new).unwrap();
    copy_rows(&mut *rows, &mut *writer, named, |_, _| {}).unwrap();
    assert_eq!(writer.finish().unwrap(), ROWS as u64);
    PEAK.load(Ordering::Relaxed) - before
}

/// One test, so that no other allocates meanwhile.
#[test]
fn memory_is_bounded_by_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let new = NewRows { dim: DIM, rows: None, dtype: DType::F32, named: true, table: None };
    let mut writer = create_rows(&path("0.bin"), Format::Word2vecBinary, &new).unwrap();
    for row in 0..ROWS {
        // Numbers of few digits, since text would be slow otherwise.
        let values = (0..DIM).map(|k| ((row + k) % 100) as f32 / 4.0).collect();
        writer.write(&Block { values: Values::F32(values), words: vec![format!("word {row}").replace(' ', "_")] }).unwrap();
    }
    writer.finish().unwrap();
    let steps = [
        ("1.npz", Format::Npz),
        ("2.safetensors", Format::Safetensors),
        ("3.csv", Format::Csv),
        ("4.vec", Format::FastText),
        ("5.bin", Format::Word2vecBinary),
    ];
    let mut last = path("0.bin");
    for (name, format) in steps {
        let next = path(name);
        let peak = convert(&last, &next, format);
        println!("{name}: {:.1} MiB at most", peak as f64 / f64::from(1 << 20));
        assert!(peak < BOUND, "{name}: {peak} bytes");
        last = next;
    }
    assert!(std::fs::metadata(&last).unwrap().len() > BOUND as u64, "the file is larger than the bound");
    assert!(std::fs::read(path("0.bin")).unwrap()[15..] == std::fs::read(&last).unwrap()[10..], "the rows are the same");
    let peak = convert(&last, &path("6.npy"), Format::Npy);
    let again = convert(&path("6.npy"), &path("7.npy"), Format::Npy);
    println!("6.npy: {peak}, 7.npy: {again} bytes at most");
    assert!(again < BOUND, "without words: {again} bytes");
}
