//! Labelled examples of sparse features, and the numbering of those features.

use rayon::prelude::*;

/// Examples that each have a label, yes or no, and some features with values. Features ascend within an example, none twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    labels: Vec<bool>,
    /// Where the features of each example start, and where the last ones end.
    starts: Vec<usize>,
    features: Vec<u32>,
    values: Vec<f32>,
}

impl Default for Examples {
    fn default() -> Self {
        Examples { labels: Vec::new(), starts: vec![0], features: Vec::new(), values: Vec::new() }
    }
}

impl Examples {
    /// Makes room for so many more examples with so many features in all.
    pub(super) fn reserve(&mut self, examples: usize, features: usize) {
        self.labels.reserve_exact(examples);
        self.starts.reserve_exact(examples);
        self.features.reserve_exact(features);
        self.values.reserve_exact(features);
    }

    /// Adds an example whose features ascend, none twice.
    pub(super) fn push(&mut self, label: bool, entries: &[(u32, f32)]) {
        debug_assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
        self.labels.push(label);
        self.features.extend(entries.iter().map(|entry| entry.0));
        self.values.extend(entries.iter().map(|entry| entry.1));
        self.starts.push(self.features.len());
    }

    /// Adds all of these.
    pub(super) fn append(&mut self, others: &Examples) {
        let before = self.features.len();
        self.labels.extend_from_slice(&others.labels);
        self.features.extend_from_slice(&others.features);
        self.values.extend_from_slice(&others.values);
        self.starts.extend(others.starts[1..].iter().map(|start| before + start));
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many features all examples have together.
    pub fn entries(&self) -> usize {
        self.features.len()
    }

    /// The label of each example.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// How many labels are yes.
    pub fn positives(&self) -> usize {
        self.labels.iter().filter(|&&label| label).count()
    }

    /// The features of an example and their values.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn of(&self, example: usize) -> (&[u32], &[f32]) {
        let range = self.starts[example]..self.starts[example + 1];
        (&self.features[range.clone()], &self.values[range])
    }

    /// Puts labels, features and values into a checksum.
    pub fn put_into(&self, hasher: &mut crc32fast::Hasher) {
        for (example, &label) in self.labels.iter().enumerate() {
            let (features, values) = self.of(example);
            hasher.update(&[u8::from(label)]);
            hasher.update(&(features.len() as u64).to_le_bytes());
            features.iter().for_each(|feature| hasher.update(&feature.to_le_bytes()));
            values.iter().for_each(|value| hasher.update(&value.to_le_bytes()));
        }
    }

    /// Takes away the examples from `at` on and gives them back.
    pub fn split_off(&mut self, at: usize) -> Examples {
        let at = at.min(self.len());
        let cut = self.starts[at];
        let starts = self.starts[at..].iter().map(|start| start - cut).collect();
        self.starts.truncate(at + 1);
        Examples {
            labels: self.labels.split_off(at),
            starts,
            features: self.features.split_off(cut),
            values: self.values.split_off(cut),
        }
    }
}

/// The distinct features of some examples, in ascending order: feature `k` of these is row `k` of a table. So a table is as
/// large as the data needs, whatever the numbers in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary(Vec<u32>);

/// What numbering has left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown {
    /// Distinct features that the vocabulary lacks.
    pub features: usize,
    /// How often they stood in the examples.
    pub entries: usize,
}

impl Vocabulary {
    /// The features of these examples.
    pub fn of(examples: &Examples) -> Self {
        let mut features = examples.features.clone();
        features.par_sort_unstable();
        features.dedup();
        Vocabulary(features)
    }

    /// How many features there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The features, ascending.
    pub fn features(&self) -> &[u32] {
        &self.0
    }

    /// Replaces the features of examples by their numbers here. Features that are not here are taken out of the examples.
    pub fn number(&self, examples: &mut Examples) -> Unknown {
        let known = |feature: &u32| self.0.binary_search(feature);
        let mut missing: Vec<u32> = examples.features.par_iter().copied().filter(|feature| known(feature).is_err()).collect();
        let entries = missing.len();
        if entries > 0 {
            self.leave_out(examples);
        }
        // What is left is known. A feature that is not would keep its number, which no table has.
        examples.features.par_iter_mut().for_each(|feature| *feature = known(feature).map_or(*feature, |row| row as u32));
        missing.par_sort_unstable();
        missing.dedup();
        Unknown { features: missing.len(), entries }
    }

    /// Takes the features that are not here out of examples.
    fn leave_out(&self, examples: &mut Examples) {
        let (mut kept, mut start) = (0, 0);
        for end in &mut examples.starts[1..] {
            for at in start..*end {
                if self.0.binary_search(&examples.features[at]).is_ok() {
                    examples.features[kept] = examples.features[at];
                    examples.values[kept] = examples.values[at];
                    kept += 1;
                }
            }
            start = std::mem::replace(end, kept);
        }
        examples.features.truncate(kept);
        examples.values.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Examples {
        let mut examples = Examples::default();
        examples.push(true, &[(7, 1.0), (900, 0.5)]);
        examples.push(false, &[]);
        examples.push(true, &[(0, 2.0), (7, -1.0), (1 << 31, 3.0)]);
        examples
    }

    #[test]
    fn examples_can_be_cut_and_joined() {
        let all = examples();
        assert_eq!((all.len(), all.entries(), all.positives()), (3, 5, 2));
        assert_eq!(all.of(1), (&[][..], &[][..]));
        assert_eq!(all.of(2), (&[0, 7, 1 << 31][..], &[2.0, -1.0, 3.0][..]));
        for at in 0..5 {
            let mut head = all.clone();
            let tail = head.split_off(at);
            assert_eq!((head.len(), tail.len()), (at.min(3), 3 - at.min(3)));
            head.append(&tail);
            assert_eq!(head, all);
        }
    }

    #[test]
    fn features_are_numbered_in_ascending_order_and_strange_ones_left_out() {
        let mut all = examples();
        let tail = all.split_off(1);
        let vocabulary = Vocabulary::of(&all);
        assert_eq!(vocabulary.features(), [7, 900]);
        assert_eq!(vocabulary.number(&mut all), Unknown { features: 0, entries: 0 });
        assert_eq!(all.of(0), (&[0, 1][..], &[1.0, 0.5][..]));
        let mut twice = tail.clone();
        twice.append(&tail);
        assert_eq!(vocabulary.number(&mut twice), Unknown { features: 2, entries: 4 });
        for k in [1, 3] {
            assert_eq!(twice.of(k), (&[0][..], &[-1.0][..]));
            assert_eq!(twice.of(k - 1), (&[][..], &[][..]));
        }
        assert_eq!(twice.labels(), [false, true, false, true]);
    }
}
