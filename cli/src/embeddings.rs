//! Embeddings from wherever they are: a file of any format, or the folder of a trained model; and the words that are asked for.

use std::collections::HashMap;
use std::io::{BufRead, IsTerminal, stdin};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use hotrow::store::{self, Block, Format, Open, OpenOptions, OpenTable, RowOptions, Values};
use hotrow::{AnyTable, AnyView, Table};

use crate::model::{Catalog, Features, Found, Model};
use crate::output::complain;

/// How many words are looked for one by one. For more, all words of the table are put in order first.
const FEW: usize = 16;
/// How many missing words an error names.
const NAMED: usize = 10;

// No documentation of the type here: clap would print it in place of the command's own.
#[derive(Debug, Default, Args)]
#[allow(missing_docs)]
pub struct SourceArgs {
    /// The table, where a file has several
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,

    /// Memory-map the table in place of reading it: it opens at once, and nothing is verified (safetensors, npy)
    #[arg(long)]
    pub map: bool,
}

// As above.
#[derive(Debug, Default, Args)]
#[allow(missing_docs)]
pub struct MissingArgs {
    /// Leave out what the table does not have, with a note, in place of failing
    #[arg(long)]
    pub skip_missing: bool,
}

/// A table and its names.
#[derive(Debug)]
pub(crate) struct Embeddings {
    place: String,
    rows: Rows,
    names: Names,
}

#[derive(Debug)]
enum Rows {
    Opened(Box<OpenTable>),
    Made(AnyTable),
}

#[derive(Debug)]
enum Names {
    /// The file's own, if it has any.
    OfFile,
    /// "item", "feature" or "word", and what each row is called.
    Known { what: &'static str, ids: Vec<String>, titles: Vec<Option<String>> },
}

impl Embeddings {
    /// Opens an embedding file, or the items of a model that `hotrow train` has made.
    ///
    /// # Errors
    /// What is wrong with the file or folder, with its name.
    pub(crate) fn open(path: &Path, args: &SourceArgs) -> Result<Embeddings> {
        if path.is_dir() || (path.extension().is_none() && !path.exists()) {
            return of_model(path, args);
        }
        let place = path.display().to_string();
        let options = OpenOptions {
            table: args.table.clone(),
            open: if args.map { Open::Map } else { Open::Read },
            ..OpenOptions::default()
        };
        if let Some(format) = other_format(path)? {
            if args.map {
                bail!("{place}: a {format} file cannot be mapped; `hotrow convert` makes a file that can");
            }
            return read_rows(path, &options, place);
        }
        let opened = store::open(path, &options)?;
        for note in opened.notes() {
            complain(&format!("note: {place}: {note}"));
        }
        if let Some(mapped) = opened.mapped() {
            // The pages come while the words are read.
            let (_, words) = rayon::join(|| mapped.prefault(), || opened.words().map(|_| ()));
            words?;
        }
        Ok(Embeddings { place, rows: Rows::Opened(Box::new(opened)), names: Names::OfFile })
    }

    /// The table.
    pub(crate) fn view(&self) -> AnyView<'_> {
        match &self.rows {
            Rows::Opened(opened) => opened.table(),
            Rows::Made(table) => table.view(),
        }
    }

    /// The names of the rows.
    ///
    /// # Errors
    /// When the file's words cannot be read.
    pub(crate) fn catalog(&self) -> Result<Catalog<'_>> {
        let (place, rows) = (&*self.place, self.view().shape()[0]);
        match (&self.names, &self.rows) {
            (Names::Known { what, ids, titles }, _) => Ok(Catalog { what, place, rows, ids, titles }),
            (Names::OfFile, Rows::Opened(opened)) => {
                let (ids, titles) = (opened.words()?.unwrap_or_default(), opened.titles()?.unwrap_or_default());
                Ok(Catalog { what: if ids.is_empty() { "row" } else { "word" }, place, rows, ids, titles })
            }
            (Names::OfFile, Rows::Made(_)) => Ok(Catalog { what: "row", place, rows, ids: &[], titles: &[] }),
        }
    }

    /// Rows one behind the other, widened.
    pub(crate) fn gather(&self, rows: impl IntoIterator<Item = usize>) -> Vec<f32> {
        let view = self.view();
        rows.into_iter().flat_map(|row| view.row_f32(row).unwrap_or_default()).collect()
    }
}

/// The items of a trained model, or the features of a factorization machine.
fn of_model(folder: &Path, args: &SourceArgs) -> Result<Embeddings> {
    if args.map || args.table.is_some() {
        bail!("{}: --map and --table are for embedding files, and this is the folder of a model", folder.display());
    }
    let made = |what, table: Table<f32>, ids, titles| Embeddings {
        place: "the model".to_owned(),
        rows: Rows::Made(table.into()),
        names: Names::Known { what, ids, titles },
    };
    if let Some(Features { names, vectors }) = Features::load(folder)? {
        return Ok(made("feature", vectors, names, Vec::new()));
    }
    let Model { description, items, .. } = Model::load(folder)?;
    Ok(made("item", items, description.items, description.titles))
}

/// The format of a file that is read row by row; `None` for those that are opened as they are.
fn other_format(path: &Path) -> Result<Option<Format>> {
    use std::io::Read;
    let mut first = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut first));
    read.with_context(|| format!("{}: cannot read the file", path.display()))?;
    Ok(Format::of(path, &first).filter(|format| *format != Format::Safetensors))
}

/// Reads a file row by row.
fn read_rows(path: &Path, options: &OpenOptions, place: String) -> Result<Embeddings> {
    let mut rows = store::open_rows(path, &RowOptions { table: options.table.clone(), ..RowOptions::default() })?;
    let (dim, dtype) = (rows.info().dim, rows.info().dtype);
    let mut block = Block::new(dtype);
    let (mut values, mut words) = (Values::new(dtype), Vec::new());
    while rows.read(&mut block)? > 0 {
        match (&mut values, &block.values) {
            (Values::F32(all), Values::F32(more)) => all.extend_from_slice(more),
            (Values::F16(all), Values::F16(more)) => all.extend_from_slice(more),
            (Values::BF16(all), Values::BF16(more)) => all.extend_from_slice(more),
            _ => bail!("{place}: its rows are of several types"),
        }
        words.append(&mut block.words);
    }
    for note in &rows.info().notes {
        complain(&format!("note: {place}: {note}"));
    }
    let count = values.len() / dim.max(1);
    let table: AnyTable = match values {
        Values::F32(values) => Table::from_slice(&values, count, dim)?.into(),
        Values::F16(values) => Table::from_slice(&values, count, dim)?.into(),
        Values::BF16(values) => Table::from_slice(&values, count, dim)?.into(),
        _ => bail!("{place}: its rows are of a type that this command does not know"),
    };
    let names = if words.is_empty() { Names::OfFile } else { Names::Known { what: "word", ids: words, titles: Vec::new() } };
    Ok(Embeddings { place, rows: Rows::Made(table), names })
}

/// What is asked for: the arguments, or the lines of standard input when there are none.
///
/// # Errors
/// When standard input is a terminal, where nobody would know what is waited for, or is not UTF-8.
pub(crate) fn asked(arguments: &[String]) -> Result<Vec<String>> {
    if !arguments.is_empty() {
        return Ok(arguments.to_vec());
    }
    if stdin().is_terminal() {
        bail!("nothing is asked for: name it as an argument, or write it on standard input, one a line");
    }
    let mut lines = Vec::new();
    for (at, line) in stdin().lock().lines().enumerate() {
        let line = line.with_context(|| format!("standard input: line {}", at + 1))?;
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if !line.is_empty() {
            lines.push(line.to_owned());
        }
    }
    Ok(lines)
}

/// Something that was asked for, and its row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked<'q> {
    /// As it was written.
    pub(crate) query: &'q str,
    /// What was found.
    pub(crate) found: Found,
}

/// The rows of all that is asked for, in that order.
///
/// # Errors
/// Names what the table does not have, with suggestions, unless that is to be skipped.
pub(crate) fn find_all<'q>(catalog: Catalog<'_>, queries: &'q [String], missing: &MissingArgs) -> Result<Vec<Asked<'q>>> {
    let mut places = HashMap::new();
    if queries.len() > FEW && catalog.titles.is_empty() {
        for (row, id) in catalog.ids.iter().enumerate() {
            places.entry(id.as_str()).or_insert(row);
        }
    }
    let (mut found, mut unknown) = (Vec::with_capacity(queries.len()), Vec::new());
    for query in queries {
        let row = places.get(query.as_str()).copied().or_else(|| if places.is_empty() { catalog.named(query) } else { None });
        match row.map(Found::only).or_else(|| catalog.titled(query)) {
            Some(row) => found.push(Asked { query, found: row }),
            None => unknown.push(query),
        }
    }
    let count = unknown.len();
    if missing.skip_missing {
        for query in unknown {
            complain(&format!("note: skipped {} `{query}`: {} does not have it", catalog.what, catalog.place));
        }
        return Ok(found);
    }
    let mut errors = unknown.into_iter().take(NAMED).map(|query| catalog.not_found(query).to_string());
    match errors.next() {
        None => Ok(found),
        Some(first) => {
            let mut text = errors.fold(first, |text, error| text + "\n" + &error);
            if count > NAMED {
                text += &format!("\nand {} more", count - NAMED);
            }
            Err(anyhow!(text))
        }
    }
}
