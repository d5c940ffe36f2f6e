//! Bags: ids go to the owners of their rows, sums come back.

use crate::error::{Error, Result};
use crate::index::{OutOfRange, Pooling};
use crate::layer::KeyedJagged;
use crate::ops::{Batch, Part};
use crate::par::Parallelism;
use crate::simd::Tier;

use super::ids::{self, Listed};
use super::routes::{Lookup, Owner, Routes, Slot};
use super::vectors::{self, Block};
use super::wire::{Kind, Numbers, Reader, Writer};
use super::{check_count, check_values, filled, room};

/// What a rank keeps of the bags that it sent: what it needs to put the vectors in place, and to send their gradients.
#[derive(Clone, Debug)]
pub struct RoutedBags {
    examples: usize,
    /// For each owner and each of its streams, the bags that have ids there; `None` where all travel.
    present: Vec<Vec<Option<Vec<u32>>>>,
    /// For each feature of a table that is cut by rows, what its sums are divided by.
    divisors: Vec<Option<Divisors>>,
}

/// What the sum of each bag is divided by, and its gradient multiplied by.
#[derive(Clone, Debug)]
struct Divisors {
    divisors: Vec<f32>,
    scales: Vec<f32>,
}

/// The bags that an owner got from all ranks, one rank's examples behind the other's.
#[derive(Clone, Debug)]
pub struct ReceivedBags {
    rank: usize,
    /// How many examples each rank sent.
    examples: Vec<usize>,
    /// Stream by stream, and rank by rank in it.
    lengths: Vec<i32>,
    values: Vec<u32>,
    weights: Option<Vec<f32>>,
}

impl Routes {
    /// Checks a batch, and cuts it into a message for each rank. Ids may travel as the distinct ones and an index where that is shorter, if `deduplicate`.
    ///
    /// Weights of a table that is cut by rows are divided before they travel, so that the gradients of its rows are what one process would have.
    ///
    /// # Errors
    /// As [`EmbeddingBagCollection::forward`](crate::EmbeddingBagCollection::forward); [`Error::InvalidOption`] for a policy that fills.
    pub fn route_bags(&self, input: &KeyedJagged<'_>, deduplicate: bool) -> Result<(RoutedBags, Vec<Vec<u8>>)> {
        if let OutOfRange::Fill(_) = input.lists().ids().policy().out_of_range {
            return Err(Error::InvalidOption {
                option: "policy",
                given: "one that fills".to_owned(),
                expected: "bags whose tables are at several ranks have no rows but the tables'",
            });
        }
        let (batch, examples) = self.checked(input, true)?;
        let mut routed = RoutedBags {
            examples,
            present: self.owners.iter().map(|owner| vec![None; owner.streams.len()]).collect(),
            divisors: vec![None; self.lookups.len()],
        };
        let mut streams: Vec<Vec<Bags>> = self.owners.iter().map(|owner| vec![Bags::default(); owner.streams.len()]).collect();
        for ((at, lookup), feature) in self.exchanged().zip(batch.features()) {
            let bounds = &batch.bounds()[feature.bags.clone().unwrap_or(0..0).start..][..examples + 1];
            let own = feature.ids.clone();
            let given = Given { ids: batch.rows(), bounds, weights: feature.weighted.then(|| batch.weights()) };
            if lookup.cut {
                let divided = given.divided(self.tables[lookup.table].pooling)?;
                if let Some((divisors, weights)) = divided {
                    routed.divisors[at] = Some(divisors);
                    self.bucket(lookup, &Given { weights: weights.as_deref().or(given.weights), ..given }, &mut streams)?;
                } else {
                    self.bucket(lookup, &given, &mut streams)?;
                }
                for to in &lookup.streams {
                    let lengths = &streams[to.owner][to.at].lengths;
                    let present = (0..examples as u32).filter(|&bag| lengths[bag as usize] > 0).collect();
                    routed.present[to.owner][to.at] = Some(present);
                }
            } else {
                for to in &lookup.streams {
                    streams[to.owner][to.at] = given.whole(own.clone());
                }
            }
        }
        let messages = streams.iter().map(|streams| message(streams, examples, deduplicate)).collect::<Result<_>>()?;
        Ok((routed, messages))
    }

    /// The features of tables that are exchanged.
    pub(super) fn exchanged(&self) -> impl Iterator<Item = (usize, &Lookup)> {
        self.lookups.iter().enumerate().filter(|(_, lookup)| !lookup.slots.is_empty())
    }

    /// The ids of those features, checked against their tables.
    pub(super) fn checked(&self, input: &KeyedJagged<'_>, pooled: bool) -> Result<(Batch, usize)> {
        let (examples, lists) = (input.batch_size()?, input.lists());
        let ids = lists.ids();
        if let Some(weights) = lists.weights().filter(|weights| weights.len() != ids.len()) {
            return Err(Error::WeightCount { weights: weights.len(), ids: ids.len() });
        }
        let bounds = lists.bounds()?;
        let mut batch = Batch::default();
        for (_, lookup) in self.exchanged() {
            let config = &self.tables[lookup.table];
            let missing = || Error::MissingKey { key: lookup.key.clone(), table: config.name.clone() };
            let at = input.keys().iter().position(|known| *known == lookup.key).ok_or_else(missing)?;
            let bounds = &bounds[at * examples..(at + 1) * examples + 1];
            let part = Part { ids, bounds, weights: lists.weights(), pooled };
            batch.add_part(&part, config.num_embeddings, 0, Tier::best(), Parallelism::Serial)?;
        }
        Ok((batch, examples))
    }

    /// Puts each id of a table that is cut by rows into the stream of its row's owner.
    fn bucket(&self, lookup: &Lookup, given: &Given<'_>, streams: &mut [Vec<Bags>]) -> Result<()> {
        let examples = given.bounds.len() - 1;
        let mut parts: Vec<Bags> = Vec::new();
        for _ in &lookup.streams {
            let weights = given.weights.map(|_| Vec::new());
            parts.push(Bags { lengths: filled(examples, 0)?, ids: Vec::new(), weights });
        }
        let starts = self.starts(lookup);
        for (bag, bounds) in given.bounds.windows(2).enumerate() {
            for at in bounds[0] as usize..bounds[1] as usize {
                let row = given.ids[at];
                let to = starts.partition_point(|&start| start <= row) - 1;
                let part = &mut parts[to];
                part.lengths[bag] += 1;
                part.ids.push(row - starts[to]);
                if let (Some(weights), Some(given)) = (&mut part.weights, given.weights) {
                    weights.push(given[at]);
                }
            }
        }
        for (to, part) in lookup.streams.iter().zip(parts) {
            streams[to.owner][to.at] = part;
        }
        Ok(())
    }

    /// The first row of each stream of a table that is cut by rows.
    pub(super) fn starts(&self, lookup: &Lookup) -> Vec<u32> {
        lookup.streams.iter().map(|to| self.owners[to.owner].streams[to.at].rows.start as u32).collect()
    }

    /// Puts the messages of all ranks together, in the order of the ranks.
    ///
    /// # Errors
    /// [`Error::DamagedMessage`], [`Error::OutOfMemory`].
    pub fn receive_bags(&self, rank: usize, messages: &[&[u8]]) -> Result<ReceivedBags> {
        let streams = self.streams_of(rank).len();
        let mut parts = Vec::new();
        for (from, message) in messages.iter().enumerate() {
            let (mut reader, examples) = Reader::open(message, from, Kind::Bags)?;
            let read = (0..streams).map(|_| Incoming::read(&mut reader, examples as usize)).collect::<Result<Vec<_>>>()?;
            reader.end()?;
            parts.push((examples as usize, read));
        }
        let examples: Vec<usize> = parts.iter().map(|(examples, _)| *examples).collect();
        let all: usize = examples.iter().sum();
        let incoming = || (0..streams).flat_map(|stream| parts.iter().map(move |(_, read)| &read[stream]));
        let ids: usize = incoming().map(|incoming| incoming.count).sum();
        let weighted = incoming().any(|incoming| incoming.weights.is_some());
        let mut received = ReceivedBags {
            rank,
            lengths: room(all.saturating_mul(streams))?,
            values: room(ids)?,
            weights: if weighted { Some(room(ids)?) } else { None },
            examples,
        };
        for incoming in incoming() {
            incoming.lengths.each(|length| received.lengths.push(length as i32));
            incoming.ids.extend(&mut received.values);
            match (&mut received.weights, incoming.weights) {
                (Some(weights), Some(given)) => weights.extend(super::wire::f32s(given)),
                // As good as none: a row times one is the row.
                (Some(weights), None) => weights.resize(weights.len() + incoming.count, 1.0),
                (None, _) => {}
            }
        }
        Ok(received)
    }
}

/// The ids of a feature, as they were given and checked.
#[derive(Clone, Copy)]
struct Given<'a> {
    ids: &'a [u32],
    /// Where each bag starts among the ids, and the end of the last.
    bounds: &'a [u32],
    weights: Option<&'a [f32]>,
}

impl Given<'_> {
    /// All of it.
    fn whole(&self, own: std::ops::Range<usize>) -> Bags {
        Bags {
            lengths: self.bounds.windows(2).map(|bounds| bounds[1] - bounds[0]).collect(),
            ids: self.ids[own.clone()].to_vec(),
            weights: self.weights.map(|weights| weights[own].to_vec()),
        }
    }

    /// What sums are divided by, and the weights divided by it; without weights it is the sums that are divided. `None` for plain sums.
    fn divided(&self, pooling: Pooling) -> Result<Option<(Divisors, Option<Vec<f32>>)>> {
        if !matches!(pooling, Pooling::Mean | Pooling::Sqrtn) {
            return Ok(None);
        }
        let bags = self.bounds.len() - 1;
        let mut found = Divisors { divisors: room(bags)?, scales: room(bags)? };
        let mut divided = self.weights.map(|weights| filled(weights.len(), 0.0f32)).transpose()?;
        for bounds in self.bounds.windows(2) {
            let bag = bounds[0] as usize..bounds[1] as usize;
            let squared = |weight: f32| if pooling == Pooling::Mean { weight } else { weight * weight };
            let sum = match self.weights {
                Some(weights) => weights[bag.clone()].iter().fold(0.0, |sum, &weight| sum + squared(weight)),
                // Above 2^24 one more is no more, in a sum of ones as in the conversion.
                None => bag.len().min(1 << 24) as f32,
            };
            let divisor = if pooling == Pooling::Mean { sum } else { sum.sqrt() };
            match (self.weights, &mut divided) {
                (Some(weights), Some(divided)) => {
                    for at in bag {
                        divided[at] = divide(weights[at], divisor);
                    }
                    // What is left is to make zeros of bags whose weights come to nothing.
                    found.divisors.push(if divisor == 0.0 { 0.0 } else { 1.0 });
                    found.scales.push(1.0);
                }
                _ => {
                    found.divisors.push(divisor);
                    found.scales.push(divide(1.0, divisor));
                }
            }
        }
        Ok(Some((found, divided)))
    }
}

/// Division in which a divisor of zero gives zero, as the engine's pooling has it.
fn divide(x: f32, divisor: f32) -> f32 {
    if divisor == 0.0 { 0.0 } else { x / divisor }
}

/// One stream of a message that goes out.
#[derive(Clone, Debug, Default)]
struct Bags {
    lengths: Vec<u32>,
    ids: Vec<u32>,
    weights: Option<Vec<f32>>,
}

fn message(streams: &[Bags], examples: usize, deduplicate: bool) -> Result<Vec<u8>> {
    let bytes = streams.iter().map(|stream| 16 + 4 * (stream.lengths.len() + 2 * stream.ids.len())).sum();
    let mut message = Writer::new(Kind::Bags, examples as u32, bytes)?;
    for stream in streams {
        message.numbers(&stream.lengths);
        ids::put(&mut message, &stream.ids, deduplicate)?;
        message.u8(u8::from(stream.weights.is_some()));
        if let Some(weights) = &stream.weights {
            message.f32s(weights);
        }
    }
    Ok(message.finish())
}

/// One stream of a message that came in.
struct Incoming<'a> {
    lengths: Numbers<'a>,
    ids: Listed<'a>,
    count: usize,
    weights: Option<&'a [u8]>,
}

impl<'a> Incoming<'a> {
    fn read(reader: &mut Reader<'a>, examples: usize) -> Result<Incoming<'a>> {
        let lengths = reader.numbers(examples)?;
        let count = usize::try_from(lengths.sum()).ok().filter(|&count| count <= i32::MAX as usize);
        let count = count.ok_or_else(|| reader.damaged(format!("its bags have {} ids", lengths.sum())))?;
        let ids = Listed::read(reader, count)?;
        let weights = match reader.u8()? {
            0 => None,
            1 => Some(reader.values(count, 4)?),
            form => return Err(reader.damaged(format!("it has weights in form {form}, which is not known"))),
        };
        Ok(Incoming { lengths, ids, count, weights })
    }
}

impl RoutedBags {
    /// How many examples the batch has.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// How many rows of a slot travel.
    fn rows(&self, owner: usize, slot: &Slot) -> usize {
        self.present[owner][slot.stream].as_ref().map_or(self.examples, Vec::len)
    }

    /// The bags whose rows travel, in order.
    fn bags(&self, owner: usize, slot: &Slot) -> impl Iterator<Item = usize> + '_ {
        let present = self.present[owner][slot.stream].as_deref();
        (0..self.rows(owner, slot)).map(move |row| present.map_or(row, |present| present[row] as usize))
    }

    /// Puts the vectors of all owners in place: `out` is `[examples, width]`. Sums of a table that is cut by rows are added in the order of the rows, and divided.
    /// Columns of tables without shards are not touched.
    ///
    /// # Errors
    /// [`Error::DamagedMessage`]; [`Error::ShapeMismatch`] when `out` is of another size.
    pub fn unpack(&self, routes: &Routes, messages: &[&[u8]], out: &mut [f32]) -> Result<()> {
        check_count(messages.len(), routes.ranks())?;
        check_values("output", &[self.examples, routes.width], out.len())?;
        let mut blocks = Vec::new();
        for (owner, message) in messages.iter().enumerate() {
            let (mut reader, examples) = Reader::open(message, owner, Kind::Vectors)?;
            if examples as usize != self.examples {
                return Err(reader.damaged(format!("it has vectors for {examples} examples, and there are {}", self.examples)));
            }
            let slots = routes.owners[owner].slots.iter();
            let read = slots.map(|slot| Block::read(&mut reader, self.rows(owner, slot), slot.width, routes.wire));
            blocks.push(read.collect::<Result<Vec<_>>>()?);
            reader.end()?;
        }
        for (at, lookup) in routes.exchanged() {
            let place = |bag: usize| bag * routes.width + lookup.start;
            if lookup.cut {
                for bag in 0..self.examples {
                    out[place(bag)..][..lookup.dim].fill(0.0);
                }
            }
            for to in &lookup.slots {
                let slot = &routes.owners[to.owner].slots[to.at];
                let block = &blocks[to.owner][to.at];
                for (row, bag) in self.bags(to.owner, slot).enumerate() {
                    let cells = &mut out[place(bag) + slot.column..][..slot.width];
                    if lookup.cut { block.add(row, cells) } else { block.copy(row, cells) }
                }
            }
            if let Some(found) = &self.divisors[at] {
                for (bag, &divisor) in found.divisors.iter().enumerate() {
                    for x in &mut out[place(bag)..][..lookup.dim] {
                        *x = divide(*x, divisor);
                    }
                }
            }
        }
        Ok(())
    }

    /// The gradient of the output, `[examples, width]`, as a message for each owner.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::OutOfMemory`].
    pub fn pack_gradient(&self, routes: &Routes, gradient: &[f32]) -> Result<Vec<Vec<u8>>> {
        check_values("gradient", &[self.examples, routes.width], gradient.len())?;
        routes.owners.iter().enumerate().map(|(owner, own)| self.gradient_message(routes, owner, own, gradient)).collect()
    }

    fn gradient_message(&self, routes: &Routes, owner: usize, own: &Owner, gradient: &[f32]) -> Result<Vec<u8>> {
        let values: usize = own.slots.iter().map(|slot| self.rows(owner, slot) * slot.gradient.width).sum();
        let mut message = Writer::new(Kind::Gradients, self.examples as u32, values * routes.wire.size())?;
        let mut scaled = Vec::new();
        for slot in &own.slots {
            let start = routes.lookups[slot.lookup].start + slot.gradient.column;
            for bag in self.bags(owner, slot) {
                let row = &gradient[bag * routes.width + start..][..slot.gradient.width];
                match &self.divisors[slot.lookup] {
                    Some(found) => {
                        scaled.clear();
                        scaled.extend(row.iter().map(|x| found.scales[bag] * x));
                        vectors::put(&mut message, &scaled, routes.wire);
                    }
                    None => vectors::put(&mut message, row, routes.wire),
                }
            }
        }
        Ok(message.finish())
    }
}

impl ReceivedBags {
    /// How many examples there are, of all ranks together.
    pub fn examples(&self) -> usize {
        self.examples.iter().sum()
    }

    /// The lengths of all lists: stream by stream, and in it the examples of rank 0, then those of rank 1, and so on.
    pub fn lengths(&self) -> &[i32] {
        &self.lengths
    }

    /// The ids, in the order of the lists, counted from the first row of their stream.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// One weight an id, if any rank gave weights.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// The examples of a rank among all that have a vector in this slot.
    fn present(&self, routes: &Routes, from: usize, slot: &Slot) -> impl Iterator<Item = usize> + '_ {
        let first: usize = self.examples[..from].iter().sum();
        let lengths = &self.lengths[slot.stream * self.examples()..][..self.examples()];
        let cut = routes.lookups[slot.lookup].cut;
        (first..first + self.examples[from]).filter(move |&example| !cut || lengths[example] > 0)
    }

    /// The rows of the collection's output, `[examples, width_of(rank)]`, as a message for each rank.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::OutOfMemory`].
    pub fn pack(&self, routes: &Routes, output: &[f32]) -> Result<Vec<Vec<u8>>> {
        let own = &routes.owners[self.rank];
        check_values("output", &[self.examples(), own.width], output.len())?;
        let mut messages = Vec::new();
        for (from, &examples) in self.examples.iter().enumerate() {
            let bytes = examples * own.width * routes.wire.size();
            let mut message = Writer::new(Kind::Vectors, examples as u32, bytes)?;
            for slot in &own.slots {
                for example in self.present(routes, from, slot) {
                    vectors::put(&mut message, &output[example * own.width + slot.from..][..slot.width], routes.wire);
                }
            }
            messages.push(message.finish());
        }
        Ok(messages)
    }

    /// The gradient of the collection's output, from the messages of all ranks: `out` is `[examples, gradient_width_of(rank)]`. Bags without ids have zeros.
    ///
    /// # Errors
    /// [`Error::DamagedMessage`]; [`Error::ShapeMismatch`] when `out` is of another size.
    pub fn unpack_gradient(&self, routes: &Routes, messages: &[&[u8]], out: &mut [f32]) -> Result<()> {
        let own = &routes.owners[self.rank];
        check_count(messages.len(), self.examples.len())?;
        check_values("gradient", &[self.examples(), own.gradient_width], out.len())?;
        if own.slots.iter().any(|slot| routes.lookups[slot.lookup].cut) {
            out.fill(0.0);
        }
        for (from, message) in messages.iter().enumerate() {
            let (mut reader, examples) = Reader::open(message, from, Kind::Gradients)?;
            if examples as usize != self.examples[from] {
                let expected = self.examples[from];
                return Err(reader.damaged(format!("it has gradients for {examples} examples, and there were {expected}")));
            }
            for slot in &own.slots {
                let rows = self.present(routes, from, slot).count();
                let block = Block::read(&mut reader, rows, slot.gradient.width, routes.wire)?;
                for (row, example) in self.present(routes, from, slot).enumerate() {
                    block.copy(row, &mut out[example * own.gradient_width + slot.gradient.from..][..slot.gradient.width]);
                }
            }
            reader.end()?;
        }
        Ok(())
    }
}
