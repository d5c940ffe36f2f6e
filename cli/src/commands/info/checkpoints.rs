//! What the manifests of a folder of checkpoints say.

use std::path::Path;

use anyhow::Result;
use hotrow::store::{CheckpointInfo, Checkpoints, FileResult, TableInfo};
use serde::Serialize;
use serde_json::Value;

use crate::output::{columns, grouped, say, say_json, sized};

#[derive(Serialize)]
struct Report {
    folder: String,
    format: &'static str,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    step: u64,
    /// The step that this one is a change of.
    base: Option<u64>,
    bytes: u64,
    files: Vec<String>,
    tables: Vec<Table>,
    config: Value,
    created_by: String,
}

#[derive(Serialize)]
struct Table {
    name: String,
    #[serde(rename = "type")]
    dtype: String,
    shape: [usize; 2],
    stored_rows: usize,
    optimizer: Option<String>,
    optimizer_steps: Option<u64>,
    ids: bool,
    titles: bool,
}

/// Tells what each step holds.
pub(super) fn tell(folder: &Path, steps: &[u64], json: bool) -> Result<()> {
    let checkpoints = Checkpoints::open(folder);
    let infos = steps.iter().map(|&step| checkpoints.info(step)).collect::<FileResult<Vec<_>>>()?;
    if json {
        let folder = folder.display().to_string();
        return say_json(&Report { folder, format: "checkpoints", steps: infos.into_iter().map(step).collect() });
    }
    let bytes = infos.iter().map(|info| info.bytes).sum();
    let count = if infos.len() == 1 { "1 checkpoint".to_owned() } else { format!("{} checkpoints", grouped(infos.len())) };
    let mut text = format!("{}: {count}, {}\n", folder.display(), sized(bytes));
    infos.iter().for_each(|info| text += &about(info));
    say(text.trim_end())
}

fn step(info: CheckpointInfo) -> Step {
    let table = |table: TableInfo| {
        let (optimizer, optimizer_steps) = table.optimizer.unzip();
        Table {
            name: table.name,
            dtype: table.dtype.to_string(),
            shape: table.shape,
            stored_rows: table.stored_rows,
            optimizer,
            optimizer_steps,
            ids: table.ids,
            titles: table.titles,
        }
    };
    Step {
        step: info.step,
        base: info.base,
        bytes: info.bytes,
        files: info.files,
        tables: info.tables.into_iter().map(table).collect(),
        // The manifest has JSON there, or could not have been read.
        config: serde_json::from_str(&info.config).unwrap_or_default(),
        created_by: info.created_by,
    }
}

/// A step for people.
fn about(info: &CheckpointInfo) -> String {
    let kind = info.base.map_or("full".to_owned(), |base| format!("what changed since step {base}"));
    let files = if info.files.len() == 1 { "1 file".to_owned() } else { format!("{} files", grouped(info.files.len())) };
    let by = info.created_by.escape_debug();
    let mut text = format!("\nstep {}: {kind}, {} in {files}, by {by}\n", info.step, sized(info.bytes));
    let head = ["  table", "shape", "type", "stored rows", "optimizer", "ids"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for table in &info.tables {
        let optimizer = table.optimizer.as_ref().map(|(name, steps)| format!("{name} after {} steps", grouped(*steps as usize)));
        let ids = match (table.ids, table.titles) {
            (true, true) => "ids, titles",
            (true, false) => "ids",
            (false, true) => "titles",
            (false, false) => "-",
        };
        lines.push(vec![
            format!("  {}", table.name.escape_debug()),
            format!("[{}, {}]", table.shape[0], table.shape[1]),
            table.dtype.to_string(),
            grouped(table.stored_rows),
            optimizer.unwrap_or_else(|| "-".to_owned()),
            ids.to_owned(),
        ]);
    }
    text += &columns(&lines, &[3]);
    text
}
