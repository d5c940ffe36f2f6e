//! The formats of files of ids, and how they are told apart.

use std::fmt;

use clap::ValueEnum;

use super::words::{number, words};
use crate::data::lines::lines;

/// A format of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IdFormat {
    /// One bag a line: a user, then the items of that user, if any
    Bags,
    /// One bag a line: `(user,item)`, then negative items
    Negatives,
    /// Ids, one or more a line
    Ids,
}

impl fmt::Display for IdFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdFormat::Bags => "bags",
            IdFormat::Negatives => "negatives",
            IdFormat::Ids => "ids",
        })
    }
}

impl IdFormat {
    /// The format that a file shows. Users in ascending order at the heads of several lines make bags, unless nothing follows any
    /// of them.
    pub(super) fn detect(bytes: &[u8]) -> IdFormat {
        let (mut last, mut heads, mut followed) = (None, 0, false);
        for line in lines(bytes) {
            let mut words = words(line.bytes);
            let Some(head) = words.next() else { continue };
            if heads == 0 && head.bytes.starts_with(b"(") {
                return IdFormat::Negatives;
            }
            let user = number(head.bytes);
            if user.is_none() || user <= last {
                return IdFormat::Ids;
            }
            last = user;
            heads += 1;
            followed |= words.next().is_some();
        }
        if heads > 1 && followed { IdFormat::Bags } else { IdFormat::Ids }
    }
}

#[cfg(test)]
mod tests {
    use super::IdFormat::{self, Bags, Ids, Negatives};

    #[test]
    fn the_first_words_of_the_lines_show_the_format() {
        let cases: &[(&[u8], IdFormat)] = &[
            (b"0 7 8\n1\n2 9\n", Bags),
            (b"3 7\r\n\r\n9\r\n", Bags),
            (b"(0,25)\t1064\t174\n", Negatives),
            (b"\xef\xbb\xbf (0,25) 1064\n", Negatives),
            (b"0\n1\n2\n", Ids),
            (b"5 6 7 8\n", Ids),
            (b"5 6\n4 7\n", Ids),
            (b"5 6\n5 7\n", Ids),
            (b"a 6\nb 7\n", Ids),
            (b"1 6\n(2,3) 7\n", Ids),
            (b"", Ids),
        ];
        for (bytes, format) in cases {
            assert_eq!(IdFormat::detect(bytes), *format, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
