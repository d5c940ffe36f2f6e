//! A training that can be stopped and gone on with: where it is, what it keeps, and when.

use std::fmt;

use hotrow::store::{Checkpoint, Checkpoints, FileError, FileResult, Snapshot};
use hotrow::{AnyView, Optimizer, Table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::TrainError;
use super::settings::Settings;
use crate::model::Weight;

/// How far a training has come: so many whole epochs, and so many pieces of the next one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position<H> {
    pub epoch: usize,
    pub piece: usize,
    /// The losses of those pieces, added up.
    pub sum: f64,
    /// How each whole epoch went.
    pub history: Vec<H>,
}

impl<H> Default for Position<H> {
    fn default() -> Self {
        Position { epoch: 0, piece: 0, sum: 0.0, history: Vec::new() }
    }
}

/// What decides what a training gives. A checkpoint of another one is of no use.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// `mf` or `fm`.
    pub model: &'static str,
    /// What was asked for.
    pub settings: Settings,
    /// What is learnt from: counts and a checksum, by name.
    pub data: Vec<(&'static str, u64)>,
}

/// What the checksum of the data is called among its counts.
pub(crate) const CHECKSUM: &str = "checksum";

/// What a checkpoint of the command says of itself.
#[derive(Serialize, Deserialize)]
struct Config<H> {
    model: String,
    settings: Value,
    data: Value,
    position: Position<H>,
}

impl Identity {
    fn config<H>(&self, position: Position<H>) -> serde_json::Result<Config<H>> {
        // Through a text, which is how the other side of the comparison has gone.
        let settings = serde_json::from_str(&serde_json::to_string(&self.settings)?)?;
        let data = self.data.iter().map(|&(name, value)| (name.to_owned(), Value::from(value))).collect();
        Ok(Config { model: self.model.to_owned(), settings, data: Value::Object(data), position })
    }

    /// Where a checkpoint of this training is; `Err` says how it is one of another.
    fn position<H: Serialize + DeserializeOwned>(&self, checkpoint: &Checkpoint) -> Result<Position<H>, String> {
        let strange = |error: &dyn fmt::Display| format!("it is no checkpoint of `hotrow train`: {error}");
        let there: Config<Value> = checkpoint.config().map_err(|error| strange(&error))?;
        let here = self.config(Position::<Value>::default()).map_err(|error| strange(&error))?;
        if there.model != here.model {
            return Err(format!("--model is {} here and {} there", here.model, there.model));
        }
        if let Some((name, here, there)) = difference(&here.settings, &there.settings) {
            return Err(format!("--{name} is {here} here and {there} there"));
        }
        if let Some((name, here, there)) = difference(&here.data, &there.data) {
            if name == CHECKSUM {
                return Err(format!("the data is another one: its checksum is {here} here and {there} there"));
            }
            return Err(format!("the data has {here} {name} here and {there} there"));
        }
        let Position { epoch, piece, sum, history } = there.position;
        let history: Result<Vec<H>, _> = history.into_iter().map(serde_json::from_value).collect();
        let history = history.map_err(|error| strange(&error))?;
        if epoch > self.settings.epochs || history.len() != epoch {
            return Err(strange(&"its position is none"));
        }
        Ok(Position { epoch, piece, sum, history })
    }
}

/// The first entry in which two objects differ.
fn difference(here: &Value, there: &Value) -> Option<(String, String, String)> {
    let (Value::Object(a), Value::Object(b)) = (here, there) else {
        return Some(("data".into(), here.to_string(), there.to_string()));
    };
    let plain = |value: Option<&Value>| match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    // A count says more than a checksum.
    let names = a.keys().chain(b.keys()).filter(|&name| a.get(name) != b.get(name));
    let name = names.min_by_key(|&name| name == CHECKSUM)?;
    Some((name.clone(), plain(a.get(name)), plain(b.get(name))))
}

/// The ids and titles of a table's rows.
#[derive(Debug, Default)]
pub struct Labels {
    /// An id for each row, or none at all.
    pub ids: Vec<String>,
    /// A title, or none, for each row; or none at all.
    pub titles: Vec<Option<String>>,
}

/// A table of a training, with its optimizer.
pub(crate) struct Part<'p> {
    pub name: &'static str,
    pub table: AnyView<'p>,
    pub optimizer: &'p Optimizer,
}

/// Who stops a training, and what is kept of it.
pub struct Keeper<'a> {
    stop: &'a (dyn Fn() -> bool + Sync),
    files: Option<Files>,
    /// What to go on with.
    resumed: Option<Checkpoint>,
}

struct Files {
    checkpoints: Checkpoints,
    identity: Identity,
    labels: Vec<(&'static str, Labels)>,
    /// How many epochs lie between two checkpoints.
    every: usize,
    /// The step of the last one.
    saved: Option<u64>,
}

impl fmt::Debug for Keeper<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("checkpoints", &self.files.as_ref().map(|files| &files.checkpoints)).finish_non_exhaustive()
    }
}

impl<'a> Keeper<'a> {
    /// Keeps nothing, and stops when asked.
    pub fn new(stop: &'a (dyn Fn() -> bool + Sync)) -> Keeper<'a> {
        Keeper { stop, files: None, resumed: None }
    }

    /// Saves every so many epochs, after the last one, and when stopped.
    ///
    /// # Errors
    /// When nothing can be saved there.
    pub fn saving(
        self,
        mut checkpoints: Checkpoints,
        every: usize,
        identity: Identity,
        labels: Vec<(&'static str, Labels)>,
    ) -> FileResult<Keeper<'a>> {
        checkpoints.prepare()?;
        Ok(Keeper { files: Some(Files { checkpoints, identity, labels, every, saved: None }), ..self })
    }

    /// Goes on with the newest checkpoint, if there is one; returns how many epochs that has behind it.
    ///
    /// # Errors
    /// When it is damaged, or one of other data or settings.
    pub fn resume(&mut self) -> FileResult<Option<usize>> {
        let Some(files) = &mut self.files else { return Ok(None) };
        let Some(checkpoint) = files.checkpoints.load_last()? else { return Ok(None) };
        let position = files.identity.position::<Value>(&checkpoint);
        let position = position.map_err(|problem| files.refuse(checkpoint.step(), &problem))?;
        files.saved = Some(checkpoint.step());
        self.resumed = Some(checkpoint);
        Ok(Some(position.epoch))
    }

    /// Whether it goes on with a checkpoint, and where: the tables are taken from the checkpoint one by one.
    pub(crate) fn start<H: Serialize + DeserializeOwned>(&mut self) -> Result<Option<(Position<H>, Resumed)>, TrainError> {
        let (Some(files), Some(checkpoint)) = (&self.files, self.resumed.take()) else { return Ok(None) };
        let step = checkpoint.step();
        let position = files.identity.position(&checkpoint).map_err(|problem| files.refuse(step, &problem))?;
        let name = format!("{}: the checkpoint of step {step}", files.checkpoints.folder().display());
        Ok(Some((position, Resumed { checkpoint, name })))
    }

    /// Whether somebody has asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        (self.stop)()
    }

    /// Saves, if it is time, after an epoch: `step` counts all pieces so far, and `position` is at the start of an epoch.
    pub(crate) fn after_epoch<H: Serialize + Clone>(
        &mut self,
        step: usize,
        position: &Position<H>,
        parts: &[Part<'_>],
    ) -> Result<(), TrainError> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let last = position.epoch == files.identity.settings.epochs;
        if last || position.epoch.is_multiple_of(files.every) { files.save(step as u64, position, parts) } else { Ok(()) }
    }

    /// Saves, if it can, since the training was asked to stop; the answer is the error that ends it.
    pub(crate) fn stop<H: Serialize + Clone>(
        &mut self,
        step: usize,
        position: &Position<H>,
        parts: &[Part<'_>],
        epochs: usize,
    ) -> TrainError {
        let epoch = position.epoch + 1;
        let Some(files) = &mut self.files else { return TrainError::Stopped { epoch, epochs, folder: None } };
        match files.save(step as u64, position, parts) {
            Ok(()) => TrainError::Stopped { epoch, epochs, folder: Some(files.checkpoints.folder().display().to_string()) },
            Err(error) => error,
        }
    }
}

impl Files {
    fn refuse(&self, step: u64, problem: &str) -> FileError {
        let folder = self.checkpoints.folder().display().to_string();
        let what = format!(
            "its checkpoint of step {step} is of another training: {problem}; without --resume, in another folder, training begins anew"
        );
        FileError::unsupported(folder, what)
    }

    fn save<H: Serialize + Clone>(&mut self, step: u64, position: &Position<H>, parts: &[Part<'_>]) -> Result<(), TrainError> {
        if self.saved == Some(step) {
            return Ok(());
        }
        let config = self.identity.config(position.clone());
        let config =
            config.map_err(|error| FileError::unsupported(self.checkpoints.folder().display().to_string(), error.to_string()))?;
        let mut snapshot = Snapshot::new(step).config(&config)?;
        for part in parts {
            snapshot = snapshot.table(part.name, part.table)?.optimizer(part.name, part.optimizer)?;
            if let Some((_, labels)) = self.labels.iter().find(|(name, _)| *name == part.name) {
                if !labels.ids.is_empty() {
                    snapshot = snapshot.ids(part.name, &labels.ids)?;
                }
                if !labels.titles.is_empty() {
                    snapshot = snapshot.titles(part.name, &labels.titles)?;
                }
            }
        }
        self.checkpoints.save(&snapshot)?;
        self.saved = Some(step);
        Ok(())
    }
}

/// A checkpoint whose tables are taken over.
pub(crate) struct Resumed {
    checkpoint: Checkpoint,
    name: String,
}

impl Resumed {
    /// Replaces a table and its optimizer by those of the checkpoint, which must be alike.
    pub(crate) fn take<E: Weight>(
        &mut self,
        name: &str,
        table: &mut Table<E>,
        optimizer: &mut Optimizer,
    ) -> Result<(), TrainError> {
        let restored = self.checkpoint.take(name).and_then(|restored| Some((E::table(restored.table)?, restored.optimizer?)));
        let alike = |(other, steps): &(Table<E>, Optimizer)| {
            other.shape() == table.shape()
                && steps.rule().name() == optimizer.rule().name()
                && [steps.rows(), steps.dim()] == table.shape()
        };
        let wrong = || FileError::unsupported(self.name.clone(), format!("it has no table {name:?} like the one that is trained"));
        (*table, *optimizer) = restored.filter(alike).ok_or_else(wrong)?;
        Ok(())
    }
}
