//! What is to be saved.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::value::RawValue;

use super::content::Content;
use super::manifest::{Element, FROM_ROW, TableRecord, Texts, ids_name, rows_name, state_name, titles_name};
use crate::index::RowSet;
use crate::optim::Optimizer;
use crate::store::error::{FileError, FileResult};
use crate::table::AnyView;

/// The state of a training at one step, borrowed: tables, their optimizers, ids and titles, and a configuration.
///
/// ```
/// use hotrow::store::Snapshot;
/// use hotrow::{Adam, Optimizer, Table};
///
/// let table = Table::<f32>::uniform(3, 8, 7)?;
/// let optimizer = Optimizer::new(Adam::default(), 3, 8)?;
/// let ids = ["cat", "dog", "emu"].map(String::from);
/// let snapshot = Snapshot::new(1)
///     .table("animals", &table)?
///     .optimizer("animals", &optimizer)?
///     .ids("animals", &ids)?
///     .config(&serde_json::json!({"epoch": 1}))?;
/// assert_eq!(snapshot.step(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Snapshot<'a> {
    step: u64,
    config: Box<RawValue>,
    tables: Vec<Entry<'a>>,
}

#[derive(Debug)]
struct Entry<'a> {
    name: String,
    table: AnyView<'a>,
    optimizer: Option<&'a Optimizer>,
    ids: Option<&'a [String]>,
    titles: Option<&'a [Option<String>]>,
}

/// A tensor to be saved.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    pub(super) content: Content<'a>,
}

impl<'a> Snapshot<'a> {
    /// Nothing yet, of a step: what counts the state of a training, such as its batches. Steps of one folder ascend.
    pub fn new(step: u64) -> Snapshot<'a> {
        Snapshot { step, config: RawValue::NULL.to_owned(), tables: Vec::new() }
    }

    /// The step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The same with a configuration: whatever JSON can hold, such as the settings of a training and how far it has come.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when JSON cannot hold it.
    pub fn config(mut self, config: &impl Serialize) -> FileResult<Snapshot<'a>> {
        self.config = serde_json::value::to_raw_value(config)
            .map_err(|error| FileError::unsupported("checkpoint", format!("the configuration cannot be written: {error}")))?;
        Ok(self)
    }

    pub(super) fn raw_config(mut self, config: Box<RawValue>) -> Snapshot<'a> {
        self.config = config;
        self
    }

    /// The same with a table.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when there is one of the name, or the name is one that tensors beside tables have: it is empty, or ends in `.ids`,
    /// `.titles` or `.rows`, or has `.optimizer.` or `.from-row-` in it, or begins with two underscores.
    pub fn table(mut self, name: &str, table: impl Into<AnyView<'a>>) -> FileResult<Snapshot<'a>> {
        check_name(name)?;
        if self.tables.iter().any(|entry| entry.name == name) {
            return Err(refuse(name, "two tables have this name"));
        }
        self.tables.push(Entry { name: name.to_owned(), table: table.into(), optimizer: None, ids: None, titles: None });
        Ok(self)
    }

    /// The same with the optimizer of a table that was named before: its rule, options, steps and states.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when there is no such table, or the optimizer is for one of another shape.
    pub fn optimizer(mut self, name: &str, optimizer: &'a Optimizer) -> FileResult<Snapshot<'a>> {
        let entry = self.entry(name)?;
        optimizer.check_table(entry.table.shape()[0], entry.table.shape()[1]).map_err(|error| refuse(name, error.to_string()))?;
        entry.optimizer = Some(optimizer);
        Ok(self)
    }

    /// The same with an id for each row of a table that was named before.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when there is no such table, or it has more or fewer rows.
    pub fn ids(mut self, name: &str, ids: &'a [String]) -> FileResult<Snapshot<'a>> {
        let entry = self.entry(name)?;
        entry.check_count("ids", ids.len())?;
        entry.ids = Some(ids);
        Ok(self)
    }

    /// The same with a title, or none, for each row of a table that was named before.
    ///
    /// # Errors
    /// As [`ids`](Snapshot::ids).
    pub fn titles(mut self, name: &str, titles: &'a [Option<String>]) -> FileResult<Snapshot<'a>> {
        let entry = self.entry(name)?;
        entry.check_count("titles", titles.len())?;
        entry.titles = Some(titles);
        Ok(self)
    }

    fn entry(&mut self, name: &str) -> FileResult<&mut Entry<'a>> {
        let found = self.tables.iter_mut().find(|entry| entry.name == name);
        found.ok_or_else(|| refuse(name, "there is no table of this name in the snapshot"))
    }

    pub(super) fn config_text(&self) -> &RawValue {
        &self.config
    }

    /// How the manifest describes the tables. Ids and titles are those of the base where `inherits` says so.
    pub(super) fn records(&self, inherits: impl Fn(&str) -> bool) -> Vec<TableRecord> {
        let texts = |given: bool, name: String| match given {
            false => Texts::None,
            true if inherits(&name) => Texts::Base,
            true => Texts::Here,
        };
        let record = |entry: &Entry<'_>| TableRecord {
            name: entry.name.clone(),
            dtype: Element::from(entry.table.dtype()),
            shape: entry.table.shape(),
            ids: texts(entry.ids.is_some(), ids_name(&entry.name)),
            titles: texts(entry.titles.is_some(), titles_name(&entry.name)),
            optimizer: entry.optimizer.map(Optimizer::record),
        };
        self.tables.iter().map(record).collect()
    }

    /// All tensors; of a delta, where `touched` has a set for each table, the rows in those sets.
    pub(super) fn tensors<'s>(&'s self, touched: Option<&[&'s RowSet]>, inherits: impl Fn(&str) -> bool) -> Vec<Tensor<'s>> {
        let mut tensors = Vec::new();
        for (at, entry) in self.tables.iter().enumerate() {
            let only = touched.map(|touched| touched[at]);
            let mut push = |name: String, content| tensors.push(Tensor { name, content });
            if let Some(set) = only {
                push(rows_name(&entry.name), Content::Numbers(set));
            }
            push(entry.name.clone(), Content::Rows(entry.table, only));
            for (state, table) in entry.optimizer.iter().flat_map(|optimizer| optimizer.state()) {
                push(state_name(&entry.name, state), Content::Rows(table.into(), only));
            }
            for (name, content) in entry.texts() {
                if !inherits(&name) {
                    push(name, content);
                }
            }
        }
        tensors
    }

    /// The ids and titles.
    pub(super) fn texts(&self) -> Vec<(String, Content<'_>)> {
        self.tables.iter().flat_map(Entry::texts).collect()
    }

    /// A set of rows for each table, in the order of the tables.
    pub(super) fn sets<'s>(&self, touched: &[(&str, &'s RowSet)]) -> FileResult<Vec<&'s RowSet>> {
        let known: HashSet<&str> = self.tables.iter().map(|entry| entry.name.as_str()).collect();
        let mut named = HashSet::new();
        for (name, _) in touched {
            if !known.contains(name) {
                return Err(refuse(
                    name,
                    "rows of it are said to have changed, but there is no table of this name in the snapshot",
                ));
            }
            if !named.insert(name) {
                return Err(refuse(name, "two sets of changed rows are given for it"));
            }
        }
        let set = |entry: &Entry<'_>| {
            let found = touched.iter().find(|(name, _)| *name == entry.name);
            let (_, set) = found.ok_or_else(|| {
                refuse(
                    &entry.name,
                    "which of its rows have changed is not said: give an empty set if none has, or save a full checkpoint",
                )
            })?;
            if set.rows() != entry.table.shape()[0] {
                let problem = format!("its changed rows are a set of {} rows, and it has {}", set.rows(), entry.table.shape()[0]);
                return Err(refuse(&entry.name, problem));
            }
            Ok(*set)
        };
        self.tables.iter().map(set).collect()
    }
}

impl<'a> Entry<'a> {
    fn texts(&self) -> impl Iterator<Item = (String, Content<'a>)> + use<'a> {
        let ids = self.ids.map(|ids| (ids_name(&self.name), Content::Ids(ids)));
        let titles = self.titles.map(|titles| (titles_name(&self.name), Content::Titles(titles)));
        [ids, titles].into_iter().flatten()
    }

    fn check_count(&self, what: &str, count: usize) -> FileResult<()> {
        let rows = self.table.shape()[0];
        if count == rows {
            return Ok(());
        }
        Err(refuse(&self.name, format!("{count} {what} are given for {rows} rows")))
    }
}

/// Refuses names that tensors beside tables have.
pub(super) fn check_name(name: &str) -> FileResult<()> {
    let reserved = name.is_empty()
        || name.starts_with("__")
        || name.contains(".optimizer.")
        || name.contains(FROM_ROW)
        || [".ids", ".titles", ".rows"].iter().any(|end| name.ends_with(end));
    if reserved { Err(refuse(name, "this is no name for a table: other tensors are named so")) } else { Ok(()) }
}

/// A snapshot is refused before it has anything to do with a file, so the error names the table.
pub(super) fn refuse(table: &str, problem: impl Into<String>) -> FileError {
    FileError::unsupported(format!("table {table:?}"), problem)
}
