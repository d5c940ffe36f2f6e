//! The words beside the rows.

use std::collections::HashSet;

/// Words that came before.
#[derive(Debug, Default)]
pub(in crate::store) struct Seen(HashSet<Box<str>>);

impl Seen {
    /// Whether the word is new; it is not from now on.
    pub(in crate::store) fn insert(&mut self, word: &str) -> bool {
        !self.0.contains(word) && self.0.insert(word.into())
    }
}

/// What was changed while words were read.
#[derive(Debug, Default)]
pub(super) struct Changes {
    repeated: u64,
    first_repeated: Option<String>,
    repaired: u64,
}

impl Changes {
    /// A row was left out, since its word came before.
    pub(super) fn repeated(&mut self, word: &str) {
        self.repeated += 1;
        self.first_repeated.get_or_insert_with(|| super::number::shown(word.as_bytes()));
    }

    /// The word of these bytes; replaced are those that are no UTF-8, where that is allowed.
    ///
    /// # Errors
    /// How many bytes are valid before the first that is not.
    pub(super) fn decode(&mut self, bytes: &[u8], lossy: bool) -> Result<String, usize> {
        match std::str::from_utf8(bytes) {
            Ok(word) => Ok(word.to_owned()),
            Err(_) if lossy => {
                self.repaired += 1;
                Ok(String::from_utf8_lossy(bytes).into_owned())
            }
            Err(error) => Err(error.valid_up_to()),
        }
    }

    /// In words for the user; from now on nothing was changed.
    pub(super) fn take_notes(&mut self, notes: &mut Vec<String>) {
        let Changes { repeated, first_repeated, repaired } = std::mem::take(self);
        if let Some(word) = first_repeated {
            let rows = if repeated == 1 { "1 row is".to_owned() } else { format!("{repeated} rows are") };
            notes.push(format!("{rows} left out, since their words came before; the first such word is `{word}`"));
        }
        if repaired > 0 {
            let words = if repaired == 1 { "1 word".to_owned() } else { format!("{repaired} words") };
            notes.push(format!("in {words}, bytes that are not UTF-8 are replaced by U+FFFD"));
        }
    }
}

/// What is said of a word that is not UTF-8.
pub(super) const NOT_UTF8: &str = "the word is not UTF-8 from here on";
