//! Matrix factorization: users and items.

use std::collections::HashMap;

use anyhow::{Context, Result};
use hotrow::{bf16, f16};

use super::args::TrainArgs;
use super::bar::Bar;
use super::keeper::keeper;
use super::outcome::Outcome;
use super::say_saved;
use crate::commands::files::contents;
use crate::data::{Dataset, Interactions, Market, Names, read_interactions, read_titles};
use crate::interrupt::Listening;
use crate::model::{Description, Folder, ITEM_TABLE, Precision, USER_TABLE, Weight, save};
use crate::output::{complain, grouped, say, say_json};
use crate::train::{Compute, Identity, Labels, Progress, Settings, evaluate, evaluate_tables, train};

/// Runs the command.
pub(super) fn run(args: &TrainArgs, compute: &Compute, folder: &Folder) -> Result<()> {
    let source = Source::open(args)?;
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
    say(&format!("  hotrow recommend{model} --user {}", result.example_user))?;
    say(&format!("  hotrow similar{model} \"{}\"", result.example_item))
}

/// What there is to learn from.
struct Source {
    data: Dataset,
    titles: Vec<Option<String>>,
    notes: Vec<String>,
    /// The market, when it was made up.
    market: Option<Market>,
    /// What to call the data.
    name: String,
}

impl Source {
    fn open(args: &TrainArgs) -> Result<Self> {
        let Some(path) = &args.file else {
            let market = Market::new(args.seed);
            let data = Dataset::split(market.interactions.clone());
            return Ok(Source {
                data,
                titles: market.titles.iter().cloned().map(Some).collect(),
                notes: market.tastes.clone(),
                name: format!("a made-up market (seed {})", args.seed),
                market: Some(market),
            });
        };
        // Titles first: they are a small file, and a mistake in it should not wait for a large one.
        let titles = match &args.items {
            Some(path) => Some(read_titles(&contents(path)?).with_context(|| path.display().to_string())?),
            None => None,
        };
        let interactions: Interactions =
            read_interactions(&contents(path)?, args.format).with_context(|| path.display().to_string())?;
        let name = format!("{} ({})", path.display(), interactions.format);
        let data = Dataset::split(interactions);
        let titles = titles.map_or_else(Vec::new, |titles| {
            let known: HashMap<String, String> = titles.into_iter().collect();
            data.items.iter().map(|id| known.get(id).cloned()).collect()
        });
        if let Some(path) = args.items.as_ref().filter(|_| titles.iter().all(Option::is_none)) {
            complain(&format!("warning: {}: none of its ids is an item of the interactions", path.display()));
        }
        Ok(Source { data, titles, notes: Vec::new(), market: None, name })
    }

    fn train<E: Weight>(self, args: &TrainArgs, compute: &Compute, folder: &Folder) -> Result<Outcome> {
        let data = &self.data;
        let interactions = data.train.total() + data.evaluated();
        if !args.json {
            say(&self.summary())?;
        }
        let settings = args.settings();
        let epochs = settings.epochs;
        let mut keeper = keeper(args, || self.identity(&settings), || self.labels())?;
        let listening = Listening::new();
        let bar = Bar::new(epochs);
        let trained = train::<E>(data, &settings, compute, &mut keeper, |progress| show(&bar, &progress));
        bar.clear();
        drop(listening);
        let trained = trained?;

        let popularity = data.popularity();
        let (scores, popular, best) = compute.install(|| {
            let scores = evaluate_tables(data, &trained.users, &trained.items)?;
            let popular = evaluate(data, |users, scores| {
                for scores in scores.chunks_exact_mut(popularity.len()).take(users.len()) {
                    for (score, &count) in scores.iter_mut().zip(&popularity) {
                        *score = count as f32;
                    }
                }
            });
            let best = self.market.as_ref().map(|market| evaluate(data, |users, scores| market.affinities(users, scores)));
            Ok::<_, crate::train::TrainError>((scores, popular, best))
        })?;

        let mut description = Description::new(settings.clone(), (data.evaluated() > 0).then_some(scores));
        description.users = data.users.iter().map(str::to_owned).collect();
        description.items = data.items.iter().map(str::to_owned).collect();
        let seen = data.seen();
        description.seen = (0..data.users.len()).map(|user| seen.of(user).to_vec()).collect();
        description.titles = self.titles;
        description.notes = self.notes;
        let example = popularity.iter().enumerate().max_by_key(|&(at, &count)| (count, std::cmp::Reverse(at)));
        let example_item = example.map_or("", |(item, _)| description.name(item)).to_owned();
        let example_user = description.users.first().cloned().unwrap_or_default();
        save(folder, description, &trained.users, &trained.items)?;

        let seconds = trained.elapsed.as_secs_f64();
        Ok(Outcome {
            hr_at_10: scores.hr_at_10,
            ndcg_at_10: scores.ndcg_at_10,
            popularity_hr_at_10: popular.hr_at_10,
            popularity_ndcg_at_10: popular.ndcg_at_10,
            best_hr_at_10: best.map(|best| best.hr_at_10),
            best_ndcg_at_10: best.map(|best| best.ndcg_at_10),
            epochs,
            train_seconds_per_epoch: seconds * trained.samples as f64 / trained.learnt.max(1) as f64,
            samples_per_second: trained.learnt as f64 / seconds.max(1e-9),
            loss: trained.losses.last().copied().unwrap_or(f64::NAN),
            users: data.users.len(),
            evaluated_users: data.evaluated(),
            items: data.items.len(),
            interactions,
            training_interactions: data.train.total(),
            repeats: data.repeats,
            optimizer: settings.optimizer,
            dim: settings.dim,
            dtype: args.dtype,
            seed: args.seed,
            threads: compute.threads(),
            model: folder.path().display().to_string(),
            example_user,
            example_item,
        })
    }

    /// What decides the result.
    fn identity(&self, settings: &Settings) -> Identity {
        Identity { model: "mf", settings: settings.clone(), data: self.data.fingerprint() }
    }

    /// The ids and titles of the tables' rows.
    fn labels(&self) -> Vec<(&'static str, Labels)> {
        let ids = |names: &Names| names.iter().map(str::to_owned).collect();
        vec![
            (USER_TABLE, Labels { ids: ids(&self.data.users), titles: Vec::new() }),
            (ITEM_TABLE, Labels { ids: ids(&self.data.items), titles: self.titles.clone() }),
        ]
    }

    fn summary(&self) -> String {
        let data = &self.data;
        let mut text = format!(
            "{}: {} users, {} items, {} interactions\n",
            self.name,
            grouped(data.users.len()),
            grouped(data.items.len()),
            grouped(data.train.total() + data.evaluated()),
        );
        if data.repeats > 0 {
            text += &format!("{} lines repeat a user and an item and count once\n", grouped(data.repeats));
        }
        text += &format!(
            "training on {}, with the last item of {} users held out",
            grouped(data.train.total()),
            grouped(data.evaluated())
        );
        text
    }
}

fn show(bar: &Bar, progress: &Progress) {
    let rate = progress.learnt as f64 / progress.elapsed.as_secs_f64().max(1e-9) / 1e6;
    let loss = progress.loss.map_or("-".into(), |loss| format!("{loss:.4}"));
    bar.show(progress.epoch, progress.samples, progress.total, format!("loss {loss}  {rate:.2} M samples/s"));
}
