//! Where operations run.

use crate::error::Result;
use crate::index::{self, Ids, RowIds};
use crate::ops::Batch;
use crate::ops::step::Heavy;
use crate::ops::sums::{Rooms, Shares};
use crate::par::{Parallelism, Tiles};
use crate::simd::{Level, Tier};

/// How an operation runs, and the scratch memory that it needs: threads, SIMD level, and buffers that are kept from call to call.
///
/// Results depend on none of it. A workspace that is used again allocates nothing once it has seen its largest call; it then holds
/// 4 bytes an id for gathers and up to 16 bytes an id + 1 MiB after a scatter-add.
///
/// ```
/// use hotrow::{Level, Parallelism, Table, Workspace};
///
/// let mut workspace = Workspace::new().with_parallelism(Parallelism::threads(2)).with_level(Level::Portable)?;
/// let mut table = Table::<f32>::zeros(100, 4)?;
/// for step in 0..3 {
///     workspace.scatter_add(&mut table, &[step, 99], &[1.0f32; 8], 0.5)?;
/// }
/// assert_eq!(table.row(99), Some(&[1.5; 4][..]));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
pub struct Workspace {
    pub(super) parallelism: Parallelism,
    pub(super) tier: Tier,
    pub(super) batch: Batch,
    pub(super) tiles: Tiles,
    pub(super) shares: Shares,
    pub(super) scales: Vec<f32>,
    pub(super) heavy: Heavy,
    pub(super) rooms: Rooms,
}

impl Workspace {
    /// All threads of the pool, and the best level of the processor.
    pub fn new() -> Workspace {
        Workspace {
            parallelism: Parallelism::Auto,
            tier: Tier::best(),
            batch: Batch::default(),
            tiles: Tiles::default(),
            shares: Shares::default(),
            scales: Vec::new(),
            heavy: Heavy::default(),
            rooms: Rooms::default(),
        }
    }

    /// The same, on so many threads.
    #[must_use]
    pub fn with_parallelism(self, parallelism: Parallelism) -> Workspace {
        Workspace { parallelism, ..self }
    }

    /// The same, at a SIMD level.
    ///
    /// # Errors
    /// [`Error::LevelUnavailable`](crate::Error::LevelUnavailable) when this processor has not its instructions.
    pub fn with_level(self, level: Level) -> Result<Workspace> {
        Ok(Workspace { tier: Tier::at(level)?, ..self })
    }

    /// The threads that operations may use.
    pub fn parallelism(&self) -> Parallelism {
        self.parallelism
    }

    /// The SIMD level in use.
    pub fn level(&self) -> Level {
        self.tier.level()
    }

    pub(crate) fn tier(&self) -> Tier {
        self.tier
    }

    /// Checks ids against a table of `rows` rows.
    pub(crate) fn check<'b>(&'b mut self, ids: &Ids<'_>, rows: usize) -> Result<RowIds<'b>> {
        index::check(ids, rows, self.batch.scratch().0, self.tier, self.parallelism)
    }
}

impl Default for Workspace {
    fn default() -> Workspace {
        Workspace::new()
    }
}
