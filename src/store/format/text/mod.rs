//! Rows as lines of text: a word and its numbers. word2vec and fastText start with a line `rows dim`, GloVe does not.

mod read;
mod write;

pub(super) use read::TextReader;
pub(super) use write::TextWriter;

/// Which of the three it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// As gensim writes it: `rows dim`, and no space in a word.
    Word2vec,
    /// As fastText writes it: like word2vec, with a space at the end of a row.
    FastText,
    /// No first line, and words that may have spaces: the last `dim` words of a line are the numbers.
    Glove,
}

/// The two whole numbers of a word2vec header, if the line is one.
pub(super) fn header(line: &[u8]) -> Option<(u64, usize)> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (rows, dim) = (words.next()?, words.next()?);
    let digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    (words.next().is_none() && digits(rows) && digits(dim)).then_some((rows.parse().ok()?, dim.parse().ok()?))
}
