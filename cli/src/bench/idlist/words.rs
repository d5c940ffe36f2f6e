//! The words of a line, and the numbers that they are.

/// What stands between two blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// Where it starts in its line, in bytes from 1.
    pub(super) column: usize,
    /// The word itself, never empty.
    pub(super) bytes: &'a [u8],
}

/// The words of a line, between spaces and tabs.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = Word<'_>> {
    let mut column = 1;
    let words = line.split(u8::is_ascii_whitespace).map(move |bytes| {
        let word = Word { column, bytes };
        column += bytes.len() + 1;
        word
    });
    words.filter(|word| !word.bytes.is_empty())
}

/// Digits as a number; `None` for anything else, a sign included, and for what 64 bits do not hold.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_columns() {
        let found: Vec<_> = words(b" a\t\tbc d ").map(|word| (word.column, word.bytes)).collect();
        assert_eq!(found, [(2, &b"a"[..]), (5, b"bc"), (8, b"d")]);
        assert_eq!(words(b"").count() + words(b" \t\r").count(), 0);
    }

    #[test]
    fn digits_alone_are_numbers() {
        assert_eq!([&b"0"[..], b"007", b"18446744073709551615"].map(number), [Some(0), Some(7), Some(u64::MAX)]);
        for other in [&b""[..], b"+1", b"-1", b"1.0", b"18446744073709551616", b"\xff", b"1a"] {
            assert_eq!(number(other), None);
        }
    }
}
