//! A folder of checkpoints.

use std::fs::{self, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::assemble::assemble;
use super::content::fingerprint;
use super::info::{CheckpointInfo, info_of};
use super::manifest::{Base, Crc, Kind, MANIFEST_CAP, Manifest, Number, TensorRecord, Texts};
use super::names;
use super::part::{Part, PartName, PartRecord, PartTable};
use super::progress::{CheckpointProgress, Listener, Meter};
use super::read::{Shards, open_shards};
use super::reader::CheckpointReader;
use super::restored::{Checkpoint, Restoring};
use super::snapshot::Snapshot;
use super::sweep;
use super::write::Plan;
use crate::index::RowSet;
use crate::store::atomic::{Target, folder_of};
use crate::store::error::{FileError, FileResult};
use crate::store::map::Mapped;
use crate::store::storage::{Disk, Storage};

/// One shard for all, unless smaller ones are asked for: a table that is cut cannot be mapped.
const SHARD_BYTES: u64 = u64::MAX;
/// The rows of a part are in pieces of at most so many bytes.
const PIECE_BYTES: u64 = 1 << 30;
/// The file that savers lock.
const LOCK: &str = ".hotrow-lock";

/// A folder of checkpoints: saves them, loads them, and keeps as many as are wanted.
///
/// A save is atomic: whatever stops it, and whenever, loading gives the checkpoints that were there, or those and the new one. All that is
/// loaded is compared with checksums. One program at a time may save into a folder; any number may load from it.
///
/// ```
/// use hotrow::store::{Checkpoints, Snapshot};
/// use hotrow::{Adagrad, Gradient, Optimizer, Table};
///
/// let mut table = Table::<f32>::uniform(1000, 16, 7)?;
/// let mut optimizer = Optimizer::new(Adagrad::default(), 1000, 16)?;
/// optimizer.track_rows()?;
///
/// # let folder = tempfile::tempdir()?;
/// # let dir = folder.path().join("run-1");
/// let mut checkpoints = Checkpoints::open(&dir).keep_last(3);
/// checkpoints.save(&Snapshot::new(1).table("items", &table)?.optimizer("items", &optimizer)?)?;
/// optimizer.clear_touched();
///
/// optimizer.step(&mut table, Gradient::of_gather(&[4, 8], &[0.5f32; 32]))?;
/// let snapshot = Snapshot::new(2).table("items", &table)?.optimizer("items", &optimizer)?;
/// checkpoints.save_delta(&snapshot, &[("items", optimizer.touched().unwrap())])?; // two rows of the table, and of its state
///
/// let mut last = Checkpoints::open(&dir).load_last()?.unwrap();
/// let restored = last.take("items").unwrap();
/// assert_eq!(last.step(), 2);
/// assert_eq!(restored.table.row_f32(8), table.row(8).map(<[f32]>::to_vec));
/// assert_eq!(restored.optimizer.unwrap().steps(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    storage: Arc<dyn Storage>,
    keep: Option<usize>,
    shard_bytes: u64,
    listener: Listener,
    /// Held from the first save on.
    lock: Option<fs::File>,
    /// What was saved or loaded last: what a delta can be a change of.
    last: Option<Base>,
}

/// What a save did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Saved {
    /// The step that was saved.
    pub step: u64,
    /// How many bytes its shards have.
    pub bytes: u64,
    /// The steps that were removed, as [`keep_last`](Checkpoints::keep_last) has it.
    pub removed: Vec<u64>,
    /// Why not all could be removed that is needed no longer, if so. The save itself is complete, and the next one tries again.
    pub unswept: Option<FileError>,
}

impl Checkpoints {
    /// A folder, which is made by the first save if it is not there.
    pub fn open(folder: impl Into<PathBuf>) -> Checkpoints {
        Checkpoints {
            folder: folder.into(),
            storage: Arc::new(Disk),
            keep: None,
            shard_bytes: SHARD_BYTES,
            listener: Listener::default(),
            lock: None,
            last: None,
        }
    }

    /// The same, written through other operations than the system's: a test's.
    #[must_use]
    pub fn with_storage(self, storage: Arc<dyn Storage>) -> Checkpoints {
        Checkpoints { storage, ..self }
    }

    /// The same, keeping only the newest `n` checkpoints, at least one, and whatever those are changes of. Without this all are kept.
    #[must_use]
    pub fn keep_last(self, n: usize) -> Checkpoints {
        Checkpoints { keep: Some(n.max(1)), ..self }
    }

    /// The same, with shards of about so many bytes; all is in one unless said. A table that is larger is cut between rows, and can be loaded, but
    /// not [mapped](Checkpoints::map). A row stays whole, and so do the ids of a table.
    #[must_use]
    pub fn shard_bytes(self, bytes: u64) -> Checkpoints {
        Checkpoints { shard_bytes: bytes.max(1), ..self }
    }

    /// The same, telling how far saving and loading have come. Several threads call.
    #[must_use]
    pub fn with_progress(self, listener: impl Fn(CheckpointProgress) + Send + Sync + 'static) -> Checkpoints {
        Checkpoints { listener: Listener(Some(Arc::new(listener))), ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The steps that there are checkpoints of, ascending; none where there is no folder.
    ///
    /// # Errors
    /// [`FileError::Io`] when the folder cannot be read.
    pub fn steps(&self) -> FileResult<Vec<u64>> {
        match self.storage.list(&self.folder) {
            Ok(names) => Ok(sweep::steps(&names)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(FileError::io(&self.folder, "list the folder", &error)),
        }
    }

    /// Makes the folder, if it is not there, and makes sure that this program alone saves into it: what the first save would do, and a way to
    /// find out early whether it can.
    ///
    /// # Errors
    /// [`FileError`]: another program saves here, or the system refused.
    pub fn prepare(&mut self) -> FileResult<()> {
        self.lock()
    }

    /// Saves everything. A checkpoint of the same step is replaced.
    ///
    /// # Errors
    /// [`FileError`]: another program saves here, the step is before the newest, or the system refused. The checkpoints are as they were; only when
    /// the very last operation failed, bringing the manifest's name onto the disk, the new one may be there as well.
    pub fn save(&mut self, snapshot: &Snapshot<'_>) -> FileResult<Saved> {
        self.lock()?;
        self.check_newest(snapshot.step())?;
        self.put(snapshot, None)
    }

    /// Begins a save whose shards several writers write, each a [`Part`] of its own, as the processes do that share out tables among them. All
    /// see this folder. The one that begins the save holds the folder's lock, and tells the others the generation, which is what this
    /// returns: no file has been named by it. When all parts are there, [`commit`](Checkpoints::commit) makes a checkpoint of them.
    ///
    /// ```
    /// use hotrow::store::{Checkpoints, PartName, PartTable};
    /// use hotrow::{DType, Table};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let dir = folder.path();
    /// let mut first = Checkpoints::open(dir);
    /// let generation = first.begin(7)?;
    /// let mut records = Vec::new();
    /// for at in 0..2 {
    ///     // Each of them elsewhere, with its half of the rows.
    ///     let own = Table::<f32>::uniform(50, 8, at)?;
    ///     let rows = at as usize * 50..(at as usize + 1) * 50;
    ///     let tables = [PartTable::new("items", DType::F32, [100, 8])?.rows(rows)?];
    ///     let name = PartName { step: 7, generation, at: at + 1, count: 2 };
    ///     let mut part = Checkpoints::open(dir).part(name, &tables)?;
    ///     part.write("items", &own)?;
    ///     records.push(part.finish()?);
    /// }
    /// first.commit(7, generation, &["items"], &records, "null")?;
    ///
    /// let loaded = Checkpoints::open(dir).load(7)?;
    /// assert_eq!(loaded.get("items").unwrap().table.row_f32(50), Table::<f32>::uniform(50, 8, 1)?.row(0).map(<[f32]>::to_vec));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`save`](Checkpoints::save).
    pub fn begin(&mut self, step: u64) -> FileResult<u64> {
        self.lock()?;
        self.check_newest(step)?;
        self.new_generation(step)
    }

    /// Begins a file that holds some rows of some tables and of the states of their optimizers, as [`begin`](Checkpoints::begin) shows. It needs no
    /// lock. Rows are cut into pieces of at most [`shard_bytes`](Checkpoints::shard_bytes), or 1 GiB, so that who reads some rows has little more to
    /// read.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when two tables have one name; [`FileError::Io`].
    pub fn part(&self, name: PartName, tables: &[PartTable]) -> FileResult<Part> {
        Part::create(&self.storage, &self.folder, name, tables, self.shard_bytes.min(PIECE_BYTES))
    }

    /// Makes a checkpoint of the parts of a save that this object has [begun](Checkpoints::begin): of these tables, and with this configuration, which is JSON.
    ///
    /// # Errors
    /// As [`save`](Checkpoints::save); [`FileError::Unsupported`] when the parts do not have every row of every table once, or differ in what they say
    /// of a table; [`FileError`] when a file is not there as it was written.
    pub fn commit(&mut self, step: u64, generation: u64, tables: &[&str], parts: &[PartRecord], config: &str) -> FileResult<Saved> {
        self.lock()?;
        self.check_newest(step)?;
        let json = RawValue::from_string(config.to_owned());
        let json = json.map_err(|error| self.refuse(format!("the configuration is no JSON: {error}")))?;
        let manifest = assemble((step, generation), tables, parts, json).map_err(|problem| self.refuse(problem))?;
        open_shards(&self.folder, &manifest)?;
        let (crc32, target) = self.write_manifest(&manifest)?;
        self.publish(&manifest, crc32, target)
    }

    /// Refuses to save a step before the newest.
    fn check_newest(&self, step: u64) -> FileResult<()> {
        let newest = self.steps()?.last().copied();
        let Some(newest) = newest.filter(|&newest| newest > step) else { return Ok(()) };
        Err(self.refuse(format!(
            "a checkpoint of step {step} would be older than the newest, of step {newest}: save into another folder, or remove the \
             newer ones"
        )))
    }

    /// Saves the rows of each table that have changed since the checkpoint that this object saved or loaded last, which must be the
    /// newest of the folder; with the same rows of the optimizers' states. Loading applies it to that one.
    ///
    /// Say of every table which rows have changed: an optimizer that [tracks](crate::Optimizer::track_rows) its rows knows. Clear its set when the save has
    /// succeeded. A row that changed and is not in the set comes back as it was before.
    ///
    /// # Errors
    /// As [`save`](Checkpoints::save); [`FileError::Unsupported`] when nothing was saved or loaded before, when tables, shapes, elements or optimizers differ from
    /// those of the newest, or when sets are missing.
    pub fn save_delta(&mut self, snapshot: &Snapshot<'_>, touched: &[(&str, &RowSet)]) -> FileResult<Saved> {
        self.lock()?;
        let sets = snapshot.sets(touched)?;
        let Some(last) = self.last else {
            return Err(self.refuse("a delta needs a checkpoint that was saved or loaded before it: save a full one first"));
        };
        let newest = self.steps()?.last().copied();
        let base = match newest {
            Some(step) if step == last.step => self.manifest(step)?,
            _ => {
                return Err(self.refuse(format!(
                    "the checkpoint of step {}, which the delta would change, is not the newest any more",
                    last.step
                )));
            }
        };
        if base.1 != last.crc32 {
            return Err(self.refuse(format!("the checkpoint of step {} has been replaced since it was saved or loaded", last.step)));
        }
        if snapshot.step() <= last.step {
            let problem = format!(
                "a delta of step {} cannot change the checkpoint of step {}: it must come after it",
                snapshot.step(),
                last.step
            );
            return Err(self.refuse(problem));
        }
        self.put(snapshot, Some(Delta { base: &base.0, identity: last, touched: &sets }))
    }

    /// Makes the newest checkpoint a full one, if it is a delta: the same step, all rows. Older ones go as [`keep_last`](Checkpoints::keep_last) has it.
    ///
    /// # Errors
    /// As [`load`](Checkpoints::load) and [`save`](Checkpoints::save).
    pub fn compact(&mut self) -> FileResult<Option<Saved>> {
        self.lock()?;
        let Some(&newest) = self.steps()?.last() else { return Ok(None) };
        if self.manifest(newest)?.0.kind == Kind::Full {
            return Ok(None);
        }
        let checkpoint = self.load(newest)?;
        self.put(&checkpoint.snapshot()?, None).map(Some)
    }

    /// Loads the newest checkpoint; `None` when there is none. When it is damaged that is an error: an older one is loaded only if it is
    /// [asked for](Checkpoints::load).
    ///
    /// # Errors
    /// As [`load`](Checkpoints::load).
    pub fn load_last(&mut self) -> FileResult<Option<Checkpoint>> {
        match self.steps()?.last() {
            Some(&newest) => self.load(newest).map(Some),
            None => Ok(None),
        }
    }

    /// Loads the checkpoint of a step, with what it is a change of, and compares every checksum.
    ///
    /// # Errors
    /// [`FileError`] naming the file: missing, damaged, or at odds with its manifest; [`FileError::Engine`] when there is no memory for a table.
    pub fn load(&mut self, step: u64) -> FileResult<Checkpoint> {
        let chain = self.chain(step)?;
        let meter =
            Meter::new(&self.listener, chain.iter().flat_map(|(manifest, _)| &manifest.tensors).map(TensorRecord::bytes).sum());
        let mut restoring: Option<Restoring> = None;
        for (manifest, _) in &chain {
            let name = self.path(manifest.step).display().to_string();
            let shards = Shards::open(&self.folder, manifest, &meter)?;
            match &mut restoring {
                None => restoring = Some(Restoring::full(manifest, &shards, &name)?),
                Some(restoring) => restoring.delta(manifest, &shards, &name)?,
            }
        }
        let (Some(restoring), Some((manifest, crc32))) = (restoring, chain.last()) else { return Err(self.no_such_step(step)) };
        let checkpoint = restoring.finish(manifest, &self.path(step).display().to_string())?;
        self.last = Some(Base { step, crc32: *crc32 });
        Ok(checkpoint)
    }

    /// Maps a table of a checkpoint into memory: it is there at once, whatever its size, and is not compared with its checksum; see
    /// [`Mapped`] for what is trusted then. A later save that removes the checkpoint does not change what is mapped.
    ///
    /// ```
    /// use hotrow::Table;
    /// use hotrow::store::{Checkpoints, Snapshot};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let table = Table::<f32>::uniform(100, 8, 7)?;
    /// let mut checkpoints = Checkpoints::open(folder.path());
    /// checkpoints.save(&Snapshot::new(1).table("items", &table)?)?;
    /// let mapped = checkpoints.map(1, "items")?;
    /// assert_eq!(mapped.view().row_f32(99), table.row(99).map(<[f32]>::to_vec));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when the checkpoint is a delta ([`compact`](Checkpoints::compact) makes a full one of it), there is no such table, or it is in
    /// several shards; [`FileError`] when a file is missing or its header is damaged.
    pub fn map(&self, step: u64, table: &str) -> FileResult<Mapped> {
        let (manifest, _) = self.manifest(step)?;
        let refuse = |problem: String| FileError::unsupported(self.path(step).display().to_string(), problem);
        if manifest.kind == Kind::Delta {
            return Err(refuse("it holds the rows that have changed, so its tables cannot be mapped: compact it first".into()));
        }
        let names = || manifest.tables.iter().map(|table| format!("{:?}", table.name)).collect::<Vec<_>>().join(", ");
        let found = manifest.tables.iter().find(|found| found.name == table);
        let shape = found.ok_or_else(|| refuse(format!("there is no table {table:?}; there are {}", names())))?.shape;
        Shards::open(&self.folder, &manifest, &Meter::new(&self.listener, 0))?.map(table, shape)
    }

    /// Opens a checkpoint to read rows and columns of it.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when the checkpoint is a delta ([`compact`](Checkpoints::compact) makes a full one of it); [`FileError`] when a file is missing
    /// or its header is damaged.
    pub fn reader(&self, step: u64) -> FileResult<CheckpointReader> {
        CheckpointReader::open(&self.folder, self.path(step).display().to_string(), self.manifest(step)?)
    }

    /// Reads every byte of a checkpoint and of what it is a change of, compares all checksums, and returns how many bytes of tensors
    /// that were. It needs memory for one chunk a thread.
    ///
    /// # Errors
    /// As [`load`](Checkpoints::load).
    pub fn verify(&self, step: u64) -> FileResult<u64> {
        let chain = self.chain(step)?;
        let total = chain.iter().flat_map(|(manifest, _)| &manifest.tensors).map(TensorRecord::bytes).sum();
        let meter = Meter::new(&self.listener, total);
        for (manifest, _) in &chain {
            Shards::open(&self.folder, manifest, &meter)?.verify()?;
        }
        Ok(total)
    }

    /// What the manifest of a step says. No shard is read.
    ///
    /// # Errors
    /// [`FileError`] when the manifest is missing or damaged.
    pub fn info(&self, step: u64) -> FileResult<CheckpointInfo> {
        Ok(info_of(&self.manifest(step)?.0))
    }

    fn refuse(&self, problem: impl Into<String>) -> FileError {
        FileError::unsupported(self.folder.display().to_string(), problem)
    }

    fn no_such_step(&self, step: u64) -> FileError {
        let steps = self.steps().unwrap_or_default();
        let steps: Vec<String> = steps.iter().map(u64::to_string).collect();
        let there = if steps.is_empty() { "none at all".to_owned() } else { format!("those of {}", steps.join(", ")) };
        self.refuse(format!("there is no checkpoint of step {step}; there are {there}"))
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(names::manifest(step))
    }

    /// The manifest of a step and its checksum.
    fn manifest(&self, step: u64) -> FileResult<(Manifest, Crc)> {
        let path = self.path(step);
        let (manifest, crc) = read_manifest(&path)?.ok_or_else(|| self.no_such_step(step))?;
        if manifest.step != step {
            let problem = format!("it is the manifest of step {}", manifest.step);
            return Err(FileError::unsupported(path.display().to_string(), problem));
        }
        Ok((manifest, crc))
    }

    /// A full checkpoint and the deltas that lead to a step.
    fn chain(&self, step: u64) -> FileResult<Vec<(Manifest, Crc)>> {
        let mut chain = vec![self.manifest(step)?];
        while let Some((Manifest { step, base: Some(base), .. }, _)) = chain.last() {
            let (step, base) = (*step, *base);
            let wrong = |problem: String| {
                FileError::unsupported(
                    self.path(step).display().to_string(),
                    format!("it is a change of the checkpoint of step {}, {problem}", base.step),
                )
            };
            let path = self.path(base.step);
            let (manifest, crc) = read_manifest(&path)?.ok_or_else(|| wrong("which is not there".into()))?;
            if crc != base.crc32 || manifest.step != base.step {
                return Err(wrong("and what is there is another one".into()));
            }
            if let Some((newer, _)) = chain.last() {
                sweep::same_tables(&manifest, newer).map_err(wrong)?;
            }
            chain.push((manifest, crc));
        }
        chain.reverse();
        Ok(chain)
    }

    /// Takes the lock, and makes the folder if it is not there.
    fn lock(&mut self) -> FileResult<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let fail = |action| move |error: std::io::Error| (action, error);
        let told = |(action, error): (&'static str, std::io::Error)| FileError::io(&self.folder, action, &error);
        if !self.folder.is_dir() {
            self.storage.create_folder(&self.folder).map_err(fail("make the folder")).map_err(told)?;
            let synced = self.storage.sync_folder(folder_of(&self.folder));
            synced.map_err(fail("bring the name of the folder onto the disk")).map_err(told)?;
        }
        let path = self.folder.join(LOCK);
        let file = fs::File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(fail("write to the folder")).map_err(told)?;
        match file.try_lock() {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::WouldBlock) => return Err(self.refuse("another program is saving checkpoints in this folder")),
            Err(TryLockError::Error(error)) => return Err(FileError::io(&self.folder, "lock the folder", &error)),
        }
        Ok(())
    }

    /// Writes shards and manifest, and sweeps.
    fn put(&mut self, snapshot: &Snapshot<'_>, delta: Option<Delta<'_>>) -> FileResult<Saved> {
        // What fails here leaves shards that no manifest names. The next save sweeps them away.
        let (manifest, crc32, target) = self.write(snapshot, delta)?;
        self.publish(&manifest, crc32, target)
    }

    /// Gives a manifest its name, and sweeps.
    fn publish(&mut self, manifest: &Manifest, crc32: Crc, target: Target) -> FileResult<Saved> {
        // If the last operation fails, nobody knows what loading gives.
        self.last = None;
        target.commit()?;
        self.last = Some(Base { step: manifest.step, crc32 });
        let swept = sweep::sweep(self.storage.as_ref(), &self.folder, self.keep, &|path| read_manifest(path));
        Ok(Saved { step: manifest.step, bytes: manifest.bytes(), removed: swept.removed, unswept: swept.failed })
    }

    /// Writes the shards, and the manifest under a temporary name.
    fn write(&self, snapshot: &Snapshot<'_>, delta: Option<Delta<'_>>) -> FileResult<(Manifest, Crc, Target)> {
        let step = snapshot.step();
        let mut same = Vec::new();
        if let Some(Delta { base, .. }) = delta {
            for (name, content) in snapshot.texts() {
                if self.same_text(base, &name, fingerprint(&content)?)? {
                    same.push(name);
                }
            }
        }
        let inherits = |name: &str| same.iter().any(|same| same == name);
        let mut manifest = Manifest {
            step,
            kind: if delta.is_some() { Kind::Delta } else { Kind::Full },
            base: delta.map(|delta| delta.identity),
            created_by: concat!("hotrow ", env!("CARGO_PKG_VERSION")).to_owned(),
            files: Vec::new(),
            tables: snapshot.records(inherits),
            tensors: Vec::new(),
            config: snapshot.config_text().to_owned(),
        };
        if let Some(Delta { base, .. }) = delta {
            let differs = |problem| {
                self.refuse(format!("a delta cannot change the checkpoint of step {}, {problem}: save a full one", base.step))
            };
            sweep::same_tables(base, &manifest).map_err(differs)?;
        }
        let generation = self.new_generation(step)?;
        let tensors = snapshot.tensors(delta.map(|delta| delta.touched), inherits);
        let plan = Plan::new(&tensors, self.shard_bytes);
        let meter = Meter::new(&self.listener, plan.bytes());
        (manifest.files, manifest.tensors) = plan.write((&self.storage, &self.folder), (step, generation), &meter)?;
        let (crc, target) = self.write_manifest(&manifest)?;
        Ok((manifest, crc, target))
    }

    /// Writes a manifest under a temporary name.
    fn write_manifest(&self, manifest: &Manifest) -> FileResult<(Crc, Target)> {
        let path = self.path(manifest.step);
        let (bytes, crc) = manifest.render(&path)?;
        let mut target = Target::create_in(Arc::clone(&self.storage), &path)?;
        target.put(&bytes)?;
        Ok((crc, target))
    }

    /// A generation that no shard of a step has.
    fn new_generation(&self, step: u64) -> FileResult<u64> {
        let names = self.storage.list(&self.folder).map_err(|error| FileError::io(&self.folder, "list the folder", &error))?;
        let generations = sweep::shards(&names).filter(|shard| shard.step == step).map(|shard| shard.generation);
        Ok(generations.max().map_or(0, |newest| newest.saturating_add(1)))
    }

    /// Whether the text that this checkpoint would store is the one that the chain up to `base` has.
    fn same_text(&self, base: &Manifest, name: &str, (crc, bytes): (u32, u64)) -> FileResult<bool> {
        let mut manifest = base.clone();
        loop {
            if let Some(tensor) = manifest.tensor(name) {
                let same = |tensor: &TensorRecord| matches!(&tensor.pieces[..], [piece] if (piece.crc32, piece.bytes) == (Crc(crc), bytes));
                return Ok(tensor.dtype == Number::U8 && same(tensor));
            }
            let inherited = manifest.tables.iter().any(|table| {
                let (ids, titles) = (super::manifest::ids_name(&table.name), super::manifest::titles_name(&table.name));
                (name == ids && table.ids == Texts::Base) || (name == titles && table.titles == Texts::Base)
            });
            match manifest.base {
                Some(base) if inherited => manifest = self.manifest(base.step)?.0,
                _ => return Ok(false),
            }
        }
    }
}

/// What a delta is a change of, and the rows of each table that have changed.
#[derive(Clone, Copy)]
struct Delta<'d> {
    base: &'d Manifest,
    identity: Base,
    touched: &'d [&'d RowSet],
}

/// A manifest and its checksum; `None` where there is no such file.
pub(super) fn read_manifest(path: &Path) -> FileResult<Option<(Manifest, Crc)>> {
    let name = path.display().to_string();
    let io = |error: std::io::Error| FileError::io(path, "read the file", &error);
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let len = file.metadata().map_err(io)?.len();
    if len > MANIFEST_CAP {
        return Err(FileError::unsupported(name, format!("it has {len} bytes; manifests of at most {MANIFEST_CAP} are read")));
    }
    let mut bytes = Vec::new();
    let memory = |_| FileError::engine(&name, crate::Error::OutOfMemory { bytes: len as usize });
    bytes.try_reserve_exact(len as usize + 1).map_err(memory)?;
    file.take(MANIFEST_CAP).read_to_end(&mut bytes).map_err(io)?;
    Manifest::parse(&name, &bytes).map(Some)
}
