//! Where ids go, and where vectors come back to, for tables that are cut into shards. The messages are arrays of bytes, which Python carries.

use std::sync::Arc;

use hotrow::exchange::{self, Shard};
use numpy::{PyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{AnyViewMut, Range, RawIds, RawRows, RawSlice, RawTable, apart};
use crate::error::{Failure, Result};
use crate::exchange_bags::{ReceivedBags, RoutedBags};
use crate::exchange_ids::{ReceivedIds, RoutedIds};
use crate::ids::IdArray;
use crate::jagged::{JaggedArrays, JaggedOptions};
use crate::options;
use crate::pool::{self, Access};
use crate::table_config::TableConfig;

/// A shard: table, owner, rows from and to, columns from and to.
type ShardOf = (usize, usize, usize, usize, usize, usize);

/// What was kept of a batch, and a message for each rank.
type Routed<'py, T> = (T, Vec<Bound<'py, PyArray1<u8>>>);

/// How tables are cut into shards, and what follows for the ids and vectors of every feature.
#[pyclass(frozen, module = "hotrow._native")]
pub(crate) struct Routes {
    routes: Arc<exchange::Routes>,
    tables: Vec<(String, Vec<String>)>,
}

#[pymethods]
impl Routes {
    #[new]
    #[pyo3(signature = (configs, shards, ranks, *, wire_dtype="float32", whole_rows=vec![]))]
    fn new(
        configs: &Bound<'_, PyAny>,
        shards: Vec<ShardOf>,
        ranks: usize,
        wire_dtype: &str,
        whole_rows: Vec<usize>,
    ) -> Result<Routes> {
        let configs: Vec<TableConfig> = configs.try_iter()?.map(|config| TableConfig::of(&config?)).collect::<Result<_>>()?;
        let tables = configs.iter().map(|config| (config.name().to_owned(), config.features().to_vec())).collect();
        let shard = |(table, owner, row, row_end, column, column_end)| Shard {
            table,
            owner,
            rows: row..row_end,
            columns: column..column_end,
        };
        let shards = shards.into_iter().map(shard).collect();
        let wire = options::kind(wire_dtype)?.dtype();
        let routes = exchange::Routes::new(configs.iter().map(TableConfig::pooled).collect(), shards, ranks, wire)?;
        let routes = routes.with_whole_rows(&whole_rows)?;
        Ok(Routes { routes: Arc::new(routes), tables })
    }

    /// The shards, by table and by row and column.
    #[getter]
    fn shards(&self) -> Vec<ShardOf> {
        let of = |shard: &Shard| {
            let (rows, columns) = (&shard.rows, &shard.columns);
            (shard.table, shard.owner, rows.start, rows.end, columns.start, columns.end)
        };
        self.routes.shards().iter().map(of).collect()
    }

    /// The numbers of a rank's shards among all.
    fn shards_of(&self, rank: usize) -> Result<Vec<usize>> {
        self.check_rank(rank)?;
        Ok(self.routes.shards_of(rank).to_vec())
    }

    /// The keys of what a rank receives.
    fn keys_of(&self, rank: usize) -> Result<Vec<String>> {
        self.check_rank(rank)?;
        let keys: Vec<(&str, &str)> =
            self.tables.iter().flat_map(|(name, keys)| keys.iter().map(move |key| (key.as_str(), name.as_str()))).collect();
        let name = |stream: &exchange::Stream| {
            let (key, table) = keys[stream.lookup];
            format!("{key}@{table}[{}..{}]", stream.rows.start, stream.rows.end)
        };
        Ok(self.routes.streams_of(rank).iter().map(name).collect())
    }

    /// Those of them that look up a shard.
    fn keys_of_shard(&self, shard: usize) -> Result<Vec<String>> {
        let shards = self.routes.shards();
        let Some(owner) = shards.get(shard).map(|shard| shard.owner) else {
            return Err(Failure::Value(format!("there is no shard {shard}: there are {}", shards.len())));
        };
        let keys = self.keys_of(owner)?;
        Ok(self.routes.streams_of_shard(shard).into_iter().map(|stream| keys[stream].clone()).collect())
    }

    /// The columns of the output.
    #[getter]
    fn width(&self) -> usize {
        self.routes.width()
    }

    /// Checks a batch of bags, and cuts it into a message for each rank.
    #[pyo3(signature = (keys, values, *, lengths=None, offsets=None, weights=None, policy="strict", deduplicate=true))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn route_bags<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<String>,
        values: &Bound<'py, PyAny>,
        lengths: Option<Bound<'py, PyAny>>,
        offsets: Option<Bound<'py, PyAny>>,
        weights: Option<Bound<'py, PyAny>>,
        policy: &str,
        deduplicate: bool,
    ) -> Result<Routed<'py, RoutedBags>> {
        let input = JaggedArrays::of(keys, values, JaggedOptions { lengths, offsets, weights, policy })?;
        let (bytes, raw) = (work(&input), input.raw());
        let (routed, messages) = pool::run(py, bytes, Access::Free, |_| Ok(self.routes.route_bags(&raw.input()?, deduplicate)?))?;
        Ok((RoutedBags::new(Arc::clone(&self.routes), routed), arrays(py, messages)))
    }

    /// Puts what all ranks sent to `rank` together.
    fn receive_bags(&self, py: Python<'_>, rank: usize, messages: Vec<Bound<'_, PyAny>>) -> Result<ReceivedBags> {
        self.check_rank(rank)?;
        let messages = Messages::of(&messages)?;
        let received = messages.run(py, 0, |messages| Ok(self.routes.receive_bags(rank, messages)?))?;
        Ok(ReceivedBags::new(Arc::clone(&self.routes), rank, received))
    }

    /// Checks a batch of ids that are not pooled, and cuts it into a message for each rank.
    #[pyo3(signature = (keys, values, *, lengths=None, offsets=None, policy="strict", deduplicate=true))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn route_ids<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<String>,
        values: &Bound<'py, PyAny>,
        lengths: Option<Bound<'py, PyAny>>,
        offsets: Option<Bound<'py, PyAny>>,
        policy: &str,
        deduplicate: bool,
    ) -> Result<Routed<'py, RoutedIds>> {
        let input = JaggedArrays::of(keys, values, JaggedOptions { lengths, offsets, weights: None, policy })?;
        let (bytes, raw) = (work(&input), input.raw());
        let (routed, messages) = pool::run(py, bytes, Access::Free, |_| Ok(self.routes.route_ids(&raw.input()?, deduplicate)?))?;
        Ok((RoutedIds::new(Arc::clone(&self.routes), routed), arrays(py, messages)))
    }

    /// Puts what all ranks sent to `rank` together: all ids, or, with `summed`, the distinct ones of each rank.
    #[pyo3(signature = (rank, messages, *, summed=false))]
    fn receive_ids(&self, py: Python<'_>, rank: usize, messages: Vec<Bound<'_, PyAny>>, summed: bool) -> Result<ReceivedIds> {
        self.check_rank(rank)?;
        let messages = Messages::of(&messages)?;
        let received = messages.run(py, 0, |messages| Ok(self.routes.receive_ids(rank, messages, summed)?))?;
        Ok(ReceivedIds::new(Arc::clone(&self.routes), received))
    }
}

impl Routes {
    fn check_rank(&self, rank: usize) -> Result<()> {
        let ranks = self.routes.ranks();
        if rank < ranks { Ok(()) } else { Err(Failure::Value(format!("there is no rank {rank}: there are {ranks}"))) }
    }
}

/// What routing a batch is worth, in bytes moved.
fn work(input: &JaggedArrays<'_>) -> usize {
    input.ids().saturating_mul(16)
}

/// Messages as Python's arrays, without a copy.
pub(crate) fn arrays(py: Python<'_>, messages: Vec<Vec<u8>>) -> Vec<Bound<'_, PyArray1<u8>>> {
    messages.into_iter().map(|message| PyArray1::from_vec(py, message)).collect()
}

/// Arrays of bytes that are held while they are read.
pub(crate) struct Messages<'py> {
    _arrays: Vec<IdArray<'py>>,
    raw: Vec<RawSlice<u8>>,
}

impl<'py> Messages<'py> {
    pub(crate) fn of(messages: &[Bound<'py, PyAny>]) -> Result<Messages<'py>> {
        let arrays = messages.iter().map(|message| IdArray::of(message, "a message")).collect::<Result<Vec<_>>>()?;
        let raw = arrays.iter().map(|array| match array.raw() {
            RawIds::U8(bytes) => Ok(bytes),
            _ => Err(Failure::Type("messages must be arrays of uint8".into())),
        });
        Ok(Messages { raw: raw.collect::<Result<_>>()?, _arrays: arrays })
    }

    /// Refuses to write what one of them lies in.
    pub(crate) fn apart(&self, out: &dyn Range, what: &str) -> Result<()> {
        self.raw.iter().try_for_each(|message| apart(out, what, message, "a message"))
    }

    /// Does `work` with the messages, which moves so many bytes beside those of the messages.
    pub(crate) fn run<T: Send>(&self, py: Python<'_>, more: usize, work: impl FnOnce(&[&[u8]]) -> Result<T> + Send) -> Result<T> {
        let bytes = self.raw.iter().map(RawSlice::len).sum::<usize>().saturating_add(more);
        let raw = &self.raw;
        pool::run(py, bytes, Access::Free, |_| {
            let messages: Vec<&[u8]> = raw.iter().map(RawSlice::get).collect();
            work(&messages)
        })
    }
}

/// A message that says, instead of what the other ranks expect, why it does not come.
#[pyfunction]
pub(crate) fn refusal<'py>(py: Python<'py>, reason: &str) -> Bound<'py, PyArray1<u8>> {
    PyArray1::from_vec(py, exchange::refusal(reason))
}

/// The reason that a refusal gives, or `None`.
#[pyfunction]
pub(crate) fn refused(message: &Bound<'_, PyAny>) -> Result<Option<String>> {
    let messages = Messages::of(std::slice::from_ref(message))?;
    Ok(exchange::refused(messages.raw[0].get()))
}

/// Writes a part of the table that a configuration describes, from row and column `first` on, as a collection with this seed would draw it.
#[pyfunction]
pub(crate) fn draw_part(
    config: &Bound<'_, PyAny>,
    seed: u64,
    first: (usize, usize),
    out: &Bound<'_, PyUntypedArray>,
) -> Result<()> {
    let config = TableConfig::of(config)?;
    let mut raw = RawTable::of(out, RawRows::is_bits(out), "out")?;
    if raw.dtype.dtype() != config.dtype() {
        return Err(Failure::Type(format!("out must be of {}, and is of {}", config.dtype(), out.dtype())));
    }
    let bytes = raw.bytes();
    pool::allocate(out.py(), bytes, |_| {
        let out = match raw.view_mut()? {
            AnyViewMut::F32(out) => hotrow::AnyViewMut::F32(out),
            AnyViewMut::F16(out) => hotrow::AnyViewMut::F16(out),
            AnyViewMut::BF16(out) => hotrow::AnyViewMut::BF16(out),
        };
        Ok(config.initializer().draw_part(config.shape(), seed, [first.0, first.1], out)?)
    })
}
