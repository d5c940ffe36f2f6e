//! Factorization machines: yes or no, from sparse features.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hotrow::{bf16, f16};
use serde::Serialize;

use super::args::TrainArgs;
use super::bar::Bar;
use super::keeper::keeper;
use super::say_saved;
use crate::commands::files::contents;
use crate::data::{Examples, Unknown, Vocabulary, read_libfm};
use crate::fm::{Epoch, Quality, train};
use crate::interrupt::Listening;
use crate::model::{Folder, MachineDescription, Precision, VECTOR_TABLE, WEIGHT_TABLE, Weight, save_machine};
use crate::output::{grouped, say, say_json};
use crate::train::{CHECKSUM, Compute, Identity, Labels, Method, Settings};

/// Most epochs that the table shows.
const SHOWN: usize = 20;

/// Runs the command.
pub(super) fn run(args: &TrainArgs, compute: &Compute, folder: &Folder) -> Result<()> {
    let source = compute.install(|| Source::open(args))?;
    if !args.json {
        say(&source.summary())?;
    }
    let result = match args.dtype {
        Precision::F32 => source.train::<f32>(args, compute, folder),
        Precision::F16 => source.train::<f16>(args, compute, folder),
        Precision::Bf16 => source.train::<bf16>(args, compute, folder),
    }?;
    if args.json {
        return say_json(&result);
    }
    say(&result.table())?;
    let model = say_saved(&args.out)?;
    say(&format!("  hotrow similar{model} {}", source.vocabulary.features()[0]))
}

/// What there is to learn from.
struct Source {
    examples: Examples,
    valid: Examples,
    vocabulary: Vocabulary,
    unknown: Unknown,
    /// What to call the examples, and those to measure with.
    names: [String; 2],
}

impl Source {
    fn open(args: &TrainArgs) -> Result<Self> {
        // `check` has seen that there is a file.
        let path = args.file.as_deref().unwrap_or(Path::new("-"));
        let read = |path: &Path| read_libfm(&contents(path)?).with_context(|| path.display().to_string());
        let mut examples = read(path)?;
        let (mut valid, name) = match &args.valid {
            Some(path) => (read(path)?, path.display().to_string()),
            None => {
                let held_out = examples.len().div_ceil(10).min(examples.len() - 1);
                (examples.split_off(examples.len() - held_out), "the last tenth, held out".into())
            }
        };
        let (yes, all) = (examples.positives(), examples.len());
        if yes == 0 || yes == all {
            let which = if yes == 0 { "no" } else { "yes" };
            bail!("{}: there is nothing to learn: all of the {} examples to learn from are labelled {which}", path.display(), all);
        }
        let vocabulary = Vocabulary::of(&examples);
        if vocabulary.is_empty() {
            bail!("{}: there is nothing to learn: no example has a feature", path.display());
        }
        vocabulary.number(&mut examples);
        let unknown = vocabulary.number(&mut valid);
        Ok(Source { examples, valid, vocabulary, unknown, names: [path.display().to_string(), name] })
    }

    /// What decides the result.
    fn identity(&self, settings: &Settings) -> Identity {
        let mut data = vec![("features", self.vocabulary.len() as u64)];
        let mut hasher = crc32fast::Hasher::new();
        for (counts, examples) in
            [(["examples", "entries"], &self.examples), (["validation examples", "validation entries"], &self.valid)]
        {
            data.extend(counts.into_iter().zip([examples.len() as u64, examples.entries() as u64]));
            examples.put_into(&mut hasher);
        }
        self.vocabulary.features().iter().for_each(|feature| hasher.update(&feature.to_le_bytes()));
        data.push((CHECKSUM, hasher.finalize().into()));
        Identity { model: "fm", settings: settings.clone(), data }
    }

    /// The features, which are the rows of both tables.
    fn labels(&self) -> Vec<(&'static str, Labels)> {
        let ids = || Labels { ids: self.vocabulary.features().iter().map(u32::to_string).collect(), titles: Vec::new() };
        vec![(WEIGHT_TABLE, ids()), (VECTOR_TABLE, ids())]
    }

    fn summary(&self) -> String {
        let of = |name: &str, examples: &Examples| {
            let share = 100.0 * examples.positives() as f64 / examples.len().max(1) as f64;
            format!("{name}: {} examples, {share:.1} % of them yes", grouped(examples.len()))
        };
        let [learnt, measured] = &self.names;
        let mut text = format!(
            "{}; {} features, {} in all\n",
            of(learnt, &self.examples),
            grouped(self.vocabulary.len()),
            grouped(self.examples.entries())
        );
        text += &if self.valid.is_empty() { "nothing to measure with".into() } else { of(measured, &self.valid) };
        if self.unknown.entries > 0 {
            text += &format!(
                "\n{} features there are not in training and count as absent, in {} places",
                grouped(self.unknown.features),
                grouped(self.unknown.entries)
            );
        }
        text + "\n"
    }

    fn train<E: Weight>(&self, args: &TrainArgs, compute: &Compute, folder: &Folder) -> Result<Outcome> {
        let settings = args.settings();
        let (count, total) = (self.examples.len(), self.examples.len().saturating_mul(settings.epochs));
        let bar = Bar::new(settings.epochs);
        let mut keeper = keeper(args, || self.identity(&settings), || self.labels())?;
        let listening = Listening::new();
        let trained = train::<E>(&self.examples, &self.valid, self.vocabulary.len(), &settings, compute, &mut keeper, |epoch| {
            let quality = epoch.quality.map_or(String::new(), |quality| format!("  {}", brief(&quality)));
            bar.show(epoch.number, epoch.number * count, total, format!("loss {:.4}{quality}", epoch.loss));
        });
        bar.clear();
        drop(listening);
        let trained = trained?;
        let quality = trained.epochs.last().and_then(|epoch| epoch.quality);
        let description = MachineDescription::new(settings.clone(), quality, self.vocabulary.features().to_vec());
        save_machine(folder, description, &trained.machine)?;
        let seconds = trained.elapsed.as_secs_f64();
        Ok(Outcome {
            auc: quality.and_then(|quality| quality.auc),
            log_loss: quality.map(|quality| quality.log_loss),
            guess_log_loss: self.guess(),
            epochs: settings.epochs,
            train_seconds_per_epoch: seconds * count as f64 / trained.learnt.max(1) as f64,
            samples_per_second: trained.learnt as f64 / seconds.max(1e-9),
            loss: trained.epochs.last().map_or(f64::NAN, |epoch| epoch.loss),
            epoch_auc: trained.epochs.iter().map(|epoch| epoch.quality.and_then(|quality| quality.auc)).collect(),
            epoch_log_loss: trained.epochs.iter().map(|epoch| epoch.quality.map(|quality| quality.log_loss)).collect(),
            examples: count,
            positives: self.examples.positives(),
            valid_examples: self.valid.len(),
            valid_positives: self.valid.positives(),
            features: self.vocabulary.len(),
            unknown_features: self.unknown.features,
            unknown_entries: self.unknown.entries,
            optimizer: settings.optimizer,
            dim: settings.dim,
            dtype: settings.dtype,
            seed: settings.seed,
            threads: compute.threads(),
            model: folder.path().display().to_string(),
            history: trained.epochs,
        })
    }

    /// The mean loss of who guesses the share of yes in training for every example.
    fn guess(&self) -> Option<f64> {
        let share = self.examples.positives() as f64 / self.examples.len() as f64;
        let yes = self.valid.positives() as f64 / self.valid.len() as f64;
        (!self.valid.is_empty()).then(|| -yes * libm::log(share) - (1.0 - yes) * libm::log(1.0 - share))
    }
}

fn brief(quality: &Quality) -> String {
    format!("AUC {}  log loss {:.4}", area(quality.auc), quality.log_loss)
}

fn area(auc: Option<f64>) -> String {
    auc.map_or("-".into(), |auc| format!("{auc:.4}"))
}

/// What came out, under the names that `--json` gives it.
#[derive(Debug, Serialize)]
struct Outcome {
    auc: Option<f64>,
    log_loss: Option<f64>,
    guess_log_loss: Option<f64>,
    epochs: usize,
    train_seconds_per_epoch: f64,
    samples_per_second: f64,
    loss: f64,
    epoch_auc: Vec<Option<f64>>,
    epoch_log_loss: Vec<Option<f64>>,
    examples: usize,
    positives: usize,
    valid_examples: usize,
    valid_positives: usize,
    features: usize,
    unknown_features: usize,
    unknown_entries: usize,
    optimizer: Method,
    dim: usize,
    dtype: Precision,
    seed: u64,
    threads: usize,
    model: String,
    #[serde(skip)]
    history: Vec<Epoch>,
}

impl Outcome {
    fn table(&self) -> String {
        let each = Duration::from_secs_f64(self.train_seconds_per_epoch);
        let mut text = format!(
            "{} epochs of {each:.1?} on {} threads, {:.2} M samples/s\n\n{:>5}{:>10}{:>10}{:>10}",
            self.epochs,
            self.threads,
            self.samples_per_second / 1e6,
            "epoch",
            "loss",
            "AUC",
            "log loss"
        );
        let step = self.epochs.div_ceil(SHOWN);
        for epoch in self.history.iter().filter(|epoch| epoch.number % step == 0 || epoch.number == self.epochs) {
            let log_loss = epoch.quality.map_or("-".into(), |quality| format!("{:.4}", quality.log_loss));
            let auc = area(epoch.quality.and_then(|quality| quality.auc));
            text += &format!("\n{:>5}{:>10.4}{auc:>10}{log_loss:>10}", epoch.number, epoch.loss);
        }
        if let Some(guess) = self.guess_log_loss {
            text += &format!("\n{:>5}{:>10}{:>10}{guess:>10.4}  (one guess for all)", "", "", "0.5000");
        }
        text
    }
}
