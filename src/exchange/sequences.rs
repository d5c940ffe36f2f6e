//! Rows that are not pooled: each distinct id goes to the owner of its row once, and the row comes back once.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::index::{MISSING, OutOfRange};
use crate::layer::KeyedJagged;

use super::distinct::Distinct;
use super::ids::{Listed, put_distinct};
use super::routes::{Owner, Routes, Slot, SlotGradient};
use super::vectors::{self, Block};
use super::wire::{Kind, Reader, Writer};
use super::{check_count, check_values, filled, room};

/// What a rank keeps of the ids that it sent: what it needs to put the rows in place, and to send their gradients.
#[derive(Clone, Debug)]
pub struct RoutedIds {
    /// How many ids each feature has; none of tables without shards.
    ids: Vec<usize>,
    /// What a row is made of whose id names none.
    fill: f32,
    /// For each owner, what went to each of its streams.
    sent: Vec<Vec<Sent>>,
}

/// The ids of one stream.
#[derive(Clone, Debug, Default)]
struct Sent {
    /// Where each stands among its feature's ids; `None` where they are all of them.
    places: Option<Vec<u32>>,
    /// Which of the distinct ids each is; `None` where each travelled as it is.
    index: Option<Vec<u32>>,
    ids: usize,
    distinct: usize,
}

/// The ids that an owner got from all ranks.
#[derive(Clone, Debug)]
pub struct ReceivedIds {
    rank: usize,
    /// How many ids each rank's list has: stream by stream, and rank by rank in it.
    lengths: Vec<i32>,
    values: Vec<u32>,
    /// The places in its list of what answers each rank: those of the distinct ids. `None` where it is the whole list.
    answers: Vec<Option<Vec<u32>>>,
    ranks: usize,
}

impl Routes {
    /// Checks a batch of ids that are not pooled, and cuts it into a message for each rank, each distinct id once if `deduplicate`.
    ///
    /// # Errors
    /// As [`EmbeddingCollection::forward`](crate::EmbeddingCollection::forward).
    pub fn route_ids(&self, input: &KeyedJagged<'_>, deduplicate: bool) -> Result<(RoutedIds, Vec<Vec<u8>>)> {
        if input.lists().weights().is_some() {
            return Err(Error::UnpooledWeights);
        }
        let (batch, _) = self.checked(input, false)?;
        let fill = match input.lists().ids().policy().out_of_range {
            OutOfRange::Fill(value) => value,
            OutOfRange::Error | OutOfRange::Clamp => 0.0,
        };
        let mut routed = RoutedIds {
            ids: vec![0; self.lookups.len()],
            fill,
            sent: self.owners.iter().map(|owner| vec![Sent::default(); owner.streams.len()]).collect(),
        };
        let mut streams: Vec<Vec<Vec<u32>>> = self.owners.iter().map(|owner| vec![Vec::new(); owner.streams.len()]).collect();
        for ((at, lookup), feature) in self.exchanged().zip(batch.features()) {
            let rows = &batch.rows()[feature.ids.clone()];
            routed.ids[at] = rows.len();
            let starts = self.starts(lookup);
            if !lookup.cut && !rows.contains(&MISSING) {
                for to in &lookup.streams {
                    streams[to.owner][to.at] = rows.to_vec();
                }
                continue;
            }
            for (place, &row) in rows.iter().enumerate().filter(|&(_, &row)| row != MISSING) {
                let owner = starts.partition_point(|&start| start <= row) - 1;
                // All columns of a table that is not cut by rows start at row 0, and all of them get the id.
                let range = if lookup.cut { owner..owner + 1 } else { 0..starts.len() };
                for to in &lookup.streams[range] {
                    let start = self.owners[to.owner].streams[to.at].rows.start as u32;
                    streams[to.owner][to.at].push(row - start);
                    routed.sent[to.owner][to.at].places.get_or_insert_default().push(place as u32);
                }
            }
            for to in &lookup.streams {
                routed.sent[to.owner][to.at].places.get_or_insert_default();
            }
        }
        let mut messages = Vec::new();
        for (streams, sent) in streams.iter().zip(&mut routed.sent) {
            let bytes = streams.iter().map(|ids| 16 + 8 * ids.len()).sum();
            let mut message = Writer::new(Kind::Ids, streams.len() as u32, bytes)?;
            for (ids, sent) in streams.iter().zip(sent) {
                sent.ids = ids.len();
                sent.distinct = ids.len();
                message.u32(ids.len() as u32);
                if !deduplicate {
                    super::ids::put(&mut message, ids, false)?;
                } else if let Some(found) = Distinct::of(ids, usize::MAX)? {
                    put_distinct(&mut message, &found);
                    sent.distinct = found.ids.len();
                    sent.index = Some(found.index);
                }
            }
            messages.push(message.finish());
        }
        Ok((routed, messages))
    }

    /// Puts the messages of all ranks together, in the order of the ranks: all ids, so that the gradient of each can follow, or, with `summed`, the distinct
    /// ids of each rank alone.
    ///
    /// # Errors
    /// [`Error::DamagedMessage`], [`Error::OutOfMemory`].
    pub fn receive_ids(&self, rank: usize, messages: &[&[u8]], summed: bool) -> Result<ReceivedIds> {
        let streams = self.streams_of(rank).len();
        let mut parts = Vec::new();
        for (from, message) in messages.iter().enumerate() {
            let (mut reader, count) = Reader::open(message, from, Kind::Ids)?;
            if count as usize != streams {
                return Err(reader.damaged(format!("it has {count} lists of ids, and {streams} were expected")));
            }
            let mut read = Vec::new();
            for _ in 0..streams {
                let ids = reader.u32()? as usize;
                if ids > i32::MAX as usize {
                    return Err(reader.damaged(format!("it has a list of {ids} ids")));
                }
                read.push((ids, Listed::read(&mut reader, ids)?));
            }
            reader.end()?;
            parts.push(read);
        }
        let lists = || (0..streams).flat_map(|stream| parts.iter().map(move |read| read[stream]));
        let ids = lists().map(|(ids, _)| ids).sum();
        let mut received =
            ReceivedIds { rank, lengths: Vec::new(), values: room(ids)?, answers: Vec::new(), ranks: messages.len() };
        for (ids, listed) in lists() {
            if summed {
                received.lengths.push(listed.distinct() as i32);
                listed.extend_distinct(&mut received.values);
                received.answers.push(None);
            } else {
                received.lengths.push(ids as i32);
                listed.extend(&mut received.values);
                received.answers.push(listed.first_places());
            }
        }
        Ok(received)
    }
}

impl RoutedIds {
    /// How many ids each feature has, through all tables; none of tables without shards.
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// The parts of an output that holds the rows of all features one behind the other.
    fn parts(&self, routes: &Routes) -> Vec<Range<usize>> {
        let mut end = 0;
        let part = |(lookup, ids): (&super::routes::Lookup, &usize)| {
            let start = end;
            end += ids * lookup.dim;
            start..end
        };
        routes.lookups.iter().zip(&self.ids).map(part).collect()
    }

    /// How many values the rows of all features have, all together.
    pub fn output_len(&self, routes: &Routes) -> usize {
        self.parts(routes).last().map_or(0, |part| part.end)
    }

    /// Puts the rows of all owners in place: `out` holds `[ids, dim]` of each feature, one behind the other.
    ///
    /// # Errors
    /// [`Error::DamagedMessage`]; [`Error::ShapeMismatch`] when `out` is of another size.
    pub fn unpack(&self, routes: &Routes, messages: &[&[u8]], out: &mut [f32]) -> Result<()> {
        check_count(messages.len(), routes.ranks())?;
        let parts = self.parts(routes);
        check_values("output", &[self.output_len(routes)], out.len())?;
        // Ids that name no row were not sent, and their rows come from nobody.
        out.fill(self.fill);
        for (owner, message) in messages.iter().enumerate() {
            let (mut reader, _) = Reader::open(message, owner, Kind::Vectors)?;
            for slot in &routes.owners[owner].slots {
                let sent = &self.sent[owner][slot.stream];
                let dim = routes.lookups[slot.lookup].dim;
                let block = Block::read(&mut reader, sent.distinct, slot.width, routes.wire)?;
                let out = &mut out[parts[slot.lookup].clone()];
                for (at, place) in sent.places().enumerate() {
                    block.copy(sent.number(at), &mut out[place * dim + slot.column..][..slot.width]);
                }
            }
            reader.end()?;
        }
        Ok(())
    }

    /// The gradients of all features' rows, each `[ids, dim]`, as a message for each owner: that of every id, or, with `summed`, the sum of those of
    /// equal ids, in the order of the ids.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::OutOfMemory`].
    pub fn pack_gradient(&self, routes: &Routes, gradients: &[&[f32]], summed: bool) -> Result<Vec<Vec<u8>>> {
        check_values("gradients", &[self.ids.len()], gradients.len())?;
        for ((lookup, &ids), gradient) in routes.lookups.iter().zip(&self.ids).zip(gradients) {
            check_values("gradient", &[ids, lookup.dim], gradient.len())?;
        }
        routes.owners.iter().zip(&self.sent).map(|(own, sent)| gradient_message(routes, own, sent, gradients, summed)).collect()
    }
}

fn gradient_message(routes: &Routes, own: &Owner, sent: &[Sent], gradients: &[&[f32]], summed: bool) -> Result<Vec<u8>> {
    let values: usize = own.slots.iter().map(|slot| sent[slot.stream].travelling(summed) * slot.gradient.width).sum();
    let mut message = Writer::new(Kind::Gradients, sent.len() as u32, values * routes.wire.size())?;
    for slot in &own.slots {
        let sent = &sent[slot.stream];
        let dim = routes.lookups[slot.lookup].dim;
        let SlotGradient { width, column, .. } = slot.gradient;
        let row = |place: usize| &gradients[slot.lookup][place * dim + column..][..width];
        if summed && sent.index.is_some() {
            let mut sums = filled(sent.distinct * width, 0.0f32)?;
            for (at, place) in sent.places().enumerate() {
                let sum = &mut sums[sent.number(at) * width..][..width];
                sum.iter_mut().zip(row(place)).for_each(|(sum, x)| *sum += x);
            }
            vectors::put(&mut message, &sums, routes.wire);
        } else {
            sent.places().for_each(|place| vectors::put(&mut message, row(place), routes.wire));
        }
    }
    Ok(message.finish())
}

impl Sent {
    /// Where each id stands among its feature's.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let places = self.places.as_deref();
        (0..self.ids).map(move |at| places.map_or(at, |places| places[at] as usize))
    }

    /// Which of the rows that travel is that of an id.
    fn number(&self, at: usize) -> usize {
        self.index.as_ref().map_or(at, |index| index[at] as usize)
    }

    /// How many gradients travel.
    fn travelling(&self, summed: bool) -> usize {
        if summed { self.distinct } else { self.ids }
    }
}

impl ReceivedIds {
    /// How many ids each list has: stream by stream, and in it that of rank 0, then that of rank 1, and so on.
    pub fn lengths(&self) -> &[i32] {
        &self.lengths
    }

    /// The ids, in the order of the lists, counted from the first row of their stream.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// The list of a rank in a slot's stream, and where it starts among the stream's ids.
    fn list(&self, slot: &Slot, from: usize) -> (usize, Range<usize>) {
        let lengths = &self.lengths[slot.stream * self.ranks..][..self.ranks];
        let start = lengths[..from].iter().map(|&length| length as usize).sum();
        (slot.stream * self.ranks + from, start..start + lengths[from] as usize)
    }

    /// How many ids a slot's stream has.
    fn rows(&self, slot: &Slot) -> usize {
        self.lengths[slot.stream * self.ranks..][..self.ranks].iter().map(|&length| length as usize).sum()
    }

    /// How many values the collection's outputs have, all together.
    pub fn output_len(&self, routes: &Routes) -> usize {
        routes.owners[self.rank].slots.iter().map(|slot| self.rows(slot) * slot.width).sum()
    }

    /// How many values their gradients have, all together: more than they, where owners of columns get
    /// [whole rows](Routes::with_whole_rows).
    pub fn gradient_len(&self, routes: &Routes) -> usize {
        routes.owners[self.rank].slots.iter().map(|slot| self.rows(slot) * slot.gradient.width).sum()
    }

    fn check(&self, own: &Owner, what: &'static str, sizes: impl ExactSizeIterator<Item = usize>) -> Result<()> {
        check_values("lists of rows", &[own.slots.len()], sizes.len())?;
        own.slots.iter().zip(sizes).try_for_each(|(slot, size)| check_values(what, &[self.rows(slot), slot.width], size))
    }

    /// The rows of the collection's outputs, each `[ids, columns]`, as a message for each rank.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::OutOfMemory`].
    pub fn pack(&self, routes: &Routes, outputs: &[&[f32]]) -> Result<Vec<Vec<u8>>> {
        let own = &routes.owners[self.rank];
        self.check(own, "output", outputs.iter().map(|output| output.len()))?;
        let mut messages = Vec::new();
        for from in 0..self.ranks {
            let answered = |slot: &Slot| {
                let (list, range) = self.list(slot, from);
                self.answers[list].as_ref().map_or(range.len(), Vec::len)
            };
            let values: usize = own.slots.iter().map(|slot| answered(slot) * slot.width).sum();
            let mut message = Writer::new(Kind::Vectors, own.slots.len() as u32, values * routes.wire.size())?;
            for (slot, output) in own.slots.iter().zip(outputs) {
                let (list, range) = self.list(slot, from);
                match &self.answers[list] {
                    None => vectors::put(&mut message, &output[range.start * slot.width..range.end * slot.width], routes.wire),
                    Some(places) => {
                        for &place in places {
                            let row = &output[(range.start + place as usize) * slot.width..][..slot.width];
                            vectors::put(&mut message, row, routes.wire);
                        }
                    }
                }
            }
            messages.push(message.finish());
        }
        Ok(messages)
    }

    /// The gradients of the collection's outputs, from the messages of all ranks: `[ids, columns]` of each output, one behind the other; of all columns
    /// of the table where its owners get [whole rows](Routes::with_whole_rows).
    ///
    /// # Errors
    /// [`Error::DamagedMessage`]; [`Error::ShapeMismatch`] when `out` is of another size.
    pub fn unpack_gradient(&self, routes: &Routes, messages: &[&[u8]], out: &mut [f32]) -> Result<()> {
        let own = &routes.owners[self.rank];
        check_count(messages.len(), self.ranks)?;
        check_values("gradient", &[self.gradient_len(routes)], out.len())?;
        for (from, message) in messages.iter().enumerate() {
            let (mut reader, _) = Reader::open(message, from, Kind::Gradients)?;
            let mut start = 0;
            for slot in &own.slots {
                let (_, range) = self.list(slot, from);
                let width = slot.gradient.width;
                let block = Block::read(&mut reader, range.len(), width, routes.wire)?;
                for (row, place) in range.enumerate() {
                    block.copy(row, &mut out[start + place * width..][..width]);
                }
                start += self.rows(slot) * width;
            }
            reader.end()?;
        }
        Ok(())
    }
}
