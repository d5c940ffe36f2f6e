//! The reader of safetensors files takes any bytes without a panic, and in memory that is bounded by the file's length. It takes what the
//! crate `safetensors` takes; a table that it read can be written and read again; what it refuses, it refuses with a message that a terminal
//! can show.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hotrow::DType;
use hotrow::store::{
    Block, FileResult, Header, NewFile, ReadRows, SafetensorsReader, SafetensorsWriter, Storage, Target, Values, WriteRows,
};

use super::peak::peak;

/// A reader may hold so many bytes, and [`EACH`] for every byte of the file. A block has four million bytes.
const ALWAYS: usize = 5 << 20;
const EACH: usize = 100;
/// A file may be read in so many blocks, and one for each of its bytes. Four billion rows without a number take a thousand.
const BLOCKS: usize = 1100;

/// The bytes are the file.
pub fn check(file: &[u8]) {
    let copy = file.to_vec();
    let (read, held) = peak(move || drain(copy, |_| ()));
    assert!(held <= ALWAYS + EACH * file.len(), "{held} bytes were held to read {}", file.len());
    let header = Header::from_bytes("x", file.to_vec());
    match &header {
        Ok(header) => assert_consistent(header, file),
        Err(error) => assert_is_shown(&error.to_string()),
    }
    assert_agrees(&header, file);
    match read {
        Ok(_) => assert_rereads(file),
        Err(error) => assert_is_shown(&error.to_string()),
    }
}

/// Reads the only table to its end; returns its dim and whether it has words.
fn drain(file: Vec<u8>, mut each: impl FnMut(&Block)) -> FileResult<(usize, bool)> {
    let mut left = BLOCKS + file.len();
    let mut reader = SafetensorsReader::from_bytes("x", file, None)?;
    let mut block = Block::new(DType::F32);
    let mut rows = 0;
    loop {
        left = left.checked_sub(1).expect("a short file is read in a short time");
        let read = reader.read(&mut block)?;
        if read == 0 {
            break;
        }
        assert_eq!(block.values.len(), read * reader.info().dim);
        assert_eq!(block.words.len(), if reader.info().named { read } else { 0 });
        rows += read as u64;
        each(&block);
    }
    assert_eq!(reader.info().rows, Some(rows));
    Ok((reader.info().dim, reader.info().named))
}

/// Tensors follow each other from the header to the end of the file.
fn assert_consistent(header: &Header, file: &[u8]) {
    let mut at = header.data;
    for tensor in &header.tensors {
        assert_eq!(tensor.offset, at);
        let values: u128 = tensor.shape.iter().map(|&size| size as u128).product();
        assert_eq!(values * tensor.dtype.bits() as u128, u128::from(tensor.bytes) * 8);
        at += tensor.bytes;
    }
    assert_eq!(at, file.len() as u64);
}

/// What the crate takes is taken, and is the same; only a name that comes twice is refused.
fn assert_agrees(header: &FileResult<Header>, file: &[u8]) {
    let Ok(theirs) = safetensors::SafeTensors::deserialize(file) else { return };
    match header {
        Ok(ours) => {
            assert_eq!(ours.tensors.len(), theirs.len());
            for tensor in &ours.tensors {
                let other = theirs.tensor(&tensor.name).expect("a tensor of that name");
                assert_eq!((other.shape(), other.data().len() as u64), (&tensor.shape[..], tensor.bytes));
            }
        }
        Err(error) => assert!(error.to_string().contains("comes twice"), "refused: {error}"),
    }
}

/// The table, written and read again.
fn assert_rereads(file: &[u8]) {
    let read = |file: Vec<u8>| {
        let (mut bits, mut words, mut dtype) = (Vec::new(), Vec::new(), DType::F32);
        let keep = |block: &Block| {
            dtype = block.values.dtype();
            words.extend_from_slice(&block.words);
            match &block.values {
                Values::F32(values) => bits.extend(values.iter().map(|x| x.to_bits())),
                Values::F16(values) => bits.extend(values.iter().map(|x| u32::from(x.to_bits()))),
                Values::BF16(values) => bits.extend(values.iter().map(|x| u32::from(x.to_bits()))),
                _ => unreachable!(),
            }
        };
        let (dim, named) = drain(file, keep).expect("what was read can be read again");
        (dim, named, dtype, bits, words)
    };
    let first = read(file.to_vec());
    let (dim, named, dtype, ..) = first;
    let memory = Arc::new(Memory::default());
    let target = Target::create_in(memory.clone(), Path::new("out")).expect("a file in memory");
    let mut writer = SafetensorsWriter::into_target(target, "t", dim, dtype, named).expect("a header");
    drain(file.to_vec(), |block| writer.write(block).expect("a block")).expect("what was read can be read again");
    let rows = Box::new(writer).finish().expect("memory does not fail");
    if let Some(expected) = first.3.len().checked_div(dim) {
        assert_eq!(rows, expected as u64);
    }
    let written = memory.0.lock().unwrap()[Path::new("out")].lock().unwrap().clone();
    safetensors::SafeTensors::deserialize(&written).expect("the crate reads what is written here");
    let again = read(written);
    // Rows of no values are counted by their words.
    if first.4.len() + first.3.len() > 0 {
        assert!(again == first, "{again:?} instead of {first:?}");
    }
}

/// Nothing in it moves a terminal's cursor.
fn assert_is_shown(message: &str) {
    assert!(!message.chars().any(char::is_control), "control characters: {message:?}");
    assert!(message.starts_with("x: ") && message.len() < 4000, "{message}");
}

/// Files that are kept in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<HashMap<PathBuf, Arc<Mutex<Vec<u8>>>>>);

#[derive(Debug)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Storage for Memory {
    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        self.0.lock().unwrap().insert(path.to_owned(), bytes.clone());
        Ok(Box::new(Written(bytes)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().unwrap().remove(path);
        Ok(())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }
}

impl NewFile for Written {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        let (from, end) = (offset as usize, offset as usize + bytes.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        file[from..end].copy_from_slice(bytes);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
