//! What ranks send to each other: batches that are cut into messages and put together again, and messages that somebody has changed.
//!
//! One rank has a batch; the others have none. Numbers are small and whole, so that nothing is rounded and sums have no order.

use std::ops::Range;

use hotrow::exchange::{Routes, Shard, refused};
use hotrow::{DType, EmbeddingBagConfig, Error, KeyedJagged};

use crate::input::Input;

/// Key, table, and the rows of the table.
const FEATURES: [(&str, usize, usize); 3] = [("a", 0, 5), ("b", 0, 5), ("c", 1, 300)];
const DIMS: [usize; 2] = [4, 3];
const ROWS: [usize; 2] = [5, 300];
/// The first column of each feature.
const STARTS: [usize; 3] = [0, DIMS[0], 2 * DIMS[0]];
/// More than this is not made of a few bytes here: a message may say that a billion lists are all alike.
const MODEST: u64 = 1 << 16;

/// The check.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let world = World::draw(&mut input);
    let mut messages = world.bags();
    messages.extend(world.rows());
    for _ in 0..16 {
        if input.is_empty() {
            break;
        }
        let at = input.below(messages.len());
        let changed = change(&mut input, &messages[at].bytes);
        assert_eq!(refused(&changed).is_some(), changed.starts_with(&[b'h', b'x', 1, 255]) && changed.len() >= 8);
        match (messages[at].read)(&changed) {
            Ok(()) => {}
            Err(Error::DamagedMessage { problem, .. }) => assert!(!problem.is_empty()),
            Err(other) => panic!("{other}"),
        }
    }
}

type Read<'w> = dyn Fn(&[u8]) -> Result<(), Error> + 'w;

/// A message, and what reads it.
struct Message<'w> {
    bytes: Vec<u8>,
    read: Box<Read<'w>>,
}

impl<'w> Message<'w> {
    fn new(bytes: &[u8], read: impl Fn(&[u8]) -> Result<(), Error> + 'w) -> Message<'w> {
        Message { bytes: bytes.to_vec(), read: Box::new(read) }
    }
}

fn change(input: &mut Input<'_>, message: &[u8]) -> Vec<u8> {
    let mut changed = message.to_vec();
    match input.below(4) {
        0 => changed.truncate(input.below(message.len() + 1)),
        1 => changed.extend((0..input.below(9)).map(|_| input.byte())),
        2 => changed = (0..input.below(64)).map(|_| input.byte()).collect(),
        _ => {}
    }
    for _ in 0..input.below(4) {
        if !changed.is_empty() {
            let at = input.below(changed.len());
            changed[at] = input.byte();
        }
    }
    changed
}

/// Whether a message of ids claims no more lists and ids than are modest. What is cut short or unknown is left to its reader.
fn is_modest(message: &[u8], streams: usize, of_bags: bool) -> bool {
    let mut scan = Scan { rest: message, most: 0 };
    let _ = scan.read(streams, of_bags);
    scan.most <= MODEST
}

/// What a message says of how much is in it.
struct Scan<'a> {
    rest: &'a [u8],
    most: u64,
}

impl Scan<'_> {
    fn take(&mut self, values: u64, width: usize) -> Option<&[u8]> {
        let bytes = usize::try_from(values).ok()?.checked_mul(width)?;
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, width: usize) -> Option<u64> {
        Some(self.take(1, width)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A number of lists or ids; nothing where it is too large.
    fn claim(&mut self, count: u64) -> Option<u64> {
        self.most = self.most.max(count);
        Some(count).filter(|&count| count <= MODEST)
    }

    fn read(&mut self, streams: usize, of_bags: bool) -> Option<()> {
        self.take(1, 4)?;
        let lists = self.number(4)?;
        if of_bags {
            self.claim(lists)?;
        }
        for _ in 0..streams {
            let ids = if of_bags {
                match self.number(1)? {
                    0 => self.number(4)? * self.number(4)?,
                    width => self.take(lists, width as usize)?.chunks(width as usize).map(le).sum(),
                }
            } else {
                self.number(4)?
            };
            self.claim(ids)?;
            if self.number(1)? == 0 {
                self.take(ids, 4)?;
            } else {
                let distinct = self.number(4)?;
                self.take(distinct, 4)?;
                match self.number(1)? {
                    0 => self.take(1, 8)?,
                    width => self.take(ids, width as usize)?,
                };
            }
            if of_bags && self.number(1)? == 1 {
                self.take(ids, 4)?;
            }
        }
        Some(())
    }
}

fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number: u64, &byte| number.wrapping_shl(8) | u64::from(byte))
}

/// Tables, how they are cut, and the batch of one rank.
struct World {
    routes: Routes,
    ranks: usize,
    /// The rank that has the batch.
    asks: usize,
    /// The tables whose owners get whole rows of gradient.
    whole: Vec<usize>,
    /// The lists of each feature, one for each example.
    lists: Vec<Vec<Vec<u32>>>,
    weighted: bool,
    deduplicate: bool,
    summed: bool,
}

/// A stream and a shard that it looks up.
struct Slot {
    stream: usize,
    lookup: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    /// The columns of the gradient.
    gradient: Range<usize>,
}

/// A list of ids, and its weights.
type Listed = (Vec<u32>, Vec<f32>);

impl World {
    fn draw(input: &mut Input<'_>) -> World {
        let ranks = 1 + input.below(3);
        let mut shards = Vec::new();
        let mut whole = Vec::new();
        for table in 0..2 {
            let (rows, dim) = (ROWS[table], DIMS[table]);
            let cut = input.below(if table == 0 { 3 } else { 4 });
            let at = 1 + input.below(if cut == 1 { dim } else { rows } - 1);
            let mut shard = |rows, columns| shards.push(Shard { table, owner: input.below(ranks), rows, columns });
            match cut {
                0 => shard(0..rows, 0..dim),
                1 => [0..at, at..dim].into_iter().for_each(|columns| shard(0..rows, columns)),
                2 => [0..at, at..rows].into_iter().for_each(|rows| shard(rows, 0..dim)),
                _ => {}
            }
            if input.flag() {
                whole.push(table);
            }
        }
        let config = |table: usize| {
            let keys = FEATURES.iter().filter(|feature| feature.1 == table).map(|feature| feature.0);
            EmbeddingBagConfig::new(["t", "u"][table], ROWS[table], DIMS[table], keys)
        };
        let wire = input.pick(&[DType::F32, DType::BF16, DType::F16]);
        let routes = Routes::new(vec![config(0), config(1)], shards, ranks, wire).expect("the shards make up the tables");
        let routes = routes.with_whole_rows(&whole).expect("there are these tables");
        let (asks, examples) = (input.below(ranks), input.below(5));
        let [weighted, deduplicate, summed] = [input.flag(), input.flag(), input.flag()];
        // So many of one id that the others' index is worth it.
        let long = input.seldom();
        let mut list = |rows| (0..if long { 40 } else { input.below(4) }).map(|_| input.below(rows) as u32).collect();
        let lists = FEATURES.iter().map(|feature| (0..examples).map(|_| list(feature.2)).collect()).collect();
        World { routes, ranks, asks, whole, lists, weighted, deduplicate, summed }
    }

    /// Calls `work` with the batch of a rank.
    fn input<T>(&self, rank: usize, weighted: bool, work: impl FnOnce(&KeyedJagged<'_>) -> T) -> T {
        let keys = FEATURES.map(|feature| feature.0);
        let lists: Vec<&Vec<u32>> = if rank == self.asks { self.lists.iter().flatten().collect() } else { Vec::new() };
        let lengths: Vec<i32> = lists.iter().map(|list| list.len() as i32).collect();
        let ids: Vec<u32> = lists.into_iter().flatten().copied().collect();
        let weights: Vec<f32> = (0..ids.len()).map(weight).collect();
        let input = KeyedJagged::from_lengths(&keys, &ids, &lengths);
        work(&if weighted { input.with_weights(&weights) } else { input })
    }

    fn examples(&self) -> usize {
        self.lists[0].len()
    }

    /// Each list of a stream: the ids that are its, counted from its first row, with their weights.
    fn stream(&self, lookup: usize, rows: &Range<usize>) -> Vec<Listed> {
        let mut at: usize = self.lists[..lookup].iter().flatten().map(Vec::len).sum();
        let mut own = |list: &Vec<u32>| {
            let numbered = list.iter().zip(at..).filter(|(id, _)| rows.contains(&(**id as usize)));
            let found = numbered.map(|(id, at)| (id - rows.start as u32, weight(at))).unzip();
            at += list.len();
            found
        };
        self.lists[lookup].iter().map(&mut own).collect()
    }

    /// A rank's slots, in their order.
    fn slots(&self, rank: usize) -> Vec<Slot> {
        let streams = self.routes.streams_of(rank);
        let mut slots = Vec::new();
        for &number in self.routes.shards_of(rank) {
            let shard = &self.routes.shards()[number];
            let gradient = if self.whole.contains(&shard.table) { 0..DIMS[shard.table] } else { shard.columns.clone() };
            for stream in self.routes.streams_of_shard(number) {
                let lookup = streams[stream].lookup;
                let (rows, columns) = (shard.rows.clone(), shard.columns.clone());
                slots.push(Slot { stream, lookup, rows, columns, gradient: gradient.clone() });
            }
        }
        slots
    }

    /// Whether the rows of a feature's table are at several places.
    fn is_cut(&self, lookup: usize) -> bool {
        let table = FEATURES[lookup].1;
        self.routes.shards().iter().any(|shard| shard.table == table && shard.rows.len() < ROWS[table])
    }

    /// The messages of all ranks to one of them.
    fn to(messages: &[Vec<Vec<u8>>], owner: usize) -> Vec<&[u8]> {
        messages.iter().map(|messages| messages[owner].as_slice()).collect()
    }

    /// What an owner has of each of its streams.
    fn streams(&self, owner: usize) -> Vec<Vec<Listed>> {
        self.routes.streams_of(owner).iter().map(|stream| self.stream(stream.lookup, &stream.rows)).collect()
    }

    /// Bags there and back: what arrives is what was sent.
    fn bags(&self) -> Vec<Message<'_>> {
        let (routes, asks, examples) = (&self.routes, self.asks, self.examples());
        let route = |rank: usize| {
            let weighted = self.weighted && rank == asks;
            self.input(rank, weighted, |input| routes.route_bags(input, self.deduplicate)).expect("its ids are good")
        };
        let (kept, asked): (Vec<_>, Vec<_>) = (0..self.ranks).map(route).unzip();
        let gradient = numbers(examples * routes.width(), 40);
        let sent: Vec<Vec<Vec<u8>>> = kept
            .iter()
            .map(|kept| kept.pack_gradient(routes, &gradient[..kept.examples() * routes.width()]).expect("it has the shape"))
            .collect();
        let (mut want, mut answers, mut messages) = (vec![0.0; gradient.len()], Vec::new(), Vec::new());
        for owner in 0..self.ranks {
            let received = routes.receive_bags(owner, &World::to(&asked, owner)).expect("it is as it was written");
            let streams = self.streams(owner);
            let lists = || streams.iter().flatten();
            assert_eq!(received.examples(), examples);
            assert!(received.lengths().iter().map(|&length| length as usize).eq(lists().map(|(ids, _)| ids.len())));
            assert!(received.values().iter().eq(lists().flat_map(|(ids, _)| ids)));
            if let Some(weights) = received.weights() {
                assert!(weights.iter().eq(lists().flat_map(|(_, weights)| weights)));
            }
            let (width, gradient_width) = (routes.width_of(owner), routes.gradient_width_of(owner));
            let output = numbers(examples * width, 10 * owner);
            answers.push(received.pack(routes, &output).expect("it has the shape").swap_remove(asks));
            let mut arrived = vec![f32::NAN; examples * gradient_width];
            received.unpack_gradient(routes, &World::to(&sent, owner), &mut arrived).expect("it is as it was written");
            let (mut from, mut gradient_from) = (0, 0);
            for slot in self.slots(owner) {
                for (example, (ids, _)) in streams[slot.stream].iter().enumerate() {
                    let travels = !self.is_cut(slot.lookup) || !ids.is_empty();
                    let row = example * routes.width() + STARTS[slot.lookup];
                    for (at, column) in slot.columns.clone().enumerate().filter(|_| travels) {
                        want[row + column] += output[example * width + from + at];
                    }
                    for (at, column) in slot.gradient.clone().enumerate() {
                        let expected = if travels { gradient[row + column] } else { 0.0 };
                        assert_eq!(arrived[example * gradient_width + gradient_from + at], expected);
                    }
                }
                (from, gradient_from) = (from + slot.columns.len(), gradient_from + slot.gradient.len());
            }
            let streams = streams.len();
            messages.push(Message::new(&asked[asks][owner], move |bytes| {
                if is_modest(bytes, streams, true) { routes.receive_bags(owner, &[bytes]).map(|_| ()) } else { Ok(()) }
            }));
            let sent = sent.clone();
            messages.push(Message::new(&sent[asks][owner].clone(), move |bytes| {
                let mut messages = World::to(&sent, owner);
                messages[asks] = bytes;
                received.unpack_gradient(routes, &messages, &mut arrived.clone())
            }));
        }
        for owner in 0..self.ranks {
            let (kept, answers, size) = (kept[asks].clone(), answers.clone(), want.len());
            messages.push(Message::new(&answers[owner].clone(), move |bytes| {
                let mut messages: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
                messages[owner] = bytes;
                kept.unpack(routes, &messages, &mut vec![0.0; size])
            }));
        }
        let mut found = vec![0.0; want.len()];
        let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
        kept[asks].unpack(routes, &answers, &mut found).expect("it is as it was written");
        assert_eq!(found, want);
        messages
    }

    /// The ids of a stream that its owner looks up: all, or the distinct ones in the order in which they come.
    fn looked_up(&self, lists: &[Listed]) -> Vec<u32> {
        let all = lists.iter().flat_map(|(ids, _)| ids.iter().copied());
        if !self.summed || !self.deduplicate {
            return all.collect();
        }
        all.fold(Vec::new(), |mut found, id| {
            if !found.contains(&id) {
                found.push(id);
            }
            found
        })
    }

    /// Rows that are not pooled, there and back.
    fn rows(&self) -> Vec<Message<'_>> {
        let (routes, asks, summed) = (&self.routes, self.asks, self.summed);
        let route =
            |rank: usize| self.input(rank, false, |input| routes.route_ids(input, self.deduplicate)).expect("its ids are good");
        let (kept, asked): (Vec<_>, Vec<_>) = (0..self.ranks).map(route).unzip();
        let cell = |row: usize, column: usize| ((5 * row + column) % 100) as f32;
        let (mut answers, mut messages) = (Vec::new(), Vec::new());
        for owner in 0..self.ranks {
            let received = routes.receive_ids(owner, &World::to(&asked, owner), summed).expect("it is as it was written");
            let streams: Vec<Vec<u32>> = self.streams(owner).iter().map(|lists| self.looked_up(lists)).collect();
            assert!(received.values().iter().eq(streams.iter().flatten()));
            let slots = self.slots(owner);
            let output = |slot: &Slot| {
                let row = |&id: &u32| slot.columns.clone().map(move |column| cell(slot.rows.start + id as usize, column));
                streams[slot.stream].iter().flat_map(row).collect::<Vec<f32>>()
            };
            let outputs: Vec<Vec<f32>> = slots.iter().map(output).collect();
            let outputs: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
            answers.push(received.pack(routes, &outputs).expect("they have the shapes").swap_remove(asks));
            let streams = streams.len();
            messages.push(Message::new(&asked[asks][owner], move |bytes| {
                let modest = is_modest(bytes, streams, false);
                if modest { routes.receive_ids(owner, &[bytes], summed).map(|_| ()) } else { Ok(()) }
            }));
        }
        let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
        let mut found = vec![f32::NAN; kept[asks].output_len(routes)];
        kept[asks].unpack(routes, &answers, &mut found).expect("it is as it was written");
        let mut found = found.into_iter();
        for (lookup, &(_, table, _)) in FEATURES.iter().enumerate() {
            for &id in self.lists[lookup].iter().flatten().filter(|_| kept[asks].ids()[lookup] > 0) {
                (0..DIMS[table]).for_each(|column| assert_eq!(found.next(), Some(cell(id as usize, column))));
            }
        }
        assert_eq!(found.next(), None);
        messages
    }
}

/// Small whole numbers.
fn numbers(n: usize, less: usize) -> Vec<f32> {
    (0..n).map(|at| (at % 90) as f32 - less as f32).collect()
}

/// A weight for an id by its place among all.
fn weight(at: usize) -> f32 {
    (at % 7) as f32 - 3.0
}
