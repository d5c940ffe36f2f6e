//! What both collections share: tables, their optimizers, and the batch that a forward leaves for its backward.

use std::collections::HashSet;

use super::config::EmbeddingBagConfig;
use super::jagged::KeyedJagged;
use crate::error::{Error, Result};
use crate::index::Pooling;
use crate::ops::{Batch, Lookup, Part, Workspace};
use crate::optim::{Optimizer, Rule};
use crate::table::AnyTable;

#[derive(Debug)]
pub(super) struct Tables {
    pub(super) configs: Vec<EmbeddingBagConfig>,
    pub(super) tables: Vec<AnyTable>,
    optimizers: Vec<Option<Optimizer>>,
    /// What each feature looks up, table by table. Where its output goes is for the pooled collection known beforehand.
    pub(super) lookups: Vec<Lookup>,
    /// The feature's key, and the name of its output.
    pub(super) features: Vec<(String, String)>,
    /// What row numbers are raised by, for each table.
    bases: Vec<u32>,
    pub(super) workspace: Workspace,
    pub(super) batch: Batch,
    /// The examples of the last forward.
    pub(super) forwarded: Option<usize>,
}

impl Tables {
    pub(super) fn new(configs: Vec<EmbeddingBagConfig>, seed: u64) -> Result<Tables> {
        check_names(&configs)?;
        let (mut tables, mut bases, mut lookups, mut keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut base, mut start) = (0usize, 0);
        for (at, config) in configs.iter().enumerate() {
            let [rows, dim] = [config.num_embeddings, config.embedding_dim];
            base = match base.checked_add(rows) {
                Some(end) if end <= u32::MAX as usize => {
                    bases.push(base as u32);
                    end
                }
                end => return Err(Error::TooManyRows { rows: end.unwrap_or(usize::MAX) }),
            };
            let seed = seed.wrapping_add(at as u64);
            tables.push(AnyTable::init(config.data_type, rows, dim, config.initializer(), seed)?);
            for feature in &config.feature_names {
                lookups.push(Lookup { table: at, pooling: config.pooling, start, dim });
                keys.push((feature.clone(), config.name.clone()));
                start += dim;
            }
        }
        Ok(Tables {
            optimizers: configs.iter().map(|_| None).collect(),
            features: output_names(keys),
            configs,
            tables,
            lookups,
            bases,
            workspace: Workspace::new(),
            batch: Batch::default(),
            forwarded: None,
        })
    }

    pub(super) fn set_optimizers(&mut self, rule: Rule) -> Result<()> {
        let make = |table: &AnyTable| Optimizer::new(rule, table.shape()[0], table.shape()[1]).map(Some);
        self.optimizers = self.tables.iter().map(make).collect::<Result<_>>()?;
        Ok(())
    }

    pub(super) fn set_optimizer(&mut self, name: &str, optimizer: Optimizer) -> Result<()> {
        let at = self.find(name)?;
        let [rows, dim] = self.tables[at].shape();
        optimizer.check_table(rows, dim)?;
        self.optimizers[at] = Some(optimizer);
        Ok(())
    }

    pub(super) fn optimizer_mut(&mut self, name: &str) -> Result<Option<&mut Optimizer>> {
        let at = self.find(name)?;
        Ok(self.optimizers[at].as_mut())
    }

    pub(super) fn set_lr(&mut self, lr: f32) -> Result<()> {
        // All are asked before the first is changed.
        for optimizer in self.optimizers.iter().flatten() {
            optimizer.check_lr(lr)?;
        }
        self.optimizers.iter_mut().flatten().try_for_each(|optimizer| optimizer.set_lr(lr))
    }

    pub(super) fn find(&self, name: &str) -> Result<usize> {
        self.configs.iter().position(|config| config.name == name).ok_or_else(|| {
            let names: Vec<_> = self.configs.iter().map(|config| config.name.as_str()).collect();
            Error::NoSuchTable { name: name.to_owned(), tables: names.join(", ") }
        })
    }

    pub(super) fn set_table(&mut self, name: &str, table: AnyTable) -> Result<()> {
        let at = self.find(name)?;
        let own = &self.tables[at];
        if own.shape() != table.shape() {
            let [rows, dim] = own.shape();
            let (needed, actual) = (rows * dim, table.shape()[0] * table.shape()[1]);
            return Err(Error::ShapeMismatch { what: "table", expected: vec![rows, dim], needed, actual });
        }
        self.tables[at] = table;
        Ok(())
    }

    /// Checks an input into the batch. Keys that no table looks up are passed over.
    pub(super) fn take(&mut self, input: &KeyedJagged<'_>, pooled: bool) -> Result<usize> {
        self.forwarded = None;
        let examples = input.batch_size()?;
        let lists = input.lists();
        let ids = lists.ids();
        if let Some(weights) = lists.weights()
            && weights.len() != ids.len()
        {
            return Err(Error::WeightCount { weights: weights.len(), ids: ids.len() });
        }
        let bounds = lists.bounds()?;
        self.batch.clear();
        for ((key, _), lookup) in self.features.iter().zip(&self.lookups) {
            let config = &self.configs[lookup.table];
            let missing = || Error::MissingKey { key: key.clone(), table: config.name.clone() };
            let at = input.keys().iter().position(|known| known == key).ok_or_else(missing)?;
            let bounds = &bounds[at * examples..(at + 1) * examples + 1];
            let part = Part { ids, bounds, weights: lists.weights(), pooled };
            let (rows, base) = (config.num_embeddings, self.bases[lookup.table]);
            self.batch.add_part(&part, rows, base, self.workspace.tier(), self.workspace.parallelism())?;
        }
        self.forwarded = Some(examples);
        Ok(examples)
    }

    /// The values of a row of each feature's gradient: those of its output, or more where a table's optimizer takes gradients of whole rows for some columns of them.
    pub(super) fn gradient_dims(&self) -> impl Iterator<Item = usize> + '_ {
        let dim = |lookup: &Lookup| self.optimizers[lookup.table].as_ref().map_or(lookup.dim, Optimizer::gradient_dim);
        self.lookups.iter().map(dim)
    }

    /// Where the gradient of each feature lies if they lie one behind the other, each of so many rows; and how many values they are.
    pub(super) fn gradient_lookups(&self, rows: impl Fn(usize) -> usize) -> (Vec<Lookup>, usize) {
        let mut start = 0usize;
        let mut lookups = Vec::new();
        for (at, (lookup, dim)) in self.lookups.iter().zip(self.gradient_dims()).enumerate() {
            lookups.push(Lookup { start, dim, ..*lookup });
            start = start.saturating_add(rows(at).saturating_mul(dim));
        }
        (lookups, start)
    }

    /// Steps every table by the gradient of the last forward's output.
    pub(super) fn step(&mut self, lookups: &[Lookup], values: &[f32], stride: usize) -> Result<()> {
        if let Some(at) = self.optimizers.iter().position(Option::is_none) {
            return Err(Error::NoBackward { reason: format!("table {:?} has no optimizer", self.configs[at].name) });
        }
        let mut optimizers: Vec<_> = self.optimizers.iter_mut().flatten().collect();
        self.workspace.step_many(&mut self.batch, lookups, &mut self.tables, &mut optimizers, (values, stride))
    }

    /// The examples of the last forward.
    pub(super) fn last_forward(&self) -> Result<usize> {
        self.forwarded.ok_or_else(|| Error::NoBackward { reason: "there was no forward whose ids it could use".to_owned() })
    }
}

fn check_names(configs: &[EmbeddingBagConfig]) -> Result<()> {
    let refuse = |problem: String| Err(Error::InvalidCollection { problem });
    let mut names = HashSet::new();
    for config in configs {
        let name = &config.name;
        if !names.insert(name) {
            return refuse(format!("two tables are named {name:?}"));
        }
        if config.pooling == Pooling::Max {
            return refuse(format!("table {name:?} has max pooling, but only sum, mean and sqrtn can be fused with an optimizer"));
        }
        let mut features = HashSet::new();
        if let Some(twice) = config.feature_names.iter().find(|feature| !features.insert(*feature)) {
            return refuse(format!("table {name:?} looks up {twice:?} twice"));
        }
        if features.is_empty() {
            return refuse(format!("table {name:?} looks up nothing: it has no feature_names"));
        }
    }
    Ok(())
}

/// A feature's output has its name; where several tables look it up, `feature@table`, as TorchRec has it.
fn output_names(keys: Vec<(String, String)>) -> Vec<(String, String)> {
    let shared = |key: &String| keys.iter().filter(|(other, _)| other == key).count() > 1;
    let name = |(key, table): &(String, String)| if shared(key) { format!("{key}@{table}") } else { key.clone() };
    let names: Vec<_> = keys.iter().map(name).collect();
    keys.into_iter().zip(names).map(|((key, _), name)| (key, name)).collect()
}

/// What a collection does with its tables and their optimizers, pooled or not.
macro_rules! table_methods {
    ($collection:ident) => {
        impl $collection {
            /// The same, run in a workspace: with so many threads, at such a level.
            #[must_use]
            pub fn with_workspace(mut self, workspace: Workspace) -> $collection {
                self.tables.workspace = workspace;
                self
            }

            /// The same, every table trained by this rule.
            ///
            /// # Errors
            /// As [`Optimizer::new`].
            pub fn with_optimizer(mut self, rule: impl Into<Rule>) -> Result<$collection> {
                self.tables.set_optimizers(rule.into())?;
                Ok(self)
            }

            /// Trains one table by an optimizer of its own.
            ///
            /// # Errors
            /// [`Error::NoSuchTable`], [`Error::OptimizerShape`].
            pub fn set_optimizer(&mut self, table: &str, optimizer: Optimizer) -> Result<()> {
                self.tables.set_optimizer(table, optimizer)
            }

            /// A table's optimizer, if it has one.
            ///
            /// # Errors
            /// [`Error::NoSuchTable`].
            pub fn optimizer_mut(&mut self, table: &str) -> Result<Option<&mut Optimizer>> {
                self.tables.optimizer_mut(table)
            }

            /// The values of a row of each output's gradient: as many as the output has, or more where a table's optimizer was made
            /// [of columns](Optimizer::of_columns).
            pub fn gradient_dims(&self) -> Vec<usize> {
                self.tables.gradient_dims().collect()
            }

            /// Changes the learning rate of every table.
            ///
            /// # Errors
            /// [`Error::InvalidHyperparameter`]; nothing is changed then.
            pub fn set_lr(&mut self, lr: f32) -> Result<()> {
                self.tables.set_lr(lr)
            }

            /// A table by its name.
            ///
            /// # Errors
            /// [`Error::NoSuchTable`].
            pub fn table(&self, name: &str) -> Result<&AnyTable> {
                Ok(&self.tables.tables[self.tables.find(name)?])
            }

            /// A table by its name, to be written.
            ///
            /// # Errors
            /// [`Error::NoSuchTable`].
            pub fn table_mut(&mut self, name: &str) -> Result<AnyViewMut<'_>> {
                let at = self.tables.find(name)?;
                Ok(self.tables.tables[at].view_mut())
            }

            /// Replaces a table by one of the same shape.
            ///
            /// # Errors
            /// [`Error::NoSuchTable`], [`Error::ShapeMismatch`].
            pub fn set_table(&mut self, name: &str, table: impl Into<AnyTable>) -> Result<()> {
                self.tables.set_table(name, table.into())
            }
        }
    };
}
pub(super) use table_methods;
