//! `hotrow info`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use hotrow::store::{FileInfo, PartInfo, Role, inspect};
use serde::Serialize;

use crate::output::{columns, complain, grouped, say, say_json, sized};

/// Tell what an embedding file holds, without reading its data
///
/// Shapes, types and sizes; whether there are words and checksums; how tables are aligned. Only the header is read: a file of 100 GB takes
/// as long as one of 100 bytes. Of a folder, such as a trained model's, each embedding file in it is shown.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InfoArgs {
    /// Files of any format (safetensors, npy, npz, word2vec, GloVe, fastText, CSV, TSV), or folders
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Print one line of JSON for each file
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  hotrow info vectors.safetensors
  hotrow info hotrow-model                      the tables of a trained model
  hotrow info *.vec --json | jq '.tensors[].shape'

Exit codes: 0 all files could be read, 1 one could not, 2 wrong usage";

/// Runs the command.
pub(super) fn run(args: &InfoArgs) -> Result<()> {
    let mut failed = 0;
    for (at, path) in args.files.iter().enumerate() {
        for path in files(path)? {
            match inspect(&path) {
                Ok(info) if args.json => say_json(&report(&path, &info))?,
                Ok(info) => say(&format!("{}{}", if at > 0 { "\n" } else { "" }, text(&path, &info)))?,
                Err(error) if args.files.len() == 1 => return Err(error.into()),
                Err(error) => {
                    complain(&format!("error: {error}"));
                    failed += 1;
                }
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} could not be read", args.files.len());
    }
    Ok(())
}

/// The embedding files of a folder; any other path is itself.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let known = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        ["safetensors", "npy", "npz", "vec", "glove", "h5"].contains(&extension)
    };
    let list = || -> std::io::Result<Vec<PathBuf>> { fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect() };
    let mut found = list().with_context(|| format!("{}: cannot read the folder", path.display()))?;
    found.retain(|path| known(path) && path.is_file());
    found.sort();
    if found.is_empty() {
        bail!("{}: there is no embedding file in this folder", path.display());
    }
    Ok(found)
}

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    format: &'static str,
    bytes: u64,
    tensors: Vec<Tensor<'a>>,
    metadata: &'a BTreeMap<String, String>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: Option<&'a str>,
    role: &'static str,
    #[serde(rename = "type")]
    dtype: Option<&'static str>,
    shape: &'a [Option<usize>],
    bytes: Option<u64>,
    offset: Option<u64>,
    alignment: Option<u64>,
    crc32: Option<String>,
    words: bool,
    titles: bool,
}

fn report<'a>(path: &Path, info: &'a FileInfo) -> Report<'a> {
    let tensor = |part: &'a PartInfo| Tensor {
        name: part.name.as_deref(),
        role: match part.role {
            Role::Table => "table",
            Role::Text => "text",
            Role::Padding => "padding",
            _ => "other",
        },
        dtype: part.dtype.map(|dtype| dtype.name()),
        shape: &part.shape,
        bytes: part.bytes,
        offset: part.offset,
        alignment: part.alignment(),
        crc32: part.crc32.map(|crc32| format!("{crc32:08x}")),
        words: part.named,
        titles: part.titled,
    };
    Report {
        file: path.display().to_string(),
        format: info.format.name(),
        bytes: info.bytes,
        tensors: info.parts.iter().map(tensor).collect(),
        metadata: &info.metadata,
        notes: &info.notes,
    }
}

/// For people: tables first, and what belongs to them not on its own.
fn text(path: &Path, info: &FileInfo) -> String {
    let mut text = format!("{}: {}, {}\n", path.display(), info.format, sized(info.bytes));
    let head = ["tensor", "shape", "type", "size", "aligned to", "checksum", "words"];
    let mut lines = vec![indented(head.map(str::to_owned))];
    let mut shown: Vec<_> = info.parts.iter().filter(|part| matches!(part.role, Role::Table | Role::Other)).collect();
    shown.sort_by_key(|part| part.role != Role::Table);
    for part in &shown {
        let sizes = part.shape.iter().map(|size| size.map_or("?".to_owned(), grouped));
        let word = |yes: bool, word: &str| if yes { word.to_owned() } else { "-".to_owned() };
        lines.push(indented([
            part.name.as_ref().map_or("-".to_owned(), |name| name.escape_debug().to_string()),
            format!("[{}]", sizes.collect::<Vec<_>>().join(" x ")),
            part.dtype.map_or("text", |dtype| dtype.name()).to_owned(),
            part.bytes.map_or("-".to_owned(), sized),
            part.alignment().map_or("-".to_owned(), |alignment| alignment.to_string()),
            part.crc32.map_or("-".to_owned(), |crc32| format!("{crc32:08x}")),
            word(part.named, if part.titled { "words, titles" } else { "words" }),
        ]));
    }
    text += &columns(&lines, &[3, 4]);
    for (key, value) in info.metadata.iter().filter(|(key, _)| !key.starts_with("crc32.")) {
        let short: String = value.chars().take(200).collect();
        text += &format!("  {}: {}\n", key.escape_debug(), short.escape_debug());
    }
    for note in &info.notes {
        text += &format!("  note: {note}\n");
    }
    text.trim_end().to_owned()
}

fn indented<const N: usize>(mut cells: [String; N]) -> Vec<String> {
    cells[0] = format!("  {}", cells[0]);
    cells.to_vec()
}
