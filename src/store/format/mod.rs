//! Embedding files of other tools.

mod csv;
mod detect;
#[cfg(feature = "keras-h5")]
mod keras;
mod lines;
pub(super) mod npy;
pub(super) mod npz;
mod number;
mod sink;
mod source;
mod text;
mod word2vec;
mod words;

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::str::FromStr;

use super::atomic::{Target, folder_of};
use super::block::{Block, ReadRows, WriteRows, check_dim};
use super::error::{FileError, FileResult};
use super::safetensors::{DEFAULT_TABLE, SafetensorsReader, SafetensorsWriter};
use crate::element::DType;
use csv::{CsvReader, CsvWriter};
use npy::{NpyReader, NpyWriter};
use npz::{NpzReader, NpzWriter};
pub(super) use number::shown;
use sink::Sink;
use source::{cannot_read, fill};
use text::{Dialect, TextReader, TextWriter};
use word2vec::{Word2vecReader, Word2vecWriter};
pub(super) use words::Seen;

/// The format of an embedding file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Tensors of Hugging Face's format; words in a tensor `<table>.ids`.
    Safetensors,
    /// One array of NumPy's, without words.
    Npy,
    /// A zip archive of NumPy's arrays, with words in the array `words`.
    Npz,
    /// A line `rows dim`, then lines of a word and its numbers.
    Word2vecText,
    /// A line `rows dim`, then words and f32 numbers of four bytes.
    Word2vecBinary,
    /// Lines of a word and its numbers.
    Glove,
    /// fastText's `.vec`: word2vec's text with a space at the end of a line.
    FastText,
    /// Numbers separated by commas, perhaps with words and a line of names.
    Csv,
    /// Numbers separated by tabs, perhaps with words and a line of names.
    Tsv,
    /// The `.weights.h5` of Keras 3. Read only, with the cargo feature `keras-h5`.
    KerasH5,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 10] = [
        Format::Safetensors,
        Format::Npy,
        Format::Npz,
        Format::Word2vecText,
        Format::Word2vecBinary,
        Format::Glove,
        Format::FastText,
        Format::Csv,
        Format::Tsv,
        Format::KerasH5,
    ];

    /// Its name, as `Format::from_str` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Npy => "npy",
            Format::Npz => "npz",
            Format::Word2vecText => "word2vec",
            Format::Word2vecBinary => "word2vec-binary",
            Format::Glove => "glove",
            Format::FastText => "fasttext",
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::KerasH5 => "keras",
        }
    }

    /// Whether its files can have words beside the rows.
    pub const fn holds_words(self) -> bool {
        !matches!(self, Format::Npy | Format::KerasH5)
    }

    /// Whether tables have names in its files.
    pub const fn names_tables(self) -> bool {
        matches!(self, Format::Safetensors | Format::Npz | Format::KerasH5)
    }

    /// Whether its files always have words. Where a table has none, the numbers of its rows are written.
    pub const fn needs_words(self) -> bool {
        matches!(self, Format::Word2vecText | Format::Word2vecBinary | Format::Glove | Format::FastText)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        Format::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
            format!("the formats are {}", names.join(", "))
        })
    }
}

/// What is to be read of a file.
#[derive(Clone, Debug, Default)]
pub struct RowOptions {
    /// The format; without one, [`Format::of`] decides.
    pub format: Option<Format>,
    /// The table of a file that may have several: a tensor, an array, a layer. Without one, there must be only one.
    pub table: Option<String>,
    /// Replace what is not UTF-8 in words by U+FFFD, with a note, instead of refusing it.
    pub lossy: bool,
}

/// What is going to be written.
#[derive(Clone, Debug)]
pub struct NewRows {
    /// Values in a row, at least 1.
    pub dim: usize,
    /// How many rows will come at most, where that is known.
    pub rows: Option<u64>,
    /// The element, to which values are rounded. Text and word2vec's binary format have none of their own: they hold the values of any element.
    pub dtype: DType,
    /// Whether each row has a word.
    pub named: bool,
    /// The name of the table, `embeddings` without one; for formats that have names for tables.
    pub table: Option<String>,
}

/// Opens a file of any format, to be read block by block.
///
/// # Errors
/// [`FileError`]: it cannot be opened, its format cannot be told or used, or its start is not what the format asks for.
///
/// ```
/// use hotrow::store::{Block, RowOptions, open_rows};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("animals.vec");
/// std::fs::write(&path, "2 3\ncat 0.5 1 0\ndog 0.25 -1 0\n")?;
/// let mut rows = open_rows(&path, &RowOptions::default())?;
/// assert_eq!((rows.info().rows, rows.info().dim), (Some(2), 3));
/// let mut block = Block::new(rows.info().dtype);
/// assert_eq!(rows.read(&mut block)?, 2);
/// assert_eq!(block.words, ["cat", "dog"]);
/// assert_eq!(rows.read(&mut block)?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_rows(path: &Path, options: &RowOptions) -> FileResult<Box<dyn ReadRows>> {
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(|error| FileError::io(path, "open the file", &error))?;
    if file.metadata().map_err(cannot_read(&name))?.is_dir() {
        return Err(FileError::unsupported(name, "this is a folder; a file is needed"));
    }
    let format = match options.format {
        Some(format) => format,
        None => detect(&mut file, path)?,
    };
    if format == Format::Safetensors {
        return Ok(Box::new(SafetensorsReader::open(path, options.table.as_deref())?));
    }
    #[cfg(feature = "keras-h5")]
    if format == Format::KerasH5 {
        return Ok(Box::new(keras::KerasReader::open(path, options.table.as_deref())?));
    }
    read_rows(file, &name, &RowOptions { format: Some(format), ..options.clone() })
}

/// The format of a file.
pub(super) fn format_of(path: &Path) -> FileResult<Format> {
    detect(&mut File::open(path).map_err(|error| FileError::io(path, "open the file", &error))?, path)
}

/// The format of an open file, which is at its start before and after.
fn detect(file: &mut (impl Read + Seek), path: &Path) -> FileResult<Format> {
    const FIRST: usize = 4096;
    let name = path.display().to_string();
    let mut first = [0; FIRST];
    let length = fill(file, &mut first).map_err(cannot_read(&name))?;
    file.seek(SeekFrom::Start(0)).map_err(cannot_read(&name))?;
    Format::of(path, &first[..length]).ok_or_else(|| {
        // The first word of a fastText model.
        if first.starts_with(&0x2f4f_16ba_u32.to_le_bytes()) {
            return FileError::unsupported(&name, "this is a model of fastText; its vectors are in the `.vec` file beside it");
        }
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        FileError::unsupported(
            &name,
            format!("neither its name nor its first bytes tell its format; choose one of {}", names.join(", ")),
        )
    })
}

/// [`open_rows`] of a source of bytes, such as a file in memory. Errors call it by the name. A safetensors file is taken into memory first, and so is one of Keras.
///
/// # Errors
/// As [`open_rows`].
pub fn read_rows<'a, R: Read + Seek + 'a>(mut source: R, name: &str, options: &RowOptions) -> FileResult<Box<dyn ReadRows + 'a>> {
    let bytes = source.seek(SeekFrom::End(0)).map_err(cannot_read(name))?;
    source.seek(SeekFrom::Start(0)).map_err(cannot_read(name))?;
    let format = match options.format {
        Some(format) => format,
        None => detect(&mut source, Path::new(name))?,
    };
    if let Some(table) = options.table.as_ref().filter(|_| !format.names_tables()) {
        let shown = shown(table.as_bytes());
        return Err(FileError::unsupported(
            name,
            format!("a file of {format} has one table, without a name, so there is no `{shown}`"),
        ));
    }
    let source = BufReader::with_capacity(BUFFER_BYTES, source);
    let text = |dialect| move |source| Ok(Box::new(TextReader::new(source, name, bytes, dialect, options.lossy)?) as Box<_>);
    match format {
        Format::Word2vecText => text(Dialect::Word2vec)(source),
        Format::FastText => text(Dialect::FastText)(source),
        Format::Glove => text(Dialect::Glove)(source),
        Format::Word2vecBinary => Ok(Box::new(Word2vecReader::new(source, name, bytes, options.lossy)?)),
        Format::Npy => Ok(Box::new(NpyReader::new(source, name, bytes)?)),
        Format::Npz => Ok(Box::new(NpzReader::new(source, name, options.table.as_deref())?)),
        Format::Csv => Ok(Box::new(CsvReader::new(source, name, bytes, b',', options.lossy)?)),
        Format::Tsv => Ok(Box::new(CsvReader::new(source, name, bytes, b'\t', options.lossy)?)),
        Format::Safetensors => {
            let mut all = Vec::new();
            source.into_inner().read_to_end(&mut all).map_err(cannot_read(name))?;
            Ok(Box::new(SafetensorsReader::from_bytes(name, all, options.table.as_deref())?))
        }
        #[cfg(feature = "keras-h5")]
        Format::KerasH5 => {
            let mut all = Vec::new();
            source.into_inner().read_to_end(&mut all).map_err(cannot_read(name))?;
            Ok(Box::new(keras::KerasReader::from_bytes(all, name, options.table.as_deref())?))
        }
        #[cfg(not(feature = "keras-h5"))]
        Format::KerasH5 => Err(FileError::unsupported(name, KERAS)),
    }
}

/// What is read from a file at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Begins a new file, which takes its name in [`WriteRows::finish`].
///
/// # Errors
/// [`FileError`]: it cannot be created, or the format is one that is only read.
///
/// ```
/// use hotrow::DType;
/// use hotrow::store::{Block, Format, NewRows, Values, create_rows};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("animals.vec");
/// let new = NewRows { dim: 2, rows: Some(1), dtype: DType::F32, named: true, table: None };
/// let mut rows = create_rows(&path, Format::Word2vecText, &new)?;
/// rows.write(&Block { values: Values::F32(vec![0.1, -2.0]), words: vec!["cat".into()] })?;
/// assert_eq!(rows.finish()?, 1);
/// assert_eq!(std::fs::read_to_string(&path)?, "1 2\ncat 0.1 -2\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create_rows(path: &Path, format: Format, new: &NewRows) -> FileResult<Box<dyn WriteRows>> {
    if format == Format::Safetensors {
        let table = new.table.as_deref().unwrap_or(DEFAULT_TABLE);
        return Ok(Box::new(SafetensorsWriter::create(path, table, new.dim, new.dtype, new.named)?));
    }
    let target = Target::create(path)?;
    let folder = folder_of(target.path()).to_owned();
    writer(target, &path.display().to_string(), &folder, format, new)
}

/// [`create_rows`] of a file in memory, for every format but safetensors.
///
/// # Errors
/// As [`create_rows`].
pub fn write_rows<'a>(bytes: &'a mut Vec<u8>, name: &str, format: Format, new: &NewRows) -> FileResult<Box<dyn WriteRows + 'a>> {
    bytes.clear();
    writer(bytes, name, &std::env::temp_dir(), format, new)
}

fn writer<'a, S: Sink + 'a>(
    sink: S,
    name: &str,
    folder: &Path,
    format: Format,
    new: &NewRows,
) -> FileResult<Box<dyn WriteRows + 'a>> {
    check_dim(new.dim, name)?;
    let text = |dialect| move |sink| rounded(TextWriter::new(sink, name, dialect, new)?, new.dtype);
    match format {
        Format::Word2vecText => text(Dialect::Word2vec)(sink),
        Format::FastText => text(Dialect::FastText)(sink),
        Format::Glove => text(Dialect::Glove)(sink),
        Format::Word2vecBinary => rounded(Word2vecWriter::new(sink, name, new)?, new.dtype),
        Format::Npy => Ok(Box::new(NpyWriter::new(sink, name, new)?)),
        Format::Npz => Ok(Box::new(NpzWriter::new(sink, name, folder, new)?)),
        Format::Csv => rounded(CsvWriter::new(sink, name, b',', new)?, new.dtype),
        Format::Tsv => rounded(CsvWriter::new(sink, name, b'\t', new)?, new.dtype),
        Format::KerasH5 => Err(FileError::unsupported(name, "files of Keras can be read, but not written")),
        Format::Safetensors => Err(FileError::unsupported(name, "a safetensors file is written on disk, not in memory")),
    }
}

/// A writer of a format that holds the values of any element, with values rounded to one.
struct Rounded<W> {
    writer: W,
    dtype: DType,
}

fn rounded<'a, W: WriteRows + 'a>(writer: W, dtype: DType) -> FileResult<Box<dyn WriteRows + 'a>> {
    Ok(Box::new(Rounded { writer, dtype }))
}

impl<W: WriteRows> WriteRows for Rounded<W> {
    fn write(&mut self, block: &Block) -> FileResult<()> {
        if block.values.dtype() == self.dtype {
            return self.writer.write(block);
        }
        self.writer.write(&Block { values: block.values.convert(self.dtype), words: block.words.clone() })
    }

    fn finish(self: Box<Self>) -> FileResult<u64> {
        Box::new(self.writer).finish()
    }
}

/// How many whole rows a block has, each with a word where there are words.
fn rows_of(block: &Block, dim: usize, named: bool, name: &str) -> FileResult<usize> {
    let (values, words) = (block.values.len(), block.words.len());
    let rows = values / dim;
    if values != rows * dim || words != if named { rows } else { 0 } {
        return Err(FileError::unsupported(name, format!("{values} values and {words} words are no rows of {dim} values")));
    }
    Ok(rows)
}

/// Why a file of Keras is not read.
#[cfg(not(feature = "keras-h5"))]
const KERAS: &str = "files of Keras are read by a hotrow that was built with the cargo feature `keras-h5`";
