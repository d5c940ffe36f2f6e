//! What stands before the tensors, checked before it is believed.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo as Described;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::store::error::{FileResult, Place};
use crate::store::source::Source;
use crate::store::stored::Stored;

/// The longest header that is read or written: 16 MiB.
pub const HEADER_CAP: u64 = 16 << 20;

/// Bytes of the header's length.
const LENGTH: u64 = 8;

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub dtype: Stored,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The CRC-32 of its bytes, if the file records one.
    pub crc32: Option<u32>,
}

/// The header of a safetensors file. All that it says is consistent, and inside the file: tensors follow each other without holes and end
/// where the file ends, and each has the bytes that its shape and type need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The tensors in the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// The entries of `__metadata__`.
    pub metadata: BTreeMap<String, String>,
    /// Where the first tensor begins: eight bytes and the header.
    pub data: u64,
    /// The CRC-32 of all bytes before that.
    pub crc32: u32,
}

impl Header {
    /// The header of a file, of which nothing else is read.
    ///
    /// # Errors
    /// [`FileError`](crate::store::FileError): no such file, no header, a header above [`HEADER_CAP`], or one that is at odds with itself or with the file.
    pub fn open(path: &Path) -> FileResult<Header> {
        Header::read(&Source::open(path)?)
    }

    /// [`open`](Header::open) of bytes in memory, which errors call `name`.
    ///
    /// # Errors
    /// As [`open`](Header::open).
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> FileResult<Header> {
        Header::read(&Source::memory(name, bytes))
    }

    /// A tensor by its name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    pub(crate) fn read(source: &Source) -> FileResult<Header> {
        let len = source.len();
        if len < LENGTH {
            let problem = format!("it is no safetensors file: it has {len} bytes, and already the length of the header takes 8");
            return Err(source.malformed(Place::Whole, problem));
        }
        let mut length = [0; LENGTH as usize];
        source.read(0, &mut length)?;
        let claimed = u64::from_le_bytes(length);
        if claimed > len - LENGTH {
            let problem = format!(
                "it is no safetensors file, or cut short: a header of {claimed} bytes is announced, and {} follow",
                len - LENGTH
            );
            return Err(source.malformed(Place::Whole, problem));
        }
        if claimed > HEADER_CAP {
            return Err(source.unsupported(format!("its header has {claimed} bytes; at most {HEADER_CAP} are read")));
        }
        let bytes = source.read_vec(0, LENGTH + claimed)?;
        let text = std::str::from_utf8(&bytes[LENGTH as usize..])
            .map_err(|error| source.malformed(Place::Byte(LENGTH + error.valid_up_to() as u64), "the header is not UTF-8"))?;
        let Parsed { metadata, tensors } = serde_json::from_str(text)
            .map_err(|error| source.malformed(place(text, &error), format!("the header: {}", words(&error))))?;
        let data = LENGTH + claimed;
        let mut header = Header { tensors: Vec::new(), metadata, data, crc32: crc32fast::hash(&bytes) };
        header.place(source, tensors)?;
        Ok(header)
    }

    /// Takes over what the tensors are said to be, and checks it as the crate does, in words for the user.
    fn place(&mut self, source: &Source, mut tensors: Vec<(String, Described)>) -> FileResult<()> {
        let malformed = |problem: String| source.malformed(Place::Whole, problem);
        tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
        let held = source.len() - self.data;
        let mut at = 0;
        for (name, Described { dtype, shape, data_offsets: (from, end), .. }) in tensors {
            let called = quoted(&name);
            if from as u64 != at {
                let how = if (from as u64) < at { "overlaps" } else { "leaves a hole behind" };
                return Err(malformed(format!(
                    "tensor {called} begins at byte {from} of the data, which {how} the tensor before it"
                )));
            }
            let Some(dtype) = stored(dtype) else {
                return Err(source.unsupported(format!("tensor {called} is of a type that is not known here: {dtype:?}")));
            };
            let bits = shape.iter().try_fold(dtype.bits(), |bits, &size| bits.checked_mul(size));
            let Some(bits) = bits else {
                return Err(malformed(format!("tensor {called} of shape {shape:?} has more values than can be counted")));
            };
            if !bits.is_multiple_of(8) {
                return Err(malformed(format!(
                    "tensor {called} of shape {shape:?} and type {dtype} does not end with a whole byte"
                )));
            }
            let bytes = (bits / 8) as u64;
            if end < from || (end - from) as u64 != bytes {
                let problem = format!(
                    "tensor {called} of shape {shape:?} and type {dtype} takes {bytes} bytes, and has those from {from} to {end}"
                );
                return Err(malformed(problem));
            }
            at = end as u64;
            if at > held {
                let problem =
                    format!("tensor {called} ends at byte {at} of the data, of which the file holds {held}: it is cut short");
                return Err(malformed(problem));
            }
            let crc32 = self.metadata.get(&checksum_key(&name)).and_then(|text| parse_checksum(text));
            self.tensors.push(TensorInfo { name, dtype, shape, offset: self.data + from as u64, bytes, crc32 });
        }
        if at != held {
            return Err(malformed(format!("{} bytes follow the last tensor, which ought to end the file", held - at)));
        }
        Ok(())
    }
}

/// Where `__metadata__` has the checksum of a tensor.
pub(super) fn checksum_key(tensor: &str) -> String {
    format!("crc32.{tensor}")
}

/// A checksum as it is written: always eight digits, so that it can be filled in later.
pub(super) fn checksum_text(crc32: u32) -> String {
    format!("{crc32:08x}")
}

fn parse_checksum(text: &str) -> Option<u32> {
    let written = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if written { u32::from_str_radix(text, 16).ok() } else { None }
}

/// A name from a file as it can be shown: what would move the cursor is escaped, and it has an end.
pub(crate) fn quoted(name: &str) -> String {
    const SHOWN: usize = 100;
    let shown: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() { format!("`{shown}…`") } else { format!("`{shown}`") }
}

fn stored(dtype: Dtype) -> Option<Stored> {
    Some(match dtype {
        Dtype::BOOL => Stored::Bool,
        Dtype::U8 => Stored::U8,
        Dtype::I8 => Stored::I8,
        Dtype::U16 => Stored::U16,
        Dtype::I16 => Stored::I16,
        Dtype::U32 => Stored::U32,
        Dtype::I32 => Stored::I32,
        Dtype::U64 => Stored::U64,
        Dtype::I64 => Stored::I64,
        Dtype::F16 => Stored::F16,
        Dtype::BF16 => Stored::BF16,
        Dtype::F32 => Stored::F32,
        Dtype::F64 => Stored::F64,
        Dtype::C64 => Stored::C64,
        Dtype::F8_E5M2 => Stored::F8E5M2,
        Dtype::F8_E4M3 => Stored::F8E4M3,
        Dtype::F8_E8M0 => Stored::F8E8M0,
        Dtype::F8_E5M2FNUZ => Stored::F8E5M2Fnuz,
        Dtype::F8_E4M3FNUZ => Stored::F8E4M3Fnuz,
        Dtype::F6_E3M2 => Stored::F6E3M2,
        Dtype::F6_E2M3 => Stored::F6E2M3,
        Dtype::F4 => Stored::F4,
        _ => return None,
    })
}

/// The header's JSON. A name that comes twice is an error, where a map would keep the last.
struct Parsed {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Described)>,
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parsed, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Parsed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors by their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Parsed, A::Error> {
                let mut parsed = Parsed { metadata: BTreeMap::new(), tensors: Vec::new() };
                let mut seen = HashSet::new();
                while let Some(name) = entries.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(A::Error::custom(format!("{} comes twice", quoted(&name))));
                    }
                    if name == "__metadata__" {
                        parsed.metadata = entries.next_value::<Option<BTreeMap<_, _>>>()?.unwrap_or_default();
                    } else {
                        parsed.tensors.push((name, entries.next_value()?));
                    }
                }
                Ok(parsed)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Where in the file the parser stopped.
fn place(text: &str, error: &serde_json::Error) -> Place {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(str::len).sum();
    Place::Byte(LENGTH + (before + error.column().saturating_sub(1)) as u64)
}

/// What the parser says, without its own words for the place. It may quote the file: what would move the cursor is escaped, and there is an end.
pub(super) fn words(error: &serde_json::Error) -> String {
    const SHOWN: usize = 300;
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let mut shown = String::new();
    for c in text[..end].chars().take(SHOWN) {
        if c.is_control() { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 7);
        bytes
    }

    fn read(bytes: &[u8]) -> FileResult<Header> {
        Header::read(&Source::memory("x", bytes.to_vec()))
    }

    fn refused(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_said_is_read() {
        let bytes = file(
            r#"{"b":{"dtype":"F16","shape":[1,2],"data_offsets":[8,12]},
                "__metadata__":{"crc32.a":"0012abCD","crc32.b":"12","k":"v"},
                "a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},
                "none":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]}}"#,
            12,
        );
        let header = read(&bytes).unwrap();
        let data = bytes.len() as u64 - 12;
        assert_eq!(header.data, data);
        let names: Vec<_> = header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["a", "none", "b"]);
        let b = header.tensor("b").unwrap();
        assert_eq!((b.dtype, &b.shape[..], b.offset, b.bytes, b.crc32), (Stored::F16, &[1, 2][..], data + 8, 4, None));
        assert_eq!(header.tensor("a").unwrap().crc32, Some(0x0012_abcd));
        assert_eq!(header.metadata["k"], "v");
        assert_eq!(header.crc32, crc32fast::hash(&bytes[..data as usize]));
        assert!(read(&file("{}", 0)).unwrap().tensors.is_empty());
        assert!(read(&file(r#"{"__metadata__":null}"#, 0)).unwrap().metadata.is_empty());
    }

    #[test]
    fn hostile_lengths_cost_nothing() {
        assert!(refused(b"").contains("it has 0 bytes"));
        let mut bytes = (1u64 << 60).to_le_bytes().to_vec();
        bytes.extend(b"{}");
        assert_eq!(
            refused(&bytes),
            "x: it is no safetensors file, or cut short: a header of 1152921504606846976 bytes is announced, and 2 follow"
        );
        assert!(refused(&u64::MAX.to_le_bytes()).contains("announced, and 0 follow"));
        let mut bytes = (HEADER_CAP + 1).to_le_bytes().to_vec();
        bytes.resize(bytes.len() + HEADER_CAP as usize + 1, b' ');
        assert_eq!(refused(&bytes), "x: its header has 16777217 bytes; at most 16777216 are read");
    }

    #[test]
    fn headers_at_odds_with_themselves_or_the_file_are_refused() {
        let one = |shape: &str, offsets: &str, data| {
            refused(&file(&format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#), data))
        };
        for (message, wanted) in [
            (one("[2]", "[4,12]", 12), "tensor `a` begins at byte 4 of the data, which leaves a hole behind the tensor before it"),
            (one("[2]", "[0,4]", 4), "tensor `a` of shape [2] and type f32 takes 8 bytes, and has those from 0 to 4"),
            (one("[2]", "[0,8]", 4), "tensor `a` ends at byte 8 of the data, of which the file holds 4: it is cut short"),
            (one("[2]", "[0,8]", 9), "1 bytes follow the last tensor, which ought to end the file"),
            (one("[4294967296,4294967296]", "[0,8]", 8), "has more values than can be counted"),
            (one("[18446744073709551615]", "[0,8]", 8), "has more values than can be counted"),
            (one("[-1]", "[0,8]", 8), "at byte 38: the header: invalid value: integer `-1`, expected usize"),
            (one("[2]", "[0]", 8), "invalid length 1, expected a tuple of size 2"),
            (one("[2]", "[8,0]", 8), "begins at byte 8"),
        ] {
            assert!(message.contains(wanted), "{message}");
        }
        for (header, wanted) in [
            ("", "the header: EOF while parsing a value"),
            ("[]", "expected an object of tensors by their names"),
            ("{}x", "at byte 10: the header: trailing characters"),
            (r#"{"a":1}"#, "expected struct TensorInfo"),
            (r#"{"a":{"dtype":"F33","shape":[],"data_offsets":[0,0]}}"#, "unknown variant `F33`"),
            (r#"{"a":{"dtype":"\u001b[2J","shape":[],"data_offsets":[0,0]}}"#, r"unknown variant `\u{1b}[2J`"),
            (r#"{"__metadata__":{"a":1}}"#, "invalid type: integer `1`, expected a string"),
            (r#"{"__metadata__":{},"__metadata__":{}}"#, "`__metadata__` comes twice"),
            (
                r#"{"\u001b[2J":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u001b[2J":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#,
                r"`\u{1b}[2J` comes twice",
            ),
            (r#"{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,0]}}"#, "does not end with a whole byte"),
        ] {
            let message = refused(&file(header, 0));
            assert!(message.contains(wanted), "{header}: {message}");
        }
        let over =
            file(r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#, 3);
        assert_eq!(refused(&over), "x: tensor `b` begins at byte 1 of the data, which overlaps the tensor before it");
        let mut bytes = file(r#"{"aa":1}"#, 0);
        bytes[10] = 0xff;
        assert_eq!(refused(&bytes), "x: at byte 10: the header is not UTF-8");
    }

    #[test]
    fn every_type_is_known_and_as_large_as_the_crate_says() {
        use Dtype::*;
        let all = [
            BOOL,
            F4,
            F6_E2M3,
            F6_E3M2,
            U8,
            I8,
            F8_E5M2,
            F8_E4M3,
            F8_E8M0,
            F8_E4M3FNUZ,
            F8_E5M2FNUZ,
            I16,
            U16,
            F16,
            BF16,
            I32,
            U32,
            F32,
            C64,
            F64,
            I64,
            U64,
        ];
        for dtype in all {
            let stored = stored(dtype).unwrap();
            assert_eq!(stored.bits(), dtype.bitsize(), "{dtype:?}");
            assert_eq!(stored.name(), serde_json::to_value(dtype).unwrap().as_str().unwrap().to_lowercase(), "{dtype:?}");
        }
    }
}
