//! Where the ids of each feature go, and where their vectors come back to.

use std::ops::Range;

use crate::element::DType;
use crate::error::{Error, Result};
use crate::layer::EmbeddingBagConfig;

/// A part of a table, and the rank that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which table.
    pub table: usize,
    /// Whose it is.
    pub owner: usize,
    /// Its rows.
    pub rows: Range<usize>,
    /// Its columns.
    pub columns: Range<usize>,
}

/// The ids of one feature that one rank gets: those of the rows that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Which of the features that tables look up, counted through all tables.
    pub lookup: usize,
    /// The rows of the table that the ids name; they are sent as numbers from the first of these.
    pub rows: Range<usize>,
}

/// What looks up a table.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub(super) table: usize,
    pub(super) key: String,
    /// Its first column of the output.
    pub(super) start: usize,
    pub(super) dim: usize,
    /// Whether the rows of its table are at several owners.
    pub(super) cut: bool,
    /// The streams of its ids, ascending by rows where the table is cut.
    pub(super) streams: Vec<At>,
    /// The slots of its vectors, in the same order.
    pub(super) slots: Vec<At>,
}

/// Something of an owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) owner: usize,
    pub(super) at: usize,
}

/// The vectors of one stream from one shard.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) stream: usize,
    pub(super) lookup: usize,
    pub(super) width: usize,
    /// Its first column of the owner's output.
    pub(super) from: usize,
    /// Its first column of its feature.
    pub(super) column: usize,
    /// The columns of the gradient that go to the shard.
    pub(super) gradient: SlotGradient,
}

/// The part of a feature's gradient that goes to one shard: its own columns, or whole rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotGradient {
    pub(super) width: usize,
    /// Its first column of the gradient that the owner puts together.
    pub(super) from: usize,
    /// Its first column of its feature.
    pub(super) column: usize,
}

/// What one rank has.
#[derive(Clone, Debug, Default)]
pub(super) struct Owner {
    pub(super) shards: Vec<usize>,
    pub(super) streams: Vec<Stream>,
    pub(super) slots: Vec<Slot>,
    /// The columns of its output.
    pub(super) width: usize,
    /// The columns of its output's gradient.
    pub(super) gradient_width: usize,
}

/// How tables are cut into shards, and what follows for the ids and vectors of every feature.
///
/// Tables without any shard are not exchanged: their columns of the output are left to somebody else.
///
/// ```
/// use hotrow::exchange::{Routes, Shard};
/// use hotrow::{DType, EmbeddingBagConfig, KeyedJagged};
///
/// // Rank 0 has rows 0..5 of a table, and rank 1 the other five.
/// let tables = vec![EmbeddingBagConfig::new("items", 10, 2, ["seen"])];
/// let shards = [0, 1].map(|owner| Shard { table: 0, owner, rows: 5 * owner..5 * owner + 5, columns: 0..2 });
/// let routes = Routes::new(tables, shards.to_vec(), 2, DType::F32)?;
///
/// // A rank whose batch has two examples, [1, 7] and [8], asks both: rank 1 is asked for its rows 2 and 3.
/// let input = KeyedJagged::from_lengths(&["seen"], &[1i64, 7, 8], &[2i64, 1]);
/// let (mine, messages) = routes.route_bags(&input, true)?;
/// assert_eq!(mine.examples(), 2);
/// let received = routes.receive_bags(1, &[&messages[1]])?;
/// assert_eq!((received.values(), received.lengths()), (&[2, 3][..], &[1, 1][..]));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Routes {
    pub(super) tables: Vec<EmbeddingBagConfig>,
    pub(super) shards: Vec<Shard>,
    pub(super) lookups: Vec<Lookup>,
    pub(super) owners: Vec<Owner>,
    pub(super) width: usize,
    pub(super) wire: DType,
}

impl Routes {
    /// The routes between `ranks` ranks for tables that are cut into `shards`, with vectors that travel as `wire`.
    ///
    /// # Errors
    /// [`Error::InvalidSharding`] when a table's shards are not its rows or its columns cut into pieces, each there once.
    pub fn new(tables: Vec<EmbeddingBagConfig>, mut shards: Vec<Shard>, ranks: usize, wire: DType) -> Result<Routes> {
        check(&tables, &shards, ranks)?;
        shards.sort_by_key(|shard| (shard.table, shard.rows.start, shard.columns.start));
        let (mut lookups, mut start) = (Vec::new(), 0);
        for (at, table) in tables.iter().enumerate() {
            let cut = shards.iter().any(|shard| shard.table == at && shard.rows != (0..table.num_embeddings));
            for key in &table.feature_names {
                let dim = table.embedding_dim;
                lookups.push(Lookup { table: at, key: key.clone(), start, dim, cut, streams: Vec::new(), slots: Vec::new() });
                start += dim;
            }
        }
        let mut owners = vec![Owner::default(); ranks];
        for (number, shard) in shards.iter().enumerate() {
            let owner = &mut owners[shard.owner];
            owner.shards.push(number);
            for (lookup, own) in lookups.iter_mut().enumerate().filter(|(_, lookup)| lookup.table == shard.table) {
                let stream = Stream { lookup, rows: shard.rows.clone() };
                let known = owner.streams.iter().position(|known| *known == stream);
                let stream = known.unwrap_or_else(|| {
                    own.streams.push(At { owner: shard.owner, at: owner.streams.len() });
                    owner.streams.push(stream);
                    owner.streams.len() - 1
                });
                own.slots.push(At { owner: shard.owner, at: owner.slots.len() });
                let (width, column) = (shard.columns.len(), shard.columns.start);
                let gradient = SlotGradient { width, from: owner.gradient_width, column };
                owner.slots.push(Slot { stream, lookup, width, from: owner.width, column, gradient });
                owner.width += width;
                owner.gradient_width += width;
            }
        }
        Ok(Routes { tables, shards, lookups, owners, width: start, wire })
    }

    /// The same with gradients of whole rows for the owners of these tables' columns: for rules that look at a row as a whole, and optimizers that are
    /// [of columns](crate::Optimizer::of_columns).
    ///
    /// ```
    /// use hotrow::exchange::{Routes, Shard};
    /// use hotrow::{DType, EmbeddingBagConfig};
    ///
    /// let tables = vec![EmbeddingBagConfig::new("items", 10, 6, ["seen"])];
    /// let shards = [0, 1].map(|owner| Shard { table: 0, owner, rows: 0..10, columns: 3 * owner..3 * owner + 3 });
    /// let routes = Routes::new(tables, shards.to_vec(), 2, DType::F32)?.with_whole_rows(&[0])?;
    /// assert_eq!((routes.width_of(1), routes.gradient_width_of(1)), (3, 6));
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidSharding`] when there is no such table.
    pub fn with_whole_rows(mut self, tables: &[usize]) -> Result<Routes> {
        if let Some(table) = tables.iter().find(|&&table| table >= self.tables.len()) {
            let problem = format!("gradients of whole rows are asked for table {table}, and there are {}", self.tables.len());
            return Err(Error::InvalidSharding { problem });
        }
        for owner in &mut self.owners {
            owner.gradient_width = 0;
            for slot in &mut owner.slots {
                let lookup = &self.lookups[slot.lookup];
                let (width, column) = if tables.contains(&lookup.table) { (lookup.dim, 0) } else { (slot.width, slot.column) };
                slot.gradient = SlotGradient { width, from: owner.gradient_width, column };
                owner.gradient_width += width;
            }
        }
        Ok(self)
    }

    /// How many ranks there are.
    pub fn ranks(&self) -> usize {
        self.owners.len()
    }

    /// The shards, by table and by row and column.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The numbers of a rank's shards among all: the tables of its collection, in this order. Each is looked up by the streams of the features of its
    /// table, and its rows are pooled by sums where the table is cut by rows.
    pub fn shards_of(&self, rank: usize) -> &[usize] {
        &self.owners[rank].shards
    }

    /// The streams that a rank gets: the keys of the input of its collection, in this order.
    pub fn streams_of(&self, rank: usize) -> &[Stream] {
        &self.owners[rank].streams
    }

    /// The streams that look up a shard, in the order of its table's features.
    pub fn streams_of_shard(&self, shard: usize) -> Vec<usize> {
        let Shard { table, owner, rows, .. } = &self.shards[shard];
        let streams = self.owners[*owner].streams.iter().enumerate();
        let of_shard = streams.filter(|(_, stream)| self.lookups[stream.lookup].table == *table && stream.rows == *rows);
        of_shard.map(|(at, _)| at).collect()
    }

    /// The columns of a rank's collection's output.
    pub fn width_of(&self, rank: usize) -> usize {
        self.owners[rank].width
    }

    /// The columns of the gradient of that output: more where owners of columns get [whole rows](Routes::with_whole_rows).
    pub fn gradient_width_of(&self, rank: usize) -> usize {
        self.owners[rank].gradient_width
    }

    /// The columns of the output, of tables without shards too.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether every table has shards.
    pub fn is_whole(&self) -> bool {
        self.lookups.iter().all(|lookup| !lookup.slots.is_empty())
    }
}

/// Refuses shards that are not each table cut in one direction, all of it and nothing twice.
fn check(tables: &[EmbeddingBagConfig], shards: &[Shard], ranks: usize) -> Result<()> {
    let refuse = |problem: String| Err(Error::InvalidSharding { problem });
    if ranks == 0 {
        return refuse("there are no ranks".to_owned());
    }
    for shard in shards {
        if shard.table >= tables.len() {
            return refuse(format!("a shard is of table {}, and there are {}", shard.table, tables.len()));
        }
        if shard.owner >= ranks {
            let name = &tables[shard.table].name;
            return refuse(format!("a shard of table {name:?} is at rank {}, and there are {ranks} ranks", shard.owner));
        }
    }
    for (at, table) in tables.iter().enumerate() {
        let name = &table.name;
        let whole = [0..table.num_embeddings, 0..table.embedding_dim];
        let mut parts: Vec<[&Range<usize>; 2]> =
            shards.iter().filter(|shard| shard.table == at).map(|shard| [&shard.rows, &shard.columns]).collect();
        let is_whole = |axis: usize| parts.iter().all(|part| *part[axis] == whole[axis]);
        let axis = match (is_whole(0), is_whole(1)) {
            _ if parts.is_empty() => continue,
            (_, true) => 0,
            (true, false) => 1,
            (false, false) => return refuse(format!("table {name:?} is cut by rows and by columns at once")),
        };
        let what = ["rows", "columns"][axis];
        parts.sort_by_key(|part| part[axis].start);
        let mut end = 0;
        for part in &parts {
            let range = part[axis];
            if range.start != end || (range.is_empty() && *range != whole[axis]) {
                return refuse(format!("table {name:?} has a shard of {what} {range:?} where one from {end} on was expected"));
            }
            end = range.end;
        }
        if end != whole[axis].end {
            return refuse(format!("the shards of table {name:?} end at {end}, and it has {} {what}", whole[axis].end));
        }
        if table.num_embeddings > u32::MAX as usize {
            return Err(Error::TooManyRows { rows: table.num_embeddings });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(table: usize, owner: usize, rows: Range<usize>, columns: Range<usize>) -> Shard {
        Shard { table, owner, rows, columns }
    }

    #[test]
    fn shards_that_do_not_make_a_table_are_refused() {
        let routes = |shards: &[Shard]| {
            Routes::new(vec![EmbeddingBagConfig::new("t", 6, 4, ["a"])], shards.to_vec(), 2, DType::F32)
                .map_err(|error| error.to_string())
        };
        for (shards, expected) in [
            (vec![shard(1, 0, 0..6, 0..4)], "a shard is of table 1, and there are 1"),
            (vec![shard(0, 2, 0..6, 0..4)], "a shard of table \"t\" is at rank 2, and there are 2 ranks"),
            (vec![shard(0, 0, 0..5, 0..4)], "the shards of table \"t\" end at 5, and it has 6 rows"),
            (vec![shard(0, 0, 0..6, 0..3)], "the shards of table \"t\" end at 3, and it has 4 columns"),
            (
                vec![shard(0, 0, 0..3, 0..4), shard(0, 1, 4..6, 0..4)],
                "table \"t\" has a shard of rows 4..6 where one from 3 on was expected",
            ),
            (
                vec![shard(0, 0, 0..6, 0..2), shard(0, 1, 0..6, 1..4)],
                "table \"t\" has a shard of columns 1..4 where one from 2 on was expected",
            ),
            (
                vec![shard(0, 0, 0..6, 0..4), shard(0, 1, 6..6, 0..4)],
                "table \"t\" has a shard of rows 6..6 where one from 6 on was expected",
            ),
            (vec![shard(0, 0, 0..3, 0..2), shard(0, 1, 3..6, 2..4)], "table \"t\" is cut by rows and by columns at once"),
        ] {
            assert_eq!(routes(&shards).unwrap_err(), format!("sharding: {expected}"));
        }
        assert!(routes(&[]).is_ok_and(|routes| !routes.is_whole()));
        assert!(Routes::new(Vec::new(), Vec::new(), 0, DType::F32).is_err());
    }

    #[test]
    fn columns_at_one_owner_share_their_ids() {
        let tables = vec![EmbeddingBagConfig::new("t", 6, 4, ["a", "b"]), EmbeddingBagConfig::new("u", 5, 3, ["a"])];
        let shards = vec![shard(1, 0, 0..5, 0..3), shard(0, 0, 0..6, 2..4), shard(0, 0, 0..6, 0..1), shard(0, 1, 0..6, 1..2)];
        let routes = Routes::new(tables, shards, 2, DType::F32).unwrap();
        assert_eq!((routes.width(), routes.width_of(0), routes.width_of(1), routes.ranks()), (11, 2 * 3 + 3, 2, 2));
        let stream = |lookup, rows| Stream { lookup, rows };
        assert_eq!(routes.streams_of(0), [stream(0, 0..6), stream(1, 0..6), stream(2, 0..5)]);
        assert_eq!((routes.shards_of(0), routes.shards_of(1)), (&[0, 2, 3][..], &[1][..]));
        assert_eq!((routes.streams_of_shard(2), routes.streams_of_shard(3)), (vec![0, 1], vec![2]));
        assert!(routes.is_whole());
        assert_eq!((routes.gradient_width_of(0), routes.gradient_width_of(1)), (2 * 3 + 3, 2));
        let routes = routes.with_whole_rows(&[0]).unwrap();
        assert_eq!((routes.width_of(0), routes.width_of(1)), (2 * 3 + 3, 2));
        // Both of rank 0's shards have both features.
        assert_eq!((routes.gradient_width_of(0), routes.gradient_width_of(1)), (2 * 2 * 4 + 3, 2 * 4));
        let error = routes.with_whole_rows(&[1, 2]).unwrap_err().to_string();
        assert_eq!(error, "sharding: gradients of whole rows are asked for table 2, and there are 2");
    }
}
