//! What ranks send to each other: a world of them in one process, against one process on the batches put one behind the other, bit for bit.

mod common;

use std::collections::BTreeMap;
use std::ops::Range;

use common::{Random, assert_same};
use hotrow::exchange::{Routes, Shard, refusal, refused};
use hotrow::reference::{self, PlainBags, RowGradients};
use hotrow::{
    DType, Element, EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig, Error, IdPolicy, Ids,
    KeyedJagged, Pooling, Table, bf16, f16,
};
use proptest::prelude::*;

const KEYS: [&str; 3] = ["a", "b", "c"];
/// What stands in columns that nobody is to touch.
const UNTOUCHED: f32 = 7.5;

/// Tables, how they are cut, and a batch for each rank.
struct World {
    tables: Vec<Table<f32>>,
    configs: Vec<EmbeddingBagConfig>,
    routes: Routes,
    batches: Vec<Input>,
    /// The tables whose owners get gradients of whole rows.
    whole: Vec<usize>,
}

struct Input {
    ids: Vec<i64>,
    lengths: Vec<i64>,
    weights: Option<Vec<f32>>,
    examples: usize,
}

impl Input {
    fn keyed(&self) -> KeyedJagged<'_> {
        let keyed = KeyedJagged::from_lengths(&KEYS, &self.ids, &self.lengths);
        match &self.weights {
            Some(weights) => keyed.with_weights(weights),
            None => keyed,
        }
    }

    /// The lists under a key: ids with their weights.
    fn lists(&self, key: &str) -> Vec<Vec<(usize, f32)>> {
        let at = KEYS.iter().position(|known| *known == key).unwrap() * self.examples;
        let mut start = self.lengths[..at].iter().sum::<i64>() as usize;
        let list = |&length: &i64| {
            let range = start..start + length as usize;
            start = range.end;
            range.map(|k| (self.ids[k] as usize, self.weights.as_ref().map_or(1.0, |weights| weights[k]))).collect()
        };
        self.lengths[at..at + self.examples].iter().map(list).collect()
    }
}

/// Lists as the reference has bags.
fn plain(lists: &[Vec<(usize, f32)>], weighted: bool) -> PlainBags {
    let mut splits = vec![0];
    splits.extend(lists.iter().scan(0, |end, list| {
        *end += list.len();
        Some(*end)
    }));
    let all = lists.concat();
    PlainBags {
        rows: all.iter().map(|(row, _)| Some(*row)).collect(),
        splits,
        weights: weighted.then(|| all.iter().map(|(_, weight)| *weight).collect()),
        padding: None,
        default_row: None,
        fill: None,
    }
}

/// `0..n` in one piece.
fn whole(n: usize) -> Vec<Range<usize>> {
    std::iter::once(0..n).collect()
}

/// Cuts `0..n` into pieces that are not empty.
fn cuts(random: &mut Random, n: usize) -> Vec<Range<usize>> {
    let mut bounds: Vec<usize> = (0..random.below(4)).map(|_| 1 + random.below(n)).collect();
    bounds.extend([0, n]);
    bounds.sort_unstable();
    bounds.dedup();
    bounds.windows(2).map(|bounds| bounds[0]..bounds[1]).collect()
}

impl World {
    fn draw(seed: u64, wire: DType, weighted: bool) -> World {
        let mut random = Random(seed);
        let ranks = 1 + random.below(4);
        let (mut configs, mut shards, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        for table in 0..1 + random.below(3) {
            let (rows, dim) = (1 + random.below(30), 1 + random.below(6));
            let keys = (0..1 + random.below(2)).map(|k| KEYS[(table + k) % 3]);
            let pooling = [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn][random.below(3)];
            configs.push(EmbeddingBagConfig { pooling, ..EmbeddingBagConfig::new(format!("t{table}"), rows, dim, keys) });
            let (row_parts, column_parts) = match random.below(5) {
                0 => (whole(rows), whole(dim)),
                1 => (whole(rows), cuts(&mut random, dim)),
                2 | 3 => (cuts(&mut random, rows), whole(dim)),
                _ => (Vec::new(), Vec::new()),
            };
            for rows in row_parts {
                for columns in &column_parts {
                    shards.push(Shard { table, owner: random.below(ranks), rows: rows.clone(), columns: columns.clone() });
                }
            }
            let values: Vec<f32> = (0..rows * dim).map(|_| cell(&mut random, wire)).collect();
            tables.push(Table::from_slice(&values, rows, dim).unwrap());
        }
        let fewest = configs.iter().map(|config| config.num_embeddings).min().unwrap();
        let batch = |_| {
            let examples = random.below(5);
            let lengths: Vec<i64> = (0..KEYS.len() * examples).map(|_| random.below(5) as i64).collect();
            let n: i64 = lengths.iter().sum();
            let ids = (0..n).map(|_| random.below(fewest) as i64).collect();
            // One rank may have weights where another has none. Some of them add up to nothing.
            let weights = (weighted && random.below(3) > 0).then(|| (0..n).map(|_| random.below(5) as f32 - 2.0).collect());
            Input { ids, lengths, weights, examples }
        };
        let batches = (0..ranks).map(batch).collect();
        // Tables whose owners get gradients of whole rows, also such as are not cut by columns.
        let whole: Vec<usize> = (0..configs.len()).filter(|_| random.below(3) == 0).collect();
        let routes = Routes::new(configs.clone(), shards, ranks, wire).unwrap().with_whole_rows(&whole).unwrap();
        World { tables, configs, routes, batches, whole }
    }

    /// The features: which table, which key, the first column of the output.
    fn lookups(&self) -> Vec<(usize, &str, usize)> {
        let mut start = 0;
        let mut lookups = Vec::new();
        for (at, config) in self.configs.iter().enumerate() {
            for key in &config.feature_names {
                lookups.push((at, key.as_str(), start));
                start += config.embedding_dim;
            }
        }
        lookups
    }

    /// The first rows of a table's parts, ascending; none of a table without shards.
    fn starts(&self, table: usize) -> Vec<usize> {
        let shards = self.routes.shards().iter().filter(|shard| shard.table == table);
        let mut starts: Vec<usize> = shards.map(|shard| shard.rows.start).collect();
        starts.dedup();
        starts
    }

    /// A rank's shards as tables, with the streams that look them up.
    fn owned(&self, rank: usize) -> Vec<(usize, Table<f32>, Vec<String>)> {
        let of = |&number: &usize| {
            let shard = &self.routes.shards()[number];
            let table = &self.tables[shard.table];
            let value = |row: usize, column: usize| table.row(shard.rows.start + row).unwrap()[shard.columns.start + column];
            let part = Table::from_fn(shard.rows.len(), shard.columns.len(), value).unwrap();
            (number, part, self.routes.streams_of_shard(number).iter().map(|stream| format!("{stream}")).collect())
        };
        self.routes.shards_of(rank).iter().map(of).collect()
    }

    /// The columns of the gradient that come to a shard.
    fn gradient_of(&self, shard: &Shard) -> Range<usize> {
        if self.whole.contains(&shard.table) { 0..self.tables[shard.table].dim() } else { shard.columns.clone() }
    }

    fn keys(&self, rank: usize) -> Vec<String> {
        (0..self.routes.streams_of(rank).len()).map(|stream| format!("{stream}")).collect()
    }
}

/// Small whole numbers where vectors are rounded on the way: their sums are exact whatever the order.
fn cell(random: &mut Random, wire: DType) -> f32 {
    if wire == DType::F32 { random.real() } else { random.below(17) as f32 - 8.0 }
}

/// What arrives of a value.
fn travelled(x: f32, wire: DType) -> f32 {
    match wire {
        DType::F16 => f16::from_f32(x).to_f32(),
        DType::BF16 => Element::to_f32(bf16::from_f32(x)),
        _ => x,
    }
}

/// `messages[to]` of each rank as what each rank gets.
fn carried(messages: &[Vec<Vec<u8>>], to: usize) -> Vec<&[u8]> {
    messages.iter().map(|messages| messages[to].as_slice()).collect()
}

/// The part of a table's gradient that comes to a shard, its rows counted from the shard's first.
fn part(gradient: &RowGradients, shard: &Shard, columns: Range<usize>) -> BTreeMap<usize, Vec<f32>> {
    let own = gradient.iter().filter(|(row, _)| shard.rows.contains(row));
    own.map(|(row, values)| (row - shard.rows.start, values[columns.clone()].to_vec())).collect()
}

fn assert_gradients(got: &RowGradients, want: &RowGradients, context: &str) {
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "{context}: rows");
    for (row, values) in want {
        assert_same(&got[row], values, &format!("{context}: row {row}"));
    }
}

/// No change of a message makes anything panic, and what is cut short is refused.
fn damage(random: &mut Random, message: &[u8], read: impl Fn(&[u8]) -> Result<(), Error>) {
    read(message).unwrap();
    for _ in 0..3 {
        let short = &message[..random.below(message.len())];
        assert!(matches!(read(short), Err(Error::DamagedMessage { .. })));
        let mut other = message.to_vec();
        let at = random.below(other.len());
        other[at] ^= 1 << random.below(8);
        let _ = read(&other);
        assert!(matches!(read(&[message, &[0]].concat()), Err(Error::DamagedMessage { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 500 } else { 4000 }))]

    #[test]
    fn bags(
        seed in any::<u64>(),
        wire in proptest::sample::select(&[DType::F32, DType::F16, DType::BF16][..]),
        weighted in any::<bool>(),
        deduplicate in any::<bool>(),
    ) {
        let weighted = weighted && wire == DType::F32;
        let world = World::draw(seed, wire, weighted);
        let mut random = Random(!seed);
        let (routes, ranks) = (&world.routes, world.batches.len());
        let routed: Vec<_> = world.batches.iter().map(|batch| routes.route_bags(&batch.keyed(), deduplicate).unwrap()).collect();
        let (kept, asked): (Vec<_>, Vec<_>) = routed.into_iter().unzip();
        let received: Vec<_> = (0..ranks).map(|rank| routes.receive_bags(rank, &carried(&asked, rank)).unwrap()).collect();

        let answers: Vec<_> = (0..ranks).map(|rank| {
            let mut output = vec![0.0; received[rank].examples() * routes.width_of(rank)];
            let owned = world.owned(rank);
            if !owned.is_empty() {
                let config = |(number, part, keys): &(usize, Table<f32>, Vec<String>)| {
                    let table = routes.shards()[*number].table;
                    let pooling = if world.starts(table).len() > 1 { Pooling::Sum } else { world.configs[table].pooling };
                    let [rows, dim] = part.shape();
                    EmbeddingBagConfig { pooling, ..EmbeddingBagConfig::new(format!("{number}"), rows, dim, keys) }
                };
                let mut collection = EmbeddingBagCollection::new(owned.iter().map(config).collect(), 0).unwrap();
                for (number, part, _) in owned {
                    collection.set_table(&format!("{number}"), part).unwrap();
                }
                let keys = world.keys(rank);
                let mut input = KeyedJagged::from_lengths(&keys, received[rank].values(), received[rank].lengths());
                if let Some(weights) = received[rank].weights() {
                    input = input.with_weights(weights);
                }
                output = collection.forward(&input).unwrap().values().as_slice().to_vec();
            }
            received[rank].pack(routes, &output).unwrap()
        }).collect();

        let mut gradients = Vec::new();
        for (rank, batch) in world.batches.iter().enumerate() {
            let mut out = vec![UNTOUCHED; batch.examples * routes.width()];
            kept[rank].unpack(routes, &carried(&answers, rank), &mut out).unwrap();
            for (table, key, start) in world.lookups() {
                let (dim, pooling) = (world.configs[table].embedding_dim, world.configs[table].pooling);
                let bags = plain(&batch.lists(key), batch.weights.is_some());
                let starts = world.starts(table);
                let want: Vec<f32> = match starts.len() {
                    0 => vec![UNTOUCHED; batch.examples * dim],
                    1 => reference::bag(world.tables[table].view(), &bags, pooling).iter().map(|&x| travelled(x, wire)).collect(),
                    _ => reference::pool_in_parts(world.tables[table].view(), &bags, pooling, &starts),
                };
                let got: Vec<f32> = out.chunks(routes.width()).flat_map(|row| row[start..start + dim].to_vec()).collect();
                assert_same(&got, &want, &format!("{key:?} of table {table} at rank {rank}"));
            }
            gradients.push((0..out.len()).map(|_| cell(&mut random, wire)).collect::<Vec<f32>>());
        }

        let sent: Vec<_> = (0..ranks).map(|rank| kept[rank].pack_gradient(routes, &gradients[rank]).unwrap()).collect();
        for (rank, received) in received.iter().enumerate() {
            let width = routes.gradient_width_of(rank);
            let mut out = vec![f32::NAN; received.examples() * width];
            received.unpack_gradient(routes, &carried(&sent, rank), &mut out).unwrap();
            let (mut from, all) = (0, received.examples());
            let stream_start = |stream: usize| received.lengths()[..stream * all].iter().sum::<i32>() as usize;
            for (number, _, _) in world.owned(rank) {
                let shard = &routes.shards()[number];
                let columns = world.gradient_of(shard);
                let config = &world.configs[shard.table];
                let (mut got_lists, mut got_rows) = (Vec::new(), Vec::new());
                for stream in routes.streams_of_shard(number) {
                    let mut at = stream_start(stream);
                    for example in 0..all {
                        let end = at + received.lengths()[stream * all + example] as usize;
                        let weight = |k: usize| received.weights().map_or(1.0, |weights| weights[k]);
                        got_lists.push((at..end).map(|k| (received.values()[k] as usize, weight(k))).collect::<Vec<_>>());
                        got_rows.extend_from_slice(&out[example * width + from..][..columns.len()]);
                        at = end;
                    }
                    from += columns.len();
                }
                let cut = world.starts(shard.table).len() > 1;
                let pooling = if cut { Pooling::Sum } else { config.pooling };
                let got_bags = plain(&got_lists, received.weights().is_some());
                let got = reference::bag_gradient(&got_bags, pooling, &got_rows, columns.len(), false);

                // One process, the examples of rank 0 first.
                let (mut lists, mut rows) = (Vec::new(), Vec::new());
                for (_, key, start) in world.lookups().into_iter().filter(|(table, _, _)| *table == shard.table) {
                    for (batch, gradient) in world.batches.iter().zip(&gradients) {
                        let own = batch.lists(key);
                        for (list, row) in own.iter().zip(gradient.chunks(routes.width())) {
                            let row = &row[start..start + config.embedding_dim];
                            // On the way a mean's gradient is rounded after it was scaled.
                            let scale = match config.pooling {
                                Pooling::Mean => 1.0 / list.len() as f32,
                                Pooling::Sqrtn => 1.0 / (list.len() as f32).sqrt(),
                                _ => 1.0,
                            };
                            let scaled = |&x: &f32| if cut && wire != DType::F32 { travelled(scale * x, wire) } else { x };
                            rows.extend(row.iter().map(scaled));
                        }
                        lists.extend(own);
                    }
                }
                let pooling = if cut && wire != DType::F32 { Pooling::Sum } else { config.pooling };
                let bags = plain(&lists, world.batches.iter().any(|batch| batch.weights.is_some()));
                let want = reference::bag_gradient(&bags, pooling, &rows, config.embedding_dim, false);
                assert_gradients(&got, &part(&want, shard, columns), &format!("shard {number} at rank {rank}"));
            }
        }

        let (from, to) = (random.below(ranks), random.below(ranks));
        damage(&mut random, &asked[from][to], |bytes| routes.receive_bags(to, &[bytes]).map(|_| ()));
        let mut out = vec![0.0; kept[to].examples() * routes.width()];
        let mut messages = carried(&answers, to);
        let answer = messages[from];
        damage(&mut random, answer, |bytes| {
            let mut messages = messages.clone();
            messages[from] = bytes;
            kept[to].unpack(routes, &messages, &mut out.clone())
        });
        messages.pop();
        prop_assert!(kept[to].unpack(routes, &messages, &mut out).is_err());
        out.push(0.0);
        prop_assert!(kept[to].pack_gradient(routes, &out).is_err());
        let messages = carried(&sent, to);
        let out = vec![0.0; received[to].examples() * routes.gradient_width_of(to)];
        damage(&mut random, messages[from], |bytes| {
            let mut messages = messages.clone();
            messages[from] = bytes;
            received[to].unpack_gradient(routes, &messages, &mut out.clone())
        });
    }

    #[test]
    fn ids_that_are_not_pooled(
        seed in any::<u64>(),
        wire in proptest::sample::select(&[DType::F32, DType::BF16][..]),
        deduplicate in any::<bool>(),
        summed in any::<bool>(),
        missing in any::<bool>(),
    ) {
        let mut world = World::draw(seed, wire, false);
        let mut random = Random(!seed);
        if missing {
            for id in world.batches.iter_mut().flat_map(|batch| &mut batch.ids) {
                *id = if random.below(4) == 0 { -1 } else { *id };
            }
        }
        let world = world;
        let (routes, ranks) = (&world.routes, world.batches.len());
        let policy = if missing { IdPolicy::ZERO_FILL } else { IdPolicy::STRICT };
        let route = |batch: &Input| {
            let ids = Ids::from(&batch.ids).with_policy(policy);
            routes.route_ids(&KeyedJagged::from_lengths(&KEYS, ids, &batch.lengths), deduplicate).unwrap()
        };
        let (kept, asked): (Vec<_>, Vec<_>) = world.batches.iter().map(route).unzip();
        let received: Vec<_> = (0..ranks).map(|rank| routes.receive_ids(rank, &carried(&asked, rank), summed).unwrap()).collect();
        let answers: Vec<_> = (0..ranks).map(|rank| {
            let owned = world.owned(rank);
            let config = |(number, part, keys): &(usize, Table<f32>, Vec<String>)| {
                EmbeddingConfig::new(format!("{number}"), part.rows(), part.dim(), keys)
            };
            let mut collection = EmbeddingCollection::new(owned.iter().map(config).collect(), 0).unwrap();
            for (number, part, _) in owned {
                collection.set_table(&format!("{number}"), part).unwrap();
            }
            let keys = world.keys(rank);
            let output = collection.forward(&KeyedJagged::from_lengths(&keys, received[rank].values(), received[rank].lengths())).unwrap();
            let rows: Vec<&[f32]> = output.keys().map(|key| output.rows(key).unwrap()).collect();
            received[rank].pack(routes, &rows).unwrap()
        }).collect();

        let named = |key: &str, batch: &Input| -> Vec<Option<usize>> {
            batch.lists(key).concat().iter().map(|(id, _)| Some(*id).filter(|id| (*id as i64) >= 0)).collect()
        };
        let mut gradients: Vec<Vec<Vec<f32>>> = Vec::new();
        for (rank, batch) in world.batches.iter().enumerate() {
            let sizes: Vec<usize> = world.lookups().iter().zip(kept[rank].ids()).map(|((table, _, _), ids)| world.configs[*table].embedding_dim * ids).collect();
            let mut out = vec![f32::NAN; sizes.iter().sum()];
            kept[rank].unpack(routes, &carried(&answers, rank), &mut out).unwrap();
            let mut start = 0;
            for ((table, key, _), size) in world.lookups().into_iter().zip(&sizes) {
                let dim = world.configs[table].embedding_dim;
                let want: Vec<f32> = match world.starts(table).len() {
                    0 => Vec::new(),
                    _ => named(key, batch).iter().flat_map(|row| match row {
                        Some(row) => world.tables[table].row(*row).unwrap().iter().map(|&x| travelled(x, wire)).collect(),
                        None => vec![0.0; dim],
                    }).collect(),
                };
                assert_same(&out[start..start + size], &want, &format!("{key:?} of table {table} at rank {rank}"));
                start += size;
            }
            gradients.push(sizes.iter().map(|&size| (0..size).map(|_| cell(&mut random, wire)).collect()).collect());
        }

        let sent: Vec<_> = (0..ranks).map(|rank| {
            let rows: Vec<&[f32]> = gradients[rank].iter().map(Vec::as_slice).collect();
            kept[rank].pack_gradient(routes, &rows, summed).unwrap()
        }).collect();
        for (rank, received) in received.iter().enumerate() {
            let mut out = vec![f32::NAN; received.gradient_len(routes)];
            received.unpack_gradient(routes, &carried(&sent, rank), &mut out).unwrap();
            let mut start = 0;
            for (number, _, _) in world.owned(rank) {
                let shard = &routes.shards()[number];
                let columns = world.gradient_of(shard);
                let dim = world.configs[shard.table].embedding_dim;
                let (mut got_rows, mut got) = (Vec::new(), Vec::new());
                for stream in routes.streams_of_shard(number) {
                    let lengths = received.lengths();
                    let first = lengths[..stream * ranks].iter().sum::<i32>() as usize;
                    let count = lengths[stream * ranks..(stream + 1) * ranks].iter().sum::<i32>() as usize;
                    got_rows.extend(received.values()[first..first + count].iter().map(|&row| Some(row as usize)));
                    let size = count * columns.len();
                    got.extend_from_slice(&out[start..start + size]);
                    start += size;
                }
                let got = reference::gather_gradient(&got_rows, &got, columns.len(), None, false);
                let (mut rows, mut values) = (Vec::new(), Vec::new());
                for (at, (_, key, _)) in world.lookups().into_iter().enumerate().filter(|(_, (table, _, _))| *table == shard.table) {
                    for (batch, gradient) in world.batches.iter().zip(&gradients) {
                        let ids = named(key, batch);
                        if summed && deduplicate {
                            for (row, sum) in reference::gather_gradient(&ids, &gradient[at], dim, None, false) {
                                rows.push(Some(row));
                                values.extend(sum.iter().map(|&x| travelled(x, wire)));
                            }
                        } else {
                            rows.extend(ids);
                            values.extend(gradient[at].iter().map(|&x| travelled(x, wire)));
                        }
                    }
                }
                let want = reference::gather_gradient(&rows, &values, dim, None, false);
                assert_gradients(&got, &part(&want, shard, columns), &format!("shard {number} at rank {rank}"));
            }
        }
        let (from, to) = (random.below(ranks), random.below(ranks));
        damage(&mut random, &asked[from][to], |bytes| routes.receive_ids(to, &[bytes], summed).map(|_| ()));
    }
}

#[test]
fn ids_travel_in_the_shorter_form() {
    let table = EmbeddingBagConfig::new("t", 1_000_000, 1, ["a"]);
    let shard = Shard { table: 0, owner: 0, rows: 0..1_000_000, columns: 0..1 };
    let routes = Routes::new(vec![table], vec![shard], 1, DType::F32).unwrap();
    let size = |ids: &[i64], deduplicate: bool| {
        let (_, messages) = routes.route_bags(&KeyedJagged::from_lengths(&["a"], ids, &[ids.len() as i64]), deduplicate).unwrap();
        let received = routes.receive_bags(0, &[&messages[0]]).unwrap();
        assert!(received.values().iter().map(|&id| i64::from(id)).eq(ids.iter().copied()));
        messages[0].len()
    };
    let different: Vec<i64> = (0..5000).collect();
    assert_eq!(size(&different, true), size(&different, false));
    // Two bytes an id beside the thousand ids, four without.
    let repeated: Vec<i64> = (0..5000).map(|k| 700 * (k % 1000)).collect();
    assert_eq!(size(&repeated, false) - size(&repeated, true), 5000 * 4 - (5000 * 2 + 1000 * 4 + 5));
    let few: Vec<i64> = (0..5000).map(|k| k % 100).collect();
    assert_eq!(size(&few, false) - size(&few, true), 5000 * 4 - (5000 + 100 * 4 + 5));
}

#[test]
fn what_is_refused_says_why() {
    let table = EmbeddingBagConfig::new("t", 10, 2, ["a"]);
    let shards = [0, 1].map(|owner| Shard { table: 0, owner, rows: 5 * owner..5 * owner + 5, columns: 0..2 });
    let routes = Routes::new(vec![table], shards.to_vec(), 2, DType::F32).unwrap();
    let route = |ids: Ids<'_>| routes.route_bags(&KeyedJagged::from_lengths(&["a"], ids, &[2i64]), true).map(|(kept, _)| kept);
    let refused_ids = |ids: Ids<'_>| route(ids).unwrap_err().to_string();
    assert_eq!(
        refused_ids(Ids::from(&[1, 10])),
        "id 10 at position [1] is out of range: the table has 10 rows, so ids must be in 0..10"
    );
    assert!(refused_ids(Ids::from(&[1, 2]).with_policy(IdPolicy::ZERO_FILL)).starts_with("policy is one that fills"));
    assert!(route(Ids::from(&[-1, 2]).with_policy(IdPolicy::TF_SAFE)).is_ok());
    let missing = routes.route_bags(&KeyedJagged::from_lengths(&["b"], &[1], &[1i64]), true);
    assert!(matches!(missing, Err(Error::MissingKey { .. })));

    let (kept, messages) = routes.route_bags(&KeyedJagged::from_lengths(&["a"], &[1, 7], &[2i64]), true).unwrap();
    let error = |result: Result<(), Error>| result.unwrap_err().to_string();
    let gradients = kept.pack_gradient(&routes, &[1.0, 2.0]).unwrap();
    assert_eq!(
        error(routes.receive_bags(0, &[&messages[0], &gradients[0]]).map(|_| ())),
        "the message of rank 1 cannot be read: it holds gradients where ids of bags were expected: every rank must make the same calls"
    );
    assert_eq!(
        error(kept.unpack(&routes, &[&gradients[0]], &mut [0.0; 2])),
        "the message of rank 1 cannot be read: 1 messages came, and 2 were expected"
    );
    assert_eq!(
        error(routes.receive_bags(0, &[&refusal("no")]).map(|_| ())),
        "the message of rank 0 cannot be read: it holds a refusal where ids of bags were expected: every rank must make the same calls"
    );
    assert_eq!(refused(&refusal("id 12 at rank 3")), Some("id 12 at rank 3".to_owned()));
    assert_eq!((refused(&messages[0]), refused(b"hx")), (None, None));
}
