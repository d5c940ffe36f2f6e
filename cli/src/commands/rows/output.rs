//! What comes out.

use std::fs::File;
use std::io::{ErrorKind, Write, copy, stdout};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;
use hotrow::DType;
use hotrow::store::{Format, NewRows, ReadRows, RowsInfo, copy_rows, create_rows};
use serde::Serialize;
use tempfile::TempDir;

use super::Bar;
use crate::commands::Usage;
use crate::output::{complain, grouped, say, say_json};

// No documentation of the type here: clap would print it in place of the command's own.
#[derive(Clone, Debug, Args)]
#[allow(missing_docs)]
pub struct ToArgs {
    /// The format that is written; found out by OUT's extension: .safetensors, .npy, .npz, .vec (fasttext), .bin (word2vec-binary), .txt
    /// (word2vec), .glove, .csv, .tsv
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<Format>,

    /// The element of the new table: f32, f16 or bf16; that of the source without this
    #[arg(long, value_name = "DTYPE", value_parser = DType::from_str)]
    pub dtype: Option<DType>,

    /// Print a summary as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// A file to be written, or standard output for `-`.
pub(in crate::commands) struct Output {
    path: PathBuf,
    format: Format,
    dtype: Option<DType>,
    json: bool,
    /// Where the file is made before it goes to standard output.
    folder: Option<TempDir>,
}

/// What was done.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct Summary {
    /// The files that were written.
    pub files: Vec<String>,
    /// Their format.
    pub format: &'static str,
    /// Their rows together.
    pub rows: u64,
    /// Values in a row.
    pub dim: usize,
    /// The element.
    pub dtype: String,
    /// Whether rows have words.
    pub words: bool,
    /// What was changed on the way.
    pub notes: Vec<String>,
}

impl Output {
    /// Settles the format.
    pub(in crate::commands) fn new(path: &Path, args: &ToArgs) -> Result<Output> {
        let standard_output = path == Path::new("-");
        let Some(format) = args.to.or_else(|| Format::of_extension(path)) else {
            return Err(Usage(format!("the name {} does not tell a format; choose one with --to", path.display())).into());
        };
        if standard_output && args.json {
            return Err(Usage("--json and the new file cannot both go to standard output".into()).into());
        }
        if format == Format::KerasH5 {
            return Err(Usage("files of Keras can be read, but not written".into()).into());
        }
        let folder = if standard_output { Some(TempDir::new().context("cannot make a temporary folder")?) } else { None };
        Ok(Output { path: path.to_owned(), format, dtype: args.dtype, json: args.json, folder })
    }

    /// The format.
    pub(in crate::commands) fn format(&self) -> Format {
        self.format
    }

    /// What is written of rows of which this is known, with the notes that it takes.
    pub(in crate::commands) fn plan(&self, info: &RowsInfo) -> (NewRows, Vec<String>) {
        let mut notes = Vec::new();
        let named = info.named && self.format.holds_words();
        if info.named && !named {
            notes.push(format!("{} holds no words, so they are left out; npz and safetensors keep them", self.format));
        }
        if !info.named && self.format.needs_words() {
            notes.push("rows have no words, so their numbers stand for them".to_owned());
        }
        let text = !matches!(self.format, Format::Safetensors | Format::Npy | Format::Npz);
        if let (true, Some(dtype)) = (text, self.dtype.filter(|dtype| *dtype != DType::F32)) {
            notes.push(format!("{} has no {dtype}: values are rounded to it, and written as f32", self.format));
        }
        let dtype = self.dtype.unwrap_or(info.dtype);
        (NewRows { dim: info.dim, rows: info.rows, dtype, named, table: None }, notes)
    }

    /// Writes all rows.
    pub(in crate::commands) fn write(&self, rows: &mut dyn ReadRows, action: &'static str) -> Result<()> {
        let (new, mut notes) = self.plan(rows.info());
        let path = match &self.folder {
            Some(folder) => folder.path().join("rows"),
            None => self.path.clone(),
        };
        let mut writer = create_rows(&path, self.format, &new)?;
        let bar = Bar::new(action);
        copy_rows(rows, &mut *writer, new.named, |rows, part| bar.show(rows, part))?;
        let count = writer.finish()?;
        drop(bar);
        notes.splice(0..0, rows.info().notes.iter().cloned());
        if self.folder.is_some() {
            let sent = File::open(&path).and_then(|mut file| copy(&mut file, &mut stdout().lock())).and_then(|_| stdout().flush());
            match sent {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                sent => sent.context("cannot write to standard output")?,
            }
        }
        let files = vec![self.path.display().to_string()];
        self.report(&Summary {
            files,
            format: self.format.name(),
            rows: count,
            dim: new.dim,
            dtype: new.dtype.to_string(),
            words: new.named,
            notes,
        })
    }

    /// Tells what was done: notes on standard error, and the rest on standard output, unless that has the file.
    pub(in crate::commands) fn report(&self, summary: &Summary) -> Result<()> {
        for note in &summary.notes {
            complain(&format!("note: {note}"));
        }
        if self.json {
            return say_json(summary);
        }
        if self.folder.is_some() {
            return Ok(());
        }
        let Summary { files, rows, dim, dtype, .. } = summary;
        let rows = grouped(usize::try_from(*rows).unwrap_or(usize::MAX));
        match &files[..] {
            [file] => say(&format!("wrote {file}: {rows} rows of {dim} {dtype}")),
            _ => say(&format!("wrote {} files: {rows} rows of {dim} {dtype}\n  {}", files.len(), files.join("\n  "))),
        }
    }
}
