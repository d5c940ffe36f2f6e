//! Files of tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hotrow::AnyView;
use hotrow::store::{self, DEFAULT_TABLE, FileInfo, Open, OpenOptions, OpenTable, PartInfo, Role};
use pyo3::exceptions::PyUserWarning;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::Kind;
use crate::error::{Failure, Result};
use crate::memory::{array_of_file, array_of_table};
use crate::pool::{self, Access};
use crate::table::{Table, TableArg};

/// Files take their time: Python runs meanwhile.
const LONG: usize = usize::MAX;

/// Writes tables into a file of the format safetensors, which appears whole or not at all.
#[pyfunction]
pub(crate) fn save(py: Python<'_>, path: PathBuf, tables: &Bound<'_, PyAny>) -> Result<()> {
    let mut named = Vec::new();
    let Ok(items) = tables.getattr(intern!(py, "items")) else {
        return Err(Failure::Type(format!("tables must be a mapping of names to tables, and is a {}", tables.get_type())));
    };
    for item in items.call0()?.try_iter()? {
        let (name, table) = item?.extract::<(String, Bound<'_, PyAny>)>()?;
        named.push((name, TableArg::of(&table)?));
    }
    save_named(py, path, &named)
}

/// [`save`] of one table.
pub(crate) fn save_one(py: Python<'_>, path: PathBuf, table: TableArg<'_>) -> Result<()> {
    save_named(py, path, &[(DEFAULT_TABLE.to_owned(), table)])
}

fn save_named(py: Python<'_>, path: PathBuf, tables: &[(String, TableArg<'_>)]) -> Result<()> {
    let named: Vec<_> = tables.iter().map(|(name, table)| (name.as_str(), table.raw())).collect();
    // Each lock once, whatever names its table has: who waits for a lock that he has himself waits forever.
    let locks: BTreeMap<usize, _> =
        tables.iter().filter_map(|(_, table)| Some((std::ptr::from_ref(table.lock()?).addr(), table.lock()?))).collect();
    let locks: Vec<_> = locks.into_values().collect();
    pool::allocate_under(py, LONG, Access::ReadAll(&locks), |_| {
        let views: Vec<(&str, AnyView<'_>)> = named.iter().map(|(name, raw)| Ok((*name, raw.view()?))).collect::<Result<_>>()?;
        Ok(store::write_tables(&path, &views, &|_| ())?)
    })
}

/// A table of a file of any format that the engine knows, in memory.
#[pyfunction]
#[pyo3(signature = (path, table=None))]
pub(crate) fn load(py: Python<'_>, path: PathBuf, table: Option<String>) -> Result<Table> {
    of_file(py, open(py, path, table, Open::Read)?)
}

/// All tables of a file, by name.
#[pyfunction]
pub(crate) fn load_all(py: Python<'_>, path: PathBuf) -> Result<Bound<'_, PyDict>> {
    let all = PyDict::new(py);
    for part in parts(&inspect(py, path.clone())?) {
        let opened = open(py, path.clone(), part.name.clone(), Open::Read)?;
        all.set_item(name_of(part), Bound::new(py, of_file(py, opened)?)?)?;
    }
    Ok(all)
}

/// A table of a file that stays there: it is read when it is looked up, and cannot be changed.
#[pyfunction]
#[pyo3(signature = (path, table=None))]
pub(crate) fn mmap(py: Python<'_>, path: PathBuf, table: Option<String>) -> Result<Table> {
    of_file(py, open(py, path, table, Open::Map)?)
}

/// The tables of a file: their names, and their shapes as far as the file tells them.
#[pyfunction]
pub(crate) fn tables(py: Python<'_>, path: PathBuf) -> Result<Bound<'_, PyDict>> {
    let all = PyDict::new(py);
    for part in parts(&inspect(py, path)?) {
        if let [rows, dim] = part.shape[..] {
            all.set_item(name_of(part), (rows, dim))?;
        }
    }
    Ok(all)
}

fn inspect(py: Python<'_>, path: PathBuf) -> Result<FileInfo> {
    pool::allocate(py, LONG, |_| Ok(store::inspect(&path)?))
}

fn parts(info: &FileInfo) -> impl Iterator<Item = &PartInfo> {
    info.parts.iter().filter(|part| part.role == Role::Table)
}

/// A table's name; in formats where tables have none, the one that a single table has in those where they do.
fn name_of(part: &PartInfo) -> &str {
    part.name.as_deref().unwrap_or(DEFAULT_TABLE)
}

fn open(py: Python<'_>, path: PathBuf, table: Option<String>, open: Open) -> Result<OpenTable> {
    let options = OpenOptions { table, open, ..OpenOptions::default() };
    let opened = pool::allocate(py, LONG, |_| Ok(store::open(&path, &options)?))?;
    for note in opened.notes() {
        let text = format!("{}: {note}", path.display());
        let warnings = py.import(intern!(py, "warnings"))?;
        warnings.call_method1(intern!(py, "warn"), (text, py.get_type::<PyUserWarning>(), 2))?;
    }
    Ok(opened)
}

fn of_file(py: Python<'_>, opened: OpenTable) -> Result<Table> {
    let kind = Kind::try_from(opened.dtype())?;
    let dtype = kind.descr(py)?;
    let array = match opened.mapped() {
        Some(_) => array_of_file(py, opened, dtype)?,
        None => array_of_table(py, opened.into_table()?, dtype)?,
    };
    Table::of(array, kind == Kind::BF16)
}
