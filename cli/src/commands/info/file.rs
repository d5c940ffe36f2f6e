//! What one file says of itself.

use std::collections::BTreeMap;
use std::path::Path;

use hotrow::store::{FileInfo, PartInfo, Role};
use serde::Serialize;

use crate::output::{columns, sized};

/// For programs.
#[derive(Serialize)]
pub(super) struct Report<'a> {
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

/// For programs.
pub(super) fn report<'a>(path: &Path, info: &'a FileInfo) -> Report<'a> {
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
pub(super) fn text(path: &Path, info: &FileInfo) -> String {
    let mut text = format!("{}: {}, {}\n", path.display(), info.format, sized(info.bytes));
    let head = ["tensor", "shape", "type", "size", "aligned to", "checksum", "words"];
    let mut lines = vec![indented(head.map(str::to_owned))];
    let mut shown: Vec<_> = info.parts.iter().filter(|part| matches!(part.role, Role::Table | Role::Other)).collect();
    shown.sort_by_key(|part| part.role != Role::Table);
    for part in &shown {
        let sizes = part.shape.iter().map(|size| size.map_or("?".to_owned(), |size| size.to_string()));
        let word = |yes: bool, word: &str| if yes { word.to_owned() } else { "-".to_owned() };
        lines.push(indented([
            part.name.as_ref().map_or("-".to_owned(), |name| name.escape_debug().to_string()),
            format!("[{}]", sizes.collect::<Vec<_>>().join(", ")),
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
