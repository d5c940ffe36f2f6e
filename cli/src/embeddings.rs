//! Embeddings from wherever they are: a file of any format, a checkpoint, or the folder of a trained model; and the words that are asked for.

use std::collections::HashMap;
use std::io::{BufRead, IsTerminal, stdin};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use hotrow::store::{self, Checkpoint, Checkpoints, Open, OpenOptions, OpenTable, Restored};
use hotrow::{AnyTable, AnyView};
use indicatif::ProgressBar;

use crate::model::{Catalog, DESCRIPTION, Features, Found, Model};
use crate::output::complain;

/// How many words are looked for one by one. For more, all words of the table are put in order first.
const FEW: usize = 16;
/// A file of so many bytes takes a while to read.
const SLOW: u64 = 256 << 20;
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
    /// What errors call it.
    place: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(Box<OpenTable>),
    Made(Named),
}

/// A table with names.
#[derive(Debug)]
struct Named {
    table: AnyTable,
    /// "item", "feature", "word" or "row".
    what: &'static str,
    ids: Vec<String>,
    titles: Vec<Option<String>>,
}

impl Embeddings {
    /// Opens an embedding file, a table of the newest checkpoint of a folder, or the items of a model that `hotrow train` has made.
    ///
    /// # Errors
    /// What is wrong with the file or folder, with its name.
    pub(crate) fn open(path: &Path, args: &SourceArgs) -> Result<Embeddings> {
        // A model that is not there is looked for as one: the error says how to make it.
        if path.is_dir() || (path.extension().is_none() && !path.exists()) {
            return of_folder(path, args);
        }
        let options = OpenOptions {
            table: args.table.clone(),
            open: if args.map { Open::Map } else { Open::Read },
            ..OpenOptions::default()
        };
        let bar = bar(path);
        let opened = store::open_with(path, &options, &|bytes| bar.inc(bytes));
        bar.finish_and_clear();
        let (opened, place) = (opened?, path.display().to_string());
        if opened.shape()[1] == 0 {
            bail!("{place}: rows have at least one number, and here they have none");
        }
        for note in opened.notes() {
            complain(&format!("note: {place}: {note}"));
        }
        Ok(Embeddings { place, source: Source::File(Box::new(opened)) })
    }

    /// Fetches the pages of a mapped table, all of which are about to be read, while the words are read.
    ///
    /// # Errors
    /// When the words cannot be read.
    pub(crate) fn prefault(&self) -> Result<()> {
        if let Source::File(opened) = &self.source
            && let Some(mapped) = opened.mapped()
        {
            let (_, words) = rayon::join(|| mapped.prefault(), || opened.words().map(|_| ()));
            words?;
        }
        Ok(())
    }

    /// The table.
    pub(crate) fn view(&self) -> AnyView<'_> {
        match &self.source {
            Source::File(opened) => opened.table(),
            Source::Made(named) => named.table.view(),
        }
    }

    /// The names of the rows.
    ///
    /// # Errors
    /// When the file's words cannot be read.
    pub(crate) fn catalog(&self) -> Result<Catalog<'_>> {
        let (place, rows) = (&*self.place, self.view().shape()[0]);
        Ok(match &self.source {
            Source::File(opened) => {
                let (ids, titles) = (opened.words()?.unwrap_or_default(), opened.titles()?.unwrap_or_default());
                Catalog { what: if ids.is_empty() { "row" } else { "word" }, place, rows, ids, titles }
            }
            Source::Made(Named { what, ids, titles, .. }) => Catalog { what, place, rows, ids, titles },
        })
    }

    /// Rows one behind the other, widened.
    pub(crate) fn gather(&self, rows: impl IntoIterator<Item = usize>) -> Vec<f32> {
        let view = self.view();
        rows.into_iter().flat_map(|row| view.row_f32(row).unwrap_or_default()).collect()
    }
}

/// A bar on standard error for files that take a while; it stays away when that is no terminal.
fn bar(path: &Path) -> ProgressBar {
    match std::fs::metadata(path) {
        Ok(file) if file.len() >= SLOW => ProgressBar::new(file.len()),
        _ => ProgressBar::hidden(),
    }
}

/// A table of a checkpoint, the items of a trained model, or the features of a factorization machine.
fn of_folder(folder: &Path, args: &SourceArgs) -> Result<Embeddings> {
    if args.map {
        bail!("{}: --map is for embedding files, and this is a folder", folder.display());
    }
    if folder.is_dir()
        && !folder.join(DESCRIPTION).exists()
        && let Some(checkpoint) = Checkpoints::open(folder).load_last()?
    {
        let named = of_checkpoint(checkpoint, folder, args.table.as_deref())?;
        return Ok(Embeddings { place: folder.display().to_string(), source: Source::Made(named) });
    }
    if args.table.is_some() {
        bail!("{}: --table is for files and checkpoints, and this is the folder of a model", folder.display());
    }
    let named = if let Some(Features { names, vectors }) = Features::load(folder)? {
        Named { table: vectors.into(), what: "feature", ids: names, titles: Vec::new() }
    } else {
        let Model { description, items, .. } = Model::load(folder)?;
        Named { table: items.into(), what: "item", ids: description.items, titles: description.titles }
    };
    Ok(Embeddings { place: "the model".to_owned(), source: Source::Made(named) })
}

fn of_checkpoint(mut checkpoint: Checkpoint, folder: &Path, table: Option<&str>) -> Result<Named> {
    let names: Vec<String> = checkpoint.tables().iter().map(|table| format!("`{}`", table.name)).collect();
    let name = match (table, checkpoint.tables()) {
        (Some(name), _) => name.to_owned(),
        (None, [only]) => only.name.clone(),
        (None, _) => bail!("{}: the checkpoint has the tables {}: choose one with --table", folder.display(), names.join(", ")),
    };
    let Some(Restored { table, ids, titles, .. }) = checkpoint.take(&name) else {
        bail!("{}: the checkpoint has no table `{name}`; it has {}", folder.display(), names.join(", "));
    };
    let what = if ids.is_some() { "word" } else { "row" };
    Ok(Named { table, what, ids: ids.unwrap_or_default(), titles: titles.unwrap_or_default() })
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
