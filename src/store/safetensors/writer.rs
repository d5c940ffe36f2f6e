//! A table on its way into a safetensors file, block by block.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::header::quoted;
use super::layout::{Layout, NewTensor, lay_out};
use super::names::ids_of;
use crate::element::DType;
use crate::store::atomic::{Target, folder_of};
use crate::store::block::{Block, WriteRows};
use crate::store::bytes::to_bytes;
use crate::store::error::{FileError, FileResult};
use crate::store::stored::Stored;

/// Words wait in memory up to so many bytes, and beyond in a file that has no name.
const SPOOL_BYTES: usize = 4 << 20;

/// Writes one table into a safetensors file, with words if it has any, and with a CRC-32 of each. How many rows there will be need not be
/// known: the header is written last.
///
/// The words of the table `T` are the tensor `T.ids`: bytes that are a JSON array of strings, so that Python reads them with
/// `json.loads(bytes(tensor))`. Rows of no values are counted by their words.
///
/// ```
/// use hotrow::store::{Block, ReadRows, SafetensorsReader, SafetensorsWriter, Values, WriteRows};
/// use hotrow::DType;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("words.safetensors");
/// let mut writer = SafetensorsWriter::create(&path, "embeddings", 2, DType::F32, true)?;
/// let block = Block { values: Values::F32(vec![1.0, 2.0, 3.0, 4.0]), words: vec!["cat".into(), "dog".into()] };
/// writer.write(&block)?;
/// assert_eq!(Box::new(writer).finish()?, 2);
///
/// let mut reader = SafetensorsReader::open(&path, None)?;
/// let mut read = Block::new(reader.info().dtype);
/// assert_eq!((reader.read(&mut read)?, read), (2, block));
/// # Ok::<(), hotrow::store::FileError>(())
/// ```
#[derive(Debug)]
pub struct SafetensorsWriter {
    target: Target,
    table: String,
    dim: usize,
    dtype: DType,
    rows: u64,
    /// Bytes reserved for the header, before the table.
    head: usize,
    hasher: crc32fast::Hasher,
    words: Option<Spool>,
}

#[derive(Debug)]
struct Spool {
    file: tempfile::SpooledTempFile,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl SafetensorsWriter {
    /// Begins a file with one table of rows of `dim` values, each with a word if it is `named`.
    ///
    /// # Errors
    /// [`FileError`]: no file can be made there, or the table's name is too long for a header.
    pub fn create(path: &Path, table: &str, dim: usize, dtype: DType, named: bool) -> FileResult<SafetensorsWriter> {
        SafetensorsWriter::into_target(Target::create(path)?, table, dim, dtype, named)
    }

    /// [`create`](SafetensorsWriter::create) in a new file of any storage.
    ///
    /// # Errors
    /// As [`create`](SafetensorsWriter::create).
    pub fn into_target(target: Target, table: &str, dim: usize, dtype: DType, named: bool) -> FileResult<SafetensorsWriter> {
        let words = named.then(|| Spool {
            file: tempfile::SpooledTempFile::new_in(SPOOL_BYTES, folder_of(target.path())),
            hasher: crc32fast::Hasher::new(),
            bytes: 0,
        });
        let hasher = crc32fast::Hasher::new();
        let mut writer = SafetensorsWriter { target, table: table.to_owned(), dim, dtype, rows: 0, head: 0, hasher, words };
        // As many digits as the shape of any file can have, and room for those of the words: whatever comes, the header fits.
        let most = (1 << 61) / dim.saturating_mul(dtype.size()).max(1);
        writer.head = writer.layout(most, 0)?.head.len() + 64;
        writer.target.put(&vec![0; writer.head])?;
        Ok(writer)
    }

    /// The file with so many rows, and so many bytes of words.
    fn layout(&self, rows: usize, words: usize) -> FileResult<Layout> {
        let mut tensors = vec![NewTensor {
            name: self.table.clone(),
            dtype: Stored::from(self.dtype),
            shape: vec![rows, self.dim],
            crc32: Some(self.hasher.clone().finalize()),
        }];
        if let Some(spool) = &self.words {
            let crc32 = Some(spool.hasher.clone().finalize());
            tensors.push(NewTensor { name: ids_of(&self.table), dtype: Stored::U8, shape: vec![words], crc32 });
        }
        lay_out(&tensors, &BTreeMap::new(), self.head).map_err(|problem| self.unsupported(problem))
    }

    fn unsupported(&self, problem: impl Into<String>) -> FileError {
        FileError::unsupported(self.target.path().display().to_string(), problem)
    }

    /// Writes the words behind the table; returns how many bytes they are.
    fn put_words(&mut self) -> FileResult<u64> {
        let Some(spool) = &mut self.words else { return Ok(0) };
        let path = self.target.path().to_owned();
        let failure = |error: std::io::Error| FileError::io(&path, "keep the words until the rows are written", &error);
        spool.put(if self.rows == 0 { b"[]" } else { b"]" }).map_err(failure)?;
        spool.file.rewind().map_err(failure)?;
        let mut part = vec![0; 64 << 10];
        loop {
            let read = spool.file.read(&mut part).map_err(failure)?;
            if read == 0 {
                return Ok(spool.bytes);
            }
            self.target.put(&part[..read])?;
        }
    }
}

impl Spool {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

impl WriteRows for SafetensorsWriter {
    fn write(&mut self, block: &Block) -> FileResult<()> {
        let values = block.values.len();
        let rows = values.checked_div(self.dim).unwrap_or(block.words.len());
        if values != rows * self.dim {
            return Err(self.unsupported(format!("{values} values are no whole rows of {}", self.dim)));
        }
        let words = if self.words.is_some() { rows } else { 0 };
        if self.dim > 0 && block.words.len() != words {
            let (table, given) = (quoted(&self.table), block.words.len());
            return Err(self.unsupported(format!("{given} words for {rows} rows of the table {table}, which has {words}")));
        }
        let converted;
        let values = if block.values.dtype() == self.dtype {
            &block.values
        } else {
            converted = block.values.convert(self.dtype);
            &converted
        };
        let bytes = to_bytes(values.as_slice());
        self.hasher.update(&bytes);
        self.target.put(&bytes)?;
        if let Some(spool) = &mut self.words {
            let mut text = Vec::new();
            for (at, word) in block.words.iter().enumerate() {
                text.push(if self.rows == 0 && at == 0 { b'[' } else { b',' });
                text.extend(serde_json::Value::from(word.as_str()).to_string().bytes());
            }
            let kept = spool.put(&text);
            kept.map_err(|error| FileError::io(self.target.path(), "keep the words until the rows are written", &error))?;
        }
        self.rows += rows as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> FileResult<u64> {
        let words = self.put_words()?;
        let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
        let layout = self.layout(rows, usize::try_from(words).unwrap_or(usize::MAX))?;
        debug_assert_eq!((layout.head.len(), layout.bytes), (self.head, self.target.position()));
        self.target.flush().map_err(|error| self.target.failure(&error))?;
        self.target.write_at(0, &layout.head)?;
        self.target.commit()?;
        Ok(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::block::{ReadRows, Values};
    use crate::store::safetensors::{Header, SafetensorsReader};
    use crate::store::source::Source;
    use crate::{bf16, f16};
    use proptest::prelude::*;

    fn write(path: &Path, dim: usize, dtype: DType, named: bool, blocks: &[Block]) -> FileResult<u64> {
        let mut writer = SafetensorsWriter::create(path, "t", dim, dtype, named)?;
        for block in blocks {
            writer.write(block)?;
        }
        Box::new(writer).finish()
    }

    fn read(path: &Path) -> (Values, Vec<String>) {
        let mut reader = SafetensorsReader::open(path, None).unwrap();
        let (mut all, mut words) = (Vec::new(), Vec::new());
        let mut block = Block::new(DType::F32);
        while reader.read(&mut block).unwrap() > 0 {
            all.extend_from_slice(&to_bytes(block.values.as_slice()));
            words.append(&mut block.words);
        }
        let mut values = Values::new(reader.info().dtype);
        let len = all.len() / values.dtype().size();
        crate::store::bytes::fill_values(&mut values, len, |bytes| {
            bytes.copy_from_slice(&all);
            Ok::<_, ()>(())
        })
        .unwrap();
        (values, words)
    }

    fn values(dtype: DType, bits: &[u32]) -> Values {
        match dtype {
            DType::F32 => Values::F32(bits.iter().map(|&bits| f32::from_bits(bits)).collect()),
            DType::F16 => Values::F16(bits.iter().map(|&bits| f16::from_bits(bits as u16)).collect()),
            DType::BF16 => Values::BF16(bits.iter().map(|&bits| bf16::from_bits(bits as u16)).collect()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(
            dtype in prop_oneof![Just(DType::F32), Just(DType::F16), Just(DType::BF16)],
            dim in 1..40_usize,
            counts in proptest::collection::vec(0..5_usize, 0..4),
            words in proptest::collection::vec(".{0,5}", 16),
            named: bool,
            seed: u32,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.safetensors");
            let mut words = words.into_iter();
            let mut seed = seed;
            let mut blocks = Vec::new();
            for count in counts {
                let mut next = || { seed = seed.wrapping_mul(0x9e37_79b1).wrapping_add(99); seed };
                let bits: Vec<_> = (0..count * dim).map(|_| next()).collect();
                let words = if named { words.by_ref().take(count).collect() } else { Vec::new() };
                blocks.push(Block { values: values(dtype, &bits), words });
            }
            let rows = write(&path, dim, dtype, named, &blocks).unwrap();
            let (got, got_words) = read(&path);
            let want: Vec<u8> = blocks.iter().flat_map(|block| to_bytes(block.values.as_slice()).into_owned()).collect();
            prop_assert_eq!(&to_bytes(got.as_slice())[..], &want[..]);
            let want: Vec<_> = blocks.iter().flat_map(|block| block.words.clone()).collect();
            prop_assert_eq!(got_words, want);

            let header = Header::open(&path).unwrap();
            let table = header.tensor("t").unwrap();
            prop_assert_eq!(&table.shape[..], [rows as usize, dim]);
            prop_assert!(table.offset.is_multiple_of(64));
            prop_assert!(header.tensors.iter().all(|tensor| tensor.crc32.is_some()));
            safetensors::SafeTensors::deserialize(&std::fs::read(&path).unwrap()).unwrap();
        }
    }

    #[test]
    fn blocks_that_do_not_fit_are_refused_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let block = |values: usize, words: usize| Block { values: Values::F32(vec![0.0; values]), words: vec!["w".into(); words] };
        for (named, block, wanted) in [
            (false, block(5, 0), "5 values are no whole rows of 2"),
            (true, block(4, 1), "1 words for 2 rows of the table `t`, which has 2"),
            (false, block(4, 2), "2 words for 2 rows of the table `t`, which has 0"),
        ] {
            let error = write(&path, 2, DType::F32, named, &[block]).unwrap_err().to_string();
            assert!(error.ends_with(wanted), "{error}");
        }
        let error = SafetensorsWriter::create(&path, &"t".repeat(20 << 20), 2, DType::F32, false).unwrap_err();
        assert!(error.to_string().contains("the header would have"), "{error}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn blocks_of_another_element_are_rounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let block = Block { values: Values::F32(vec![0.1, -2.0]), words: Vec::new() };
        write(&path, 1, DType::BF16, false, &[block]).unwrap();
        assert_eq!(read(&path).0, Values::BF16(vec![bf16::from_f32(0.1), bf16::from_f32(-2.0)]));
    }

    #[test]
    fn numbers_of_other_types_are_converted_and_it_is_said() {
        let layout = |dtype| {
            let tensor = NewTensor { name: "t".into(), dtype, shape: vec![2, 1], crc32: None };
            lay_out(&[tensor], &BTreeMap::new(), 0).unwrap().head
        };
        let doubles = [layout(Stored::F64), 0.1f64.to_le_bytes().to_vec(), 1e300f64.to_le_bytes().to_vec()].concat();
        let mut reader = SafetensorsReader::from_bytes("x", doubles, None).unwrap();
        assert_eq!(reader.info().notes, ["f64 values are rounded to f32"]);
        let mut block = Block::new(DType::F16);
        assert_eq!(reader.read(&mut block).unwrap(), 2);
        assert_eq!(block.values, Values::F32(vec![0.1, f32::INFINITY]));
        assert_eq!((reader.read(&mut block).unwrap(), block.values.len()), (0, 0));
    }

    #[test]
    fn damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let block = Block { values: Values::F32(vec![0.5; 6]), words: vec!["cat".into(), "dog".into()] };
        write(&path, 3, DType::F32, true, &[block]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let header = Header::read(&Source::memory("x", bytes.clone())).unwrap();
        let drain = |bytes: Vec<u8>| {
            let mut reader = SafetensorsReader::from_bytes("x", bytes, None)?;
            let mut block = Block::new(DType::F32);
            while reader.read(&mut block)? > 0 {}
            Ok::<_, FileError>(())
        };
        drain(bytes.clone()).unwrap();
        for tensor in &header.tensors {
            for at in tensor.offset..tensor.offset + tensor.bytes {
                let mut bytes = bytes.clone();
                bytes[at as usize] ^= 1 << (at % 8);
                let error = drain(bytes).unwrap_err().to_string();
                assert!(error.starts_with(&format!("x: tensor `{}` is damaged: its checksum is ", tensor.name)), "{error}");
            }
        }
    }
}
