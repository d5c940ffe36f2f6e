//! Text to ids, as Keras 2's text preprocessing does it: the ids that its documents feed into an `Embedding`.

use md5::{Digest, Md5};

use crate::error::{Error, Result};

/// The characters that Keras's filters remove: all ASCII punctuation but the apostrophe, tab and newline.
pub const FILTERS: &str = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n";

/// Words to ids in `1..n` by their MD5 hash: `hashing_trick(text, n, hash_function='md5')` of tf_keras 2.21.0, equal on every machine
/// and in every process. Different words may share an id. Id 0 is never given out: it is for padding.
///
/// ```
/// use hotrow::text::hashing_trick;
///
/// assert_eq!(hashing_trick("The cat sat on the mat.", 50)?, [43, 32, 29, 3, 43, 29]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidVocabulary`] when `n` is below 2.
pub fn hashing_trick(text: &str, n: usize) -> Result<Vec<usize>> {
    HashingTrick::new(n).ids(text)
}

/// The words that [`hashing_trick`] hashes: lower case, without punctuation, cut at spaces.
///
/// ```
/// assert_eq!(hotrow::text::words("The cat, sat!"), ["the", "cat", "sat"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    HashingTrick::new(2).words(text)
}

/// [`hashing_trick`] with Keras's options.
///
/// ```
/// use hotrow::text::HashingTrick;
///
/// let trick = HashingTrick::new(1000).lower(false).filters("").split(",");
/// assert_eq!(trick.words("Red,Green!"), ["Red", "Green!"]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HashingTrick {
    n: usize,
    lower: bool,
    filters: String,
    split: String,
}

impl HashingTrick {
    /// Ids in `1..n`, with Keras's defaults: lower case, [`FILTERS`], cut at spaces.
    pub fn new(n: usize) -> HashingTrick {
        HashingTrick { n, lower: true, filters: FILTERS.to_owned(), split: " ".to_owned() }
    }

    /// Whether to turn the text to lower case first.
    #[must_use]
    pub fn lower(self, lower: bool) -> HashingTrick {
        HashingTrick { lower, ..self }
    }

    /// The characters that are replaced by the separator.
    #[must_use]
    pub fn filters(self, filters: &str) -> HashingTrick {
        HashingTrick { filters: filters.to_owned(), ..self }
    }

    /// The separator of words. An empty one does not cut at all.
    #[must_use]
    pub fn split(self, split: &str) -> HashingTrick {
        HashingTrick { split: split.to_owned(), ..self }
    }

    /// The words of a text.
    pub fn words(&self, text: &str) -> Vec<String> {
        let text = if self.lower { text.to_lowercase() } else { text.to_owned() };
        let mut filtered = String::with_capacity(text.len());
        for character in text.chars() {
            if self.filters.contains(character) {
                filtered.push_str(&self.split);
            } else {
                filtered.push(character);
            }
        }
        if self.split.is_empty() {
            return if filtered.is_empty() { Vec::new() } else { vec![filtered] };
        }
        filtered.split(self.split.as_str()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// The ids of a text's words.
    ///
    /// # Errors
    /// [`Error::InvalidVocabulary`] when `n` is below 2.
    pub fn ids(&self, text: &str) -> Result<Vec<usize>> {
        if self.n < 2 {
            return Err(Error::InvalidVocabulary { n: self.n });
        }
        Ok(self.words(text).iter().map(|word| self.id(word)).collect())
    }

    /// The hash is a 128-bit number, as Python's `int(digest, 16)` reads it.
    fn id(&self, word: &str) -> usize {
        let hash = u128::from_be_bytes(Md5::digest(word.as_bytes()).into());
        (hash % (self.n as u128 - 1)) as usize + 1
    }
}
