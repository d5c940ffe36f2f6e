//! Interactions arranged for training and for evaluation.

use super::names::Names;
use super::reader::Interactions;
use super::stamp::Stamp;
use crate::train::CHECKSUM;

/// For each user, a sorted list of distinct items, all in one array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    starts: Vec<usize>,
    items: Vec<u32>,
}

impl Rows {
    /// Rows from one sorted list of distinct items for each user.
    pub fn new<L: AsRef<[u32]>>(lists: impl IntoIterator<Item = L>) -> Self {
        let mut rows = Rows { starts: vec![0], items: Vec::new() };
        for list in lists {
            let list = list.as_ref();
            debug_assert!(list.is_sorted_by(|a, b| a < b));
            rows.items.extend_from_slice(list);
            rows.starts.push(rows.items.len());
        }
        rows
    }

    /// How many users there are.
    pub fn users(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many items all users have together.
    pub fn total(&self) -> usize {
        self.items.len()
    }

    /// The items of a user, in ascending order.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn of(&self, user: usize) -> &[u32] {
        &self.items[self.starts[user]..self.starts[user + 1]]
    }

    /// The items of all users, one user after the other.
    pub fn flat(&self) -> &[u32] {
        &self.items
    }
}

/// Interactions, split into what is trained on and what is held out.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Ids of the users.
    pub users: Names,
    /// Ids of the items.
    pub items: Names,
    /// What each user has in training.
    pub train: Rows,
    /// Each user's last item, held out; `None` for a user with a single item, which is left in training.
    pub held_out: Vec<Option<u32>>,
    /// How many interactions repeated an earlier pair of user and item.
    pub repeats: usize,
}

impl Dataset {
    /// Holds out the last item of every user who has at least two: last by time, and by position among equal times or
    /// where there are no times. A user and an item that meet more than once count once, at the last time.
    pub fn split(read: Interactions) -> Self {
        let order = by_user(&read);
        let times = read.time.as_deref();
        let time = |at: usize| times.map_or(Stamp::default(), |times| times[at]);
        let mut train = Vec::with_capacity(read.users.len());
        let mut held_out = Vec::with_capacity(read.users.len());
        let mut repeats = 0;
        for places in &order {
            // Sorted by item, the latest first, so that removing equal neighbours keeps the latest.
            let mut mine = places.clone();
            mine.sort_unstable_by(|&a, &b| read.item[a].cmp(&read.item[b]).then_with(|| time(b).cmp(&time(a))).then(b.cmp(&a)));
            mine.dedup_by_key(|at| read.item[*at]);
            repeats += places.len() - mine.len();
            let last = mine.iter().copied().max_by(|&a, &b| time(a).cmp(&time(b)).then(a.cmp(&b))).filter(|_| mine.len() > 1);
            mine.retain(|&at| Some(at) != last);
            train.push(mine.iter().map(|&at| read.item[at]).collect::<Vec<_>>());
            held_out.push(last.map(|at| read.item[at]));
        }
        Dataset { users: read.users, items: read.items, train: Rows::new(train), held_out, repeats }
    }

    /// For each item, how many users have it in training.
    pub fn popularity(&self) -> Vec<u32> {
        let mut counts = vec![0; self.items.len()];
        for &item in self.train.flat() {
            counts[item as usize] += 1;
        }
        counts
    }

    /// What tells this data from other data: counts, and a checksum of all that is learnt from, by name.
    pub fn fingerprint(&self) -> Vec<(&'static str, u64)> {
        let mut hasher = crc32fast::Hasher::new();
        for name in self.users.iter().chain(self.items.iter()) {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        for (user, held_out) in self.held_out.iter().enumerate() {
            let items = self.train.of(user);
            hasher.update(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hasher.update(&item.to_le_bytes()));
            // No item has the number 2^32 - 1: so many are refused.
            hasher.update(&held_out.unwrap_or(u32::MAX).to_le_bytes());
        }
        vec![
            ("users", self.users.len() as u64),
            ("items", self.items.len() as u64),
            ("interactions", self.train.total() as u64),
            ("users with an item held out", self.evaluated() as u64),
            (CHECKSUM, hasher.finalize().into()),
        ]
    }

    /// How many users have an item held out.
    pub fn evaluated(&self) -> usize {
        self.held_out.iter().flatten().count()
    }

    /// Everything a user has met, held out or not: what a recommendation leaves out.
    pub fn seen(&self) -> Rows {
        Rows::new(self.held_out.iter().enumerate().map(|(user, held_out)| {
            let mut items = self.train.of(user).to_vec();
            if let Some(item) = held_out {
                let at = items.partition_point(|other| other < item);
                items.insert(at, *item);
            }
            items
        }))
    }
}

/// For each user, where in the file their interactions are.
fn by_user(read: &Interactions) -> Vec<Vec<usize>> {
    let mut counts = vec![0; read.users.len()];
    for &user in &read.user {
        counts[user as usize] += 1;
    }
    let mut places: Vec<_> = counts.into_iter().map(Vec::with_capacity).collect();
    for (at, &user) in read.user.iter().enumerate() {
        places[user as usize].push(at);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read_interactions;

    fn dataset(text: &str) -> Dataset {
        Dataset::split(read_interactions(text.as_bytes(), None).unwrap())
    }

    /// What a user has in training, and what is held out, by name.
    fn of(data: &Dataset, user: &str) -> (Vec<String>, Option<String>) {
        let user = data.users.iter().position(|name| name == user).unwrap();
        let name = |item: u32| data.items.get(item as usize).to_owned();
        (data.train.of(user).iter().copied().map(name).collect(), data.held_out[user].map(name))
    }

    #[test]
    fn the_last_item_is_held_out_by_time_and_ties_by_order() {
        let data = dataset("u a 1 9\nv b 1 5\nu b 1 3\nu c 1 9\nv a 1 4\nw a 1 1");
        assert_eq!(of(&data, "u"), (vec!["a".into(), "b".into()], Some("c".into())));
        assert_eq!(of(&data, "v"), (vec!["a".into()], Some("b".into())));
        assert_eq!(of(&data, "w"), (vec!["a".into()], None));
        assert_eq!(data.evaluated(), 2);
        assert_eq!(data.popularity(), [3, 1, 0]);
        assert_eq!(data.seen().of(0), [0, 1, 2]);
        assert_eq!(data.seen().of(2), [0]);
    }

    #[test]
    fn without_times_the_order_of_the_file_decides() {
        let data = dataset("u c\nu a\nu b");
        assert_eq!(of(&data, "u"), (vec!["c".into(), "a".into()], Some("b".into())));
    }

    #[test]
    fn a_repeated_pair_counts_once_at_its_last_time() {
        // `a` comes again at the end, so it is what is held out, and training must not hold it as well.
        let data = dataset("u a\nu b\nu c\nu a");
        assert_eq!(of(&data, "u"), (vec!["b".into(), "c".into()], Some("a".into())));
        assert_eq!(data.repeats, 1);
        let data = dataset("u a 1 9\nu b 1 5\nu a 1 1");
        assert_eq!(of(&data, "u"), (vec!["b".into()], Some("a".into())));
        let data = dataset("u a\nu a");
        assert_eq!(of(&data, "u"), (vec!["a".into()], None));
    }
}
