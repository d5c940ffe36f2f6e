//! One table of a file, ready for use.

use std::path::Path;
use std::sync::OnceLock;

use super::collect::collect_rows;
use super::error::{FileError, FileResult};
use super::format::{Format, RowOptions, format_of, npy, open_rows};
use super::map::{Mapped, ONLY_READ};
use super::safetensors::{Header, TensorInfo, check, choose, read_names, read_titles};
use super::source::Source;
use super::stored::Stored;
use super::transfer::{Progress, read_table};
use crate::element::DType;
use crate::table::{AnyTable, AnyView};

/// How a table comes out of its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// Into memory of our own, compared with the checksum if the file records one. Numbers of other types are converted.
    #[default]
    Read,
    /// Mapped: nothing is read but the header. See [`Mapped`] for what is trusted then.
    Map,
    /// Mapped where that is possible, else read.
    MapOrRead,
}

/// Which table of a file to open, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// The table's name; `None` for the only one.
    pub table: Option<String>,
    /// How.
    pub open: Open,
    /// The format; `None` if the file tells it.
    pub format: Option<Format>,
    /// Replace what is not UTF-8 in words by U+FFFD, with a note, instead of refusing it.
    pub lossy: bool,
}

/// A table out of a file, with its words and titles if it has any.
///
/// ```
/// use hotrow::store::{self, Block, Open, OpenOptions, SafetensorsWriter, Values, WriteRows};
/// use hotrow::{DType, gather};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("words.safetensors");
/// let mut writer = SafetensorsWriter::create(&path, "embeddings", 2, DType::F32, true)?;
/// writer.write(&Block { values: Values::F32(vec![1.0, 2.0, 3.0, 4.0]), words: vec!["cat".into(), "dog".into()] })?;
/// Box::new(writer).finish()?;
///
/// let opened = store::open(&path, &OpenOptions { open: Open::Map, ..Default::default() })?;
/// assert_eq!(opened.words()?, Some(&["cat".to_owned(), "dog".to_owned()][..]));
/// let hotrow::AnyView::F32(table) = opened.table() else { panic!() };
/// assert_eq!(gather(table, &[1])?.as_slice(), [3.0, 4.0]); // straight from the file
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OpenTable {
    name: Option<String>,
    data: Data,
    notes: Vec<String>,
    /// Where words and titles are read when they are asked for.
    texts: Option<(Source, Header)>,
    words: OnceLock<Option<Vec<String>>>,
    titles: OnceLock<Option<Vec<Option<String>>>>,
}

#[derive(Debug)]
enum Data {
    Owned(AnyTable),
    Mapped(Mapped),
}

/// Opens a table of a file of any format.
///
/// Safetensors and npy are read in parallel, straight into the table. Of the other formats, those that say how many rows they have need memory for
/// the table and a block; GloVe and CSV need twice the table for a moment. Safetensors and npy files can be mapped if their values are f32, f16 or
/// bf16, row by row, and at multiples of their size from the start of the file: all that this library writes are.
///
/// # Errors
/// [`FileError`]: there is no such file or table, or several; it is damaged; it cannot be mapped; there is not enough memory.
pub fn open(path: &Path, options: &OpenOptions) -> FileResult<OpenTable> {
    open_with(path, options, &|_| ())
}

/// [`open`] of a large table, for which somebody waits: `progress` counts the bytes of values.
///
/// # Errors
/// As [`open`].
pub fn open_with(path: &Path, options: &OpenOptions, progress: Progress<'_>) -> FileResult<OpenTable> {
    if options.open == Open::MapOrRead {
        let with = |open| open_with(path, &OpenOptions { open, ..options.clone() }, progress);
        return match with(Open::Map) {
            Err(FileError::Unsupported { .. }) => with(Open::Read),
            outcome => outcome,
        };
    }
    // A folder or a pipe is told from a file before its format is asked for.
    let source = Source::open(path)?;
    let format = options.format.map_or_else(|| format_of(path), Ok)?;
    match format {
        Format::Safetensors => of_safetensors(source, options, progress),
        Format::Npy => {
            let header = npy::read_header(path)?;
            match header.rows() {
                Some((stored, shape)) => of_array(&source, &header, stored, shape, options, progress),
                None if options.open == Open::Map => {
                    Err(source.unsupported(format!("its values are in another order than a table's; {ONLY_READ}")))
                }
                None => streamed(&source, format, options, progress),
            }
        }
        _ if options.open == Open::Map => Err(source.unsupported(format!("{format} files have no table to map; {ONLY_READ}"))),
        _ => streamed(&source, format, options, progress),
    }
}

fn of_safetensors(source: Source, options: &OpenOptions, progress: Progress<'_>) -> FileResult<OpenTable> {
    let header = Header::read(&source)?;
    let chosen = choose(&source, &header, options.table.as_deref())?;
    let mut opened = placed(&source, chosen.tensor.clone(), [chosen.rows, chosen.dim], options, progress)?;
    opened.name = Some(chosen.tensor.name);
    opened.texts = Some((source, header));
    if options.open == Open::Read {
        opened.words()?;
        opened.titles()?;
    }
    Ok(opened)
}

fn of_array(
    source: &Source,
    header: &npy::Header,
    dtype: Stored,
    shape: [usize; 2],
    options: &OpenOptions,
    progress: Progress<'_>,
) -> FileResult<OpenTable> {
    let bytes = source.len() - header.data;
    let tensor = TensorInfo { name: String::new(), dtype, shape: shape.to_vec(), offset: header.data, bytes, crc32: None };
    placed(source, tensor, shape, options, progress)
}

/// A table whose rows lie one after the other in the file.
fn placed(
    source: &Source,
    tensor: TensorInfo,
    shape: [usize; 2],
    options: &OpenOptions,
    progress: Progress<'_>,
) -> FileResult<OpenTable> {
    let mut notes = Vec::new();
    let data = match options.open {
        Open::Map | Open::MapOrRead => Data::Mapped(Mapped::new(source, tensor, shape)?),
        Open::Read => {
            notes.extend(tensor.dtype.note());
            let (table, crc32) = read_table(source, tensor.offset, tensor.dtype, shape, progress)?;
            check(source, &tensor, crc32)?;
            Data::Owned(table)
        }
    };
    Ok(OpenTable::of(data, notes))
}

/// A table of a format that is read block by block.
fn streamed(source: &Source, format: Format, options: &OpenOptions, progress: Progress<'_>) -> FileResult<OpenTable> {
    let rows = RowOptions { format: Some(format), table: options.table.clone(), lossy: options.lossy };
    let mut reader = open_rows(source.path(), &rows)?;
    let (table, words) = collect_rows(&mut *reader, source.path(), source.len(), progress)?;
    let info = reader.info();
    let opened = OpenTable::of(Data::Owned(table), info.notes.clone());
    let _ = opened.words.set(info.named.then_some(words));
    Ok(opened)
}

impl OpenTable {
    fn of(data: Data, notes: Vec<String>) -> OpenTable {
        OpenTable { name: None, data, notes, texts: None, words: OnceLock::new(), titles: OnceLock::new() }
    }

    /// The table's name, in formats where tables have one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The table.
    pub fn table(&self) -> AnyView<'_> {
        match &self.data {
            Data::Owned(table) => table.view(),
            Data::Mapped(mapped) => mapped.view(),
        }
    }

    /// The element.
    pub fn dtype(&self) -> DType {
        self.table().dtype()
    }

    /// `[rows, dim]`.
    pub fn shape(&self) -> [usize; 2] {
        self.table().shape()
    }

    /// What was changed on the way, in words for the user, such as `f64 values are rounded to f32`.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The mapping, if the table is mapped.
    pub fn mapped(&self) -> Option<&Mapped> {
        match &self.data {
            Data::Owned(_) => None,
            Data::Mapped(mapped) => Some(mapped),
        }
    }

    /// The word or id of each row; `None` where the file has none. Those of a mapped table are read when they are first asked for.
    ///
    /// # Errors
    /// [`FileError`]: they are damaged, or not as many as there are rows. A table that was read has them already.
    pub fn words(&self) -> FileResult<Option<&[String]>> {
        self.text(&self.words, read_names).map(|words| words.as_deref())
    }

    /// The title of each row that has one; `None` where the file has none.
    ///
    /// # Errors
    /// As [`words`](OpenTable::words).
    pub fn titles(&self) -> FileResult<Option<&[Option<String>]>> {
        self.text(&self.titles, read_titles).map(|titles| titles.as_deref())
    }

    fn text<'s, T>(
        &'s self,
        known: &'s OnceLock<Option<T>>,
        read: impl Fn(&Source, &Header, &str, usize) -> FileResult<Option<T>>,
    ) -> FileResult<&'s Option<T>> {
        if let Some(known) = known.get() {
            return Ok(known);
        }
        let found = match (&self.texts, &self.name) {
            (Some((source, header)), Some(name)) => read(source, header, name, self.shape()[0])?,
            _ => None,
        };
        Ok(known.get_or_init(|| found))
    }

    /// The table as one of our own: a mapped one is copied.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn into_table(self) -> crate::Result<AnyTable> {
        match self.data {
            Data::Owned(table) => Ok(table),
            Data::Mapped(mapped) => AnyTable::copy_of(mapped.view()),
        }
    }
}
