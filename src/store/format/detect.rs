//! Which format a file has.

use std::path::Path;

use super::Format;
use super::text::header;

impl Format {
    /// The format of a file, from its first bytes (some thousands are enough) and its name. `None` where neither tells.
    ///
    /// A magic word decides first: npy, npz and Keras' HDF5 have one. Then the extension: `.safetensors`, `.csv`, `.tsv`, and `.vec`, `.txt`,
    /// `.bin` and the like, whose text is word2vec's or fastText's if its first line is `rows dim`, and GloVe's if it is not.
    ///
    /// ```
    /// use std::path::Path;
    /// use hotrow::store::Format;
    ///
    /// assert_eq!(Format::of(Path::new("a.vec"), b"2 3\ncat 1 2 3\n"), Some(Format::FastText));
    /// assert_eq!(Format::of(Path::new("a.txt"), b"cat 1 2 3\n"), Some(Format::Glove));
    /// assert_eq!(Format::of(Path::new("a"), b"\x93NUMPY\x01\x00"), Some(Format::Npy));
    /// ```
    pub fn of(path: &Path, first: &[u8]) -> Option<Format> {
        if first.starts_with(b"\x93NUMPY") {
            return Some(Format::Npy);
        }
        if first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") {
            return Some(Format::Npz);
        }
        if first.starts_with(b"\x89HDF\r\n\x1a\n") {
            return Some(Format::KerasH5);
        }
        let extension = extension(path);
        match extension.as_str() {
            "safetensors" | "csv" | "tsv" | "tab" | "npy" | "npz" | "h5" | "hdf5" => Format::of_extension(path),
            "vec" | "txt" | "bin" | "glove" | "w2v" | "word2vec" | "model" => {
                let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
                let line = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
                // A first row of GloVe with a whole number for a word and one whole number looks so, too.
                let headed = header(line).is_some() && line.len() < first.len();
                let text = !first.iter().any(|&byte| byte < b' ' && !byte.is_ascii_whitespace());
                match (headed, text) {
                    (true, false) => Some(Format::Word2vecBinary),
                    (true, true) if extension == "bin" => Some(Format::Word2vecBinary),
                    (true, true) if extension == "vec" => Some(Format::FastText),
                    (true, true) => Some(Format::Word2vecText),
                    (false, true) if !line.is_empty() => Some(Format::Glove),
                    (false, _) => None,
                }
            }
            _ if is_safetensors(first) => Some(Format::Safetensors),
            _ => None,
        }
    }

    /// The format that a new file of this name is to have, from its extension: `.safetensors`, `.npy`, `.npz`, `.vec`, `.bin`, `.txt`, `.csv`,
    /// `.tsv`.
    pub fn of_extension(path: &Path) -> Option<Format> {
        Some(match extension(path).as_str() {
            "safetensors" => Format::Safetensors,
            "npy" => Format::Npy,
            "npz" => Format::Npz,
            "vec" => Format::FastText,
            "bin" => Format::Word2vecBinary,
            "txt" | "w2v" | "word2vec" => Format::Word2vecText,
            "glove" => Format::Glove,
            "csv" => Format::Csv,
            "tsv" | "tab" => Format::Tsv,
            "h5" | "hdf5" => Format::KerasH5,
            _ => return None,
        })
    }
}

/// In lower case.
fn extension(path: &Path) -> String {
    path.extension().map_or(String::new(), |extension| extension.to_string_lossy().to_ascii_lowercase())
}

/// Eight bytes with the length of a JSON object, and its start.
fn is_safetensors(first: &[u8]) -> bool {
    const LONGEST_HEADER: u64 = 100 << 20;
    first.get(8) == Some(&b'{') && first.first_chunk().is_some_and(|length| u64::from_le_bytes(*length) <= LONGEST_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_before_names() {
        let of = |name: &str, first: &[u8]| Format::of(Path::new(name), first);
        assert_eq!(of("a.txt", b"PK\x03\x04..."), Some(Format::Npz));
        assert_eq!(of("a.bin", b"\x89HDF\r\n\x1a\n"), Some(Format::KerasH5));
        assert_eq!(of("a", b"\x10\0\0\0\0\0\0\0{\"a\""), Some(Format::Safetensors));
        assert_eq!(of("a.SafeTensors", b""), Some(Format::Safetensors));
        assert_eq!(of("a.csv", b"1,2"), Some(Format::Csv));
        assert_eq!(of("a.tsv", b"1\t2"), Some(Format::Tsv));
        assert_eq!(of("a", b"cat 1 2"), None);
        assert_eq!(of("-", b"cat 1 2"), None);
    }

    #[test]
    fn first_lines_tell_texts_apart() {
        let of = |name: &str, first: &[u8]| Format::of(Path::new(name), first);
        assert_eq!(of("a.txt", b"2 3\ncat 1 2 3"), Some(Format::Word2vecText));
        assert_eq!(of("a.txt", b"\xef\xbb\xbf2 3\r\ncat 1 2 3"), Some(Format::Word2vecText));
        assert_eq!(of("a.vec", b"cat 1 2 3\n"), Some(Format::Glove));
        assert_eq!(of("a.bin", b"2 1\ncat \0\0\x80\x3f"), Some(Format::Word2vecBinary));
        assert_eq!(of("a.bin", b"2 1\ncat abcd"), Some(Format::Word2vecBinary));
        assert_eq!(of("a.txt", b"2 1\ncat \0\0\x80\x3f"), Some(Format::Word2vecBinary));
        assert_eq!(of("a.bin", b"\xba\x16\x4f\x2f\x0c\0\0\0"), None);
        assert_eq!(of("a.txt", b""), None);
    }
}
