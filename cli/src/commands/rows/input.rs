//! What goes in.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, copy, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use hotrow::store::{Format, ReadRows, RowOptions, open_rows, read_rows};

use super::Bar;

// No documentation of the type here: clap would print it in place of the command's own.
#[derive(Clone, Debug, Args)]
#[allow(missing_docs)]
pub struct FromArgs {
    /// The format that is read: safetensors, npy, npz, word2vec, word2vec-binary, glove, fasttext, csv, tsv, keras; found out by itself where
    /// the file's first bytes or its name tell
    #[arg(long, value_name = "FORMAT")]
    pub from: Option<Format>,

    /// The table to read, of a file that has several: a tensor, an array, a layer
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,

    /// Repair words that are not UTF-8 by U+FFFD, instead of refusing them
    #[arg(long)]
    pub lossy: bool,
}

/// A file that can be read once or more.
pub(in crate::commands) struct Input {
    name: String,
    path: PathBuf,
    /// What standard input or a pipe had.
    spooled: Option<File>,
    options: RowOptions,
}

impl Input {
    /// A path, or standard input for `-`. What cannot be read twice, such as a pipe, is kept in a temporary file.
    pub(in crate::commands) fn new(path: &Path, args: &FromArgs) -> Result<Input> {
        let (mut name, mut spooled) = (path.display().to_string(), None);
        if path == Path::new("-") {
            name = "standard input".to_owned();
            spooled = Some(spool(&mut stdin().lock(), &name)?);
        } else if fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir()) {
            let mut pipe = File::open(path).with_context(|| format!("{name}: cannot open the file"))?;
            spooled = Some(spool(&mut pipe, &name)?);
        }
        let options = RowOptions { format: args.from, table: args.table.clone(), lossy: args.lossy };
        Ok(Input { name, path: path.to_owned(), spooled, options })
    }

    /// Its name, for messages.
    pub(in crate::commands) fn name(&self) -> &str {
        &self.name
    }

    /// Begins to read its rows, from the first.
    pub(in crate::commands) fn open(&self) -> Result<Box<dyn ReadRows>> {
        let Some(spooled) = &self.spooled else { return Ok(open_rows(&self.path, &self.options)?) };
        let mut file = spooled.try_clone().context("cannot read what was kept of it")?;
        file.seek(SeekFrom::Start(0)).context("cannot read what was kept of it")?;
        Ok(read_rows(file, &self.name, &self.options)?)
    }

    /// How many rows it has, counted where its start does not tell.
    pub(in crate::commands) fn count(&self) -> Result<u64> {
        let mut rows = self.open()?;
        if let (Some(count), false) = (rows.info().rows, rows.info().named) {
            return Ok(count);
        }
        let bar = Bar::new("counting");
        let mut block = hotrow::store::Block::new(rows.info().dtype);
        let mut count = 0;
        loop {
            match rows.read(&mut block)? as u64 {
                0 => return Ok(count),
                more => count += more,
            }
            bar.show(count, rows.progress());
        }
    }
}

/// Keeps all bytes of a source in a file without a name.
fn spool(source: &mut impl Read, name: &str) -> Result<File> {
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    copy(source, &mut file).with_context(|| format!("cannot keep {name} in a temporary file"))?;
    Ok(file)
}

/// The lines of standard input without their ends; empty ones are left out.
pub(in crate::commands) fn lines_of_standard_input() -> Result<Vec<String>> {
    let lines: std::io::Result<Vec<String>> = stdin().lines().collect();
    let mut lines = lines.context("cannot read standard input")?;
    lines.retain(|line| !line.is_empty());
    Ok(lines)
}
