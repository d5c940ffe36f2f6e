//! The manifest of a checkpoint whose shards were written in parts.

use serde_json::value::RawValue;

use super::manifest::{FileRecord, Kind, Manifest, PieceRecord, TableRecord, TensorRecord, state_name};
use super::names::Shard;
use super::part::{PartRecord, Rows};
use crate::optim::OptimizerRecord;

/// Puts parts together, in any order; `Err` says in words what does not fit.
pub(super) fn assemble(
    (step, generation): (u64, u64),
    tables: &[&str],
    parts: &[PartRecord],
    config: Box<RawValue>,
) -> Result<Manifest, String> {
    let mut parts: Vec<&PartRecord> = parts.iter().collect();
    parts.sort_by_key(|part| Shard::parse(&part.file.name).map(|shard| shard.at));
    for part in &parts {
        let own = |shard: Shard| (shard.step, shard.generation) == (step, generation);
        if !Shard::parse(&part.file.name).is_some_and(own) {
            return Err(format!("{:?} is no file of this save", part.file.name));
        }
    }
    let given = || parts.iter().flat_map(|part| &part.tables);
    if let Some(stranger) = given().find(|table| !tables.contains(&table.name.as_str())) {
        return Err(format!("a part has rows of table {:?}, which is not among those to be saved", stranger.name));
    }
    let mut manifest = Manifest {
        step,
        kind: Kind::Full,
        base: None,
        created_by: concat!("hotrow ", env!("CARGO_PKG_VERSION")).to_owned(),
        files: parts.iter().map(|part| part.file.clone()).collect::<Vec<FileRecord>>(),
        tables: Vec::new(),
        tensors: Vec::new(),
        config,
    };
    for &name in tables {
        let mut same = given().filter(|table| table.name == name);
        let Some(table) = same.next() else { return Err(format!("no part has rows of table {name:?}")) };
        if let Some(other) = same.find(|other| *other != table) {
            return Err(format!("the parts do not agree on table {name:?}: {} and {}", told(table), told(other)));
        }
        let states = table.optimizer.as_ref().map_or(Ok(Vec::new()), OptimizerRecord::states);
        let states = states.map_err(|error| format!("the optimizer of table {name:?}: {error}"))?;
        manifest.tensors.push(tensor(name, &parts)?);
        for (state, _) in states {
            manifest.tensors.push(tensor(&state_name(name, state), &parts)?);
        }
        manifest.tables.push(table.clone());
    }
    manifest.check()?;
    Ok(manifest)
}

/// A tensor of which each part has some rows.
fn tensor(name: &str, parts: &[&PartRecord]) -> Result<TensorRecord, String> {
    let rows = parts.iter().enumerate().flat_map(|(file, part)| part.tensors.iter().map(move |rows| (file, rows)));
    let mut found: Vec<(usize, &Rows)> = rows.filter(|(_, rows)| rows.tensor.name == name).collect();
    // A part without rows stands before the one that begins where it does.
    found.sort_by_key(|(_, rows)| (rows.first, rows.count()));
    let Some((_, first)) = found.first() else { return Err(format!("no part has rows of tensor {name:?}")) };
    let mut tensor = TensorRecord { pieces: Vec::new(), ..first.tensor.clone() };
    let mut next = 0usize;
    for (file, rows) in &found {
        if rows.first != next {
            return Err(format!("tensor {name:?}: after row {next} comes a part from row {} on", rows.first));
        }
        next = next.saturating_add(rows.count());
        tensor.pieces.extend(rows.tensor.pieces.iter().map(|piece| PieceRecord { file: *file, ..piece.clone() }));
    }
    Ok(tensor)
}

fn told(table: &TableRecord) -> String {
    let optimizer = table.optimizer.as_ref().map_or("no optimizer".to_owned(), OptimizerRecord::to_string);
    format!("{:?} {:?} with {optimizer}", table.dtype, table.shape)
}
