//! The manifest: what a checkpoint consists of, and how to know it again.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::names::Shard;
use crate::element::DType;
use crate::optim::OptimizerRecord;
use crate::store::error::{FileError, FileResult, Place};
use crate::store::stored::Stored;

/// What `format` says.
const FORMAT: &str = "hotrow-checkpoint";
/// The version that is written and read.
const VERSION: u64 = 1;
/// Manifests beyond this are neither written nor read: they list shards and tensors, not rows.
pub(super) const MANIFEST_CAP: u64 = 64 << 20;

/// A CRC-32 as eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crc(pub(super) u32);

impl Serialize for Crc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:08x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Crc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Crc, D::Error> {
        let text = String::deserialize(deserializer)?;
        let crc = u32::from_str_radix(&text, 16).ok().filter(|crc| format!("{crc:08x}") == text);
        crc.map(Crc).ok_or_else(|| D::Error::custom(format!("{text:?} is no checksum of eight hexadecimal digits")))
    }
}

/// What surrounds the manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    format: String,
    version: u64,
    crc32: Crc,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// A checkpoint's contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) step: u64,
    pub(super) kind: Kind,
    /// What a delta changes.
    pub(super) base: Option<Base>,
    pub(super) created_by: String,
    pub(super) files: Vec<FileRecord>,
    pub(super) tables: Vec<TableRecord>,
    pub(super) tensors: Vec<TensorRecord>,
    pub(super) config: Box<RawValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Full,
    Delta,
}

/// Which checkpoint a delta belongs to: that of this step, whose manifest has this checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Base {
    pub(super) step: u64,
    pub(super) crc32: Crc,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRecord {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) header_crc32: Crc,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableRecord {
    pub(super) name: String,
    pub(super) dtype: Element,
    pub(super) shape: [usize; 2],
    pub(super) ids: Texts,
    pub(super) titles: Texts,
    pub(super) optimizer: Option<OptimizerRecord>,
}

/// The element of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Element {
    F32,
    F16,
    Bf16,
}

impl From<DType> for Element {
    fn from(dtype: DType) -> Element {
        match dtype {
            DType::F32 => Element::F32,
            DType::F16 => Element::F16,
            DType::BF16 => Element::Bf16,
        }
    }
}

impl From<Element> for DType {
    fn from(element: Element) -> DType {
        match element {
            Element::F32 => DType::F32,
            Element::F16 => DType::F16,
            Element::Bf16 => DType::BF16,
        }
    }
}

/// Where the ids or titles of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Texts {
    /// There are none.
    None,
    /// In a tensor of this checkpoint.
    Here,
    /// They are those of the base.
    Base,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TensorRecord {
    pub(super) name: String,
    pub(super) dtype: Number,
    pub(super) shape: Vec<usize>,
    pub(super) pieces: Vec<PieceRecord>,
}

/// The types of numbers in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Number {
    F32,
    F16,
    Bf16,
    U32,
    U8,
}

impl Number {
    pub(super) fn stored(self) -> Stored {
        match self {
            Number::F32 => Stored::F32,
            Number::F16 => Stored::F16,
            Number::Bf16 => Stored::BF16,
            Number::U32 => Stored::U32,
            Number::U8 => Stored::U8,
        }
    }

    fn size(self) -> u64 {
        self.stored().bits() as u64 / 8
    }
}

impl From<Element> for Number {
    fn from(element: Element) -> Number {
        match element {
            Element::F32 => Number::F32,
            Element::F16 => Number::F16,
            Element::Bf16 => Number::Bf16,
        }
    }
}

/// Some rows of a tensor, in one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PieceRecord {
    /// Which of the files.
    pub(super) file: usize,
    /// The name of the tensor in that file.
    pub(super) tensor: String,
    pub(super) rows: usize,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) crc32: Crc,
}

impl TensorRecord {
    /// The bytes of one row.
    pub(super) fn row_bytes(&self) -> u64 {
        self.shape[1..].iter().fold(self.dtype.size(), |bytes, &dim| bytes.saturating_mul(dim as u64))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }
}

/// The name of a state's tensor.
pub(super) fn state_name(table: &str, state: &str) -> String {
    format!("{table}.optimizer.{state}")
}

/// The name of the tensor of ids.
pub(super) fn ids_name(table: &str) -> String {
    format!("{table}.ids")
}

/// The name of the tensor of titles.
pub(super) fn titles_name(table: &str) -> String {
    format!("{table}.titles")
}

/// The name of the tensor of a delta's row numbers.
pub(super) fn rows_name(table: &str) -> String {
    format!("{table}.rows")
}

/// What the name of a part of a tensor has between the tensor's name and its first row.
pub(super) const FROM_ROW: &str = ".from-row-";

impl Manifest {
    /// The file's bytes, and the checksum of what is inside.
    pub(super) fn render(&self, path: &Path) -> FileResult<(Vec<u8>, Crc)> {
        let refuse = |problem: String| FileError::unsupported(path.display().to_string(), problem);
        let inner = serde_json::to_string(self).map_err(|error| refuse(format!("the manifest cannot be written: {error}")))?;
        let crc = Crc(crc32fast::hash(inner.as_bytes()));
        let text = enclose(crc, &inner);
        if text.len() as u64 > MANIFEST_CAP {
            let problem = format!(
                "the manifest would have {} bytes; at most {MANIFEST_CAP} are written: give less configuration, or larger shards",
                text.len()
            );
            return Err(refuse(problem));
        }
        Ok((text.into_bytes(), crc))
    }

    /// What the bytes of a manifest say, its checksum and consistency checked, and the checksum. `name` names the bytes in errors.
    pub(super) fn parse(name: &str, bytes: &[u8]) -> FileResult<(Manifest, Crc)> {
        let malformed = |problem: String| FileError::malformed(name, Place::Whole, problem);
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is no manifest: it is not UTF-8".into()))?;
        // The version comes first: another version may well have other fields.
        let head: serde_json::Value =
            serde_json::from_str(text).map_err(|error| malformed(format!("it is no manifest: {error}")))?;
        if head["format"] != FORMAT {
            return Err(malformed(format!("its format is {}, not \"{FORMAT}\"", head["format"])));
        }
        if head["version"] != VERSION {
            let problem = format!("its version is {}; version {VERSION} is read", head["version"]);
            return Err(FileError::unsupported(name, problem));
        }
        drop(head);
        let outer: Envelope<'_> = serde_json::from_str(text).map_err(|error| malformed(format!("it is no manifest: {error}")))?;
        let inner = outer.manifest.get();
        let found = crc32fast::hash(inner.as_bytes());
        if found != outer.crc32.0 {
            let what = "the manifest".to_owned();
            return Err(FileError::Checksum { path: name.to_owned(), what, expected: outer.crc32.0, found });
        }
        if enclose(outer.crc32, inner) != text {
            return Err(malformed("what surrounds the manifest is not as it was written".into()));
        }
        let manifest: Manifest = serde_json::from_str(inner).map_err(|error| malformed(format!("the manifest: {error}")))?;
        manifest.check().map_err(malformed)?;
        Ok((manifest, outer.crc32))
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&TensorRecord> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |bytes, file| bytes.saturating_add(file.bytes))
    }

    /// Whether all that it says is consistent, so that nothing after this needs to doubt it; whether the files are as it says is another
    /// question.
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.kind, self.base) {
            (Kind::Full, None) => {}
            (Kind::Delta, Some(base)) if base.step < self.step => {}
            _ => return Err("a delta has a base of an earlier step, and a full checkpoint has none".into()),
        }
        let mut names = HashSet::new();
        for file in &self.files {
            let own = Shard::parse(&file.name).is_some_and(|shard| shard.step == self.step);
            if !own || !names.insert(&file.name) {
                return Err(format!("{:?} is no name of one of its files", file.name));
            }
        }
        let tensors: HashMap<&str, &TensorRecord> = self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        if tensors.len() != self.tensors.len() {
            return Err("two tensors have one name".into());
        }
        self.tensors.iter().try_for_each(|tensor| self.check_tensor(tensor))?;
        let mut known = HashSet::new();
        let mut used = 0;
        for table in &self.tables {
            if !known.insert(&table.name) {
                return Err(format!("two tables are named {:?}", table.name));
            }
            used += self.check_table(table, &tensors)?;
        }
        if used != self.tensors.len() {
            return Err("it has tensors that belong to no table".into());
        }
        Ok(())
    }

    fn check_tensor(&self, tensor: &TensorRecord) -> Result<(), String> {
        let wrong = |problem: &str| Err(format!("tensor {:?}: {problem}", tensor.name));
        let values = tensor.shape.iter().try_fold(tensor.dtype.size(), |bytes, &size| bytes.checked_mul(size as u64));
        let (Some(_), Some(&rows)) = (values, tensor.shape.first()) else {
            return wrong("it has more values than can be counted, or no shape");
        };
        let row_bytes = tensor.row_bytes();
        let mut found = 0usize;
        for piece in &tensor.pieces {
            let Some(file) = self.files.get(piece.file) else { return wrong("a piece is in a file that is not listed") };
            if (piece.rows as u64).checked_mul(row_bytes) != Some(piece.bytes) {
                return wrong("a piece has more or fewer bytes than its rows need");
            }
            if piece.offset.checked_add(piece.bytes).is_none_or(|end| end > file.bytes) {
                return wrong("a piece is not inside of its file");
            }
            found = found.saturating_add(piece.rows);
        }
        if found != rows { wrong("its pieces do not have all of its rows") } else { Ok(()) }
    }

    /// Whether a table has the tensors that it needs; returns how many.
    fn check_table(&self, table: &TableRecord, tensors: &HashMap<&str, &TensorRecord>) -> Result<usize, String> {
        let [rows, dim] = table.shape;
        let mut used = 0;
        let mut need = |name: String, dtype: Number, shape: &[usize]| {
            used += 1;
            match tensors.get(name.as_str()) {
                Some(tensor) if tensor.dtype == dtype && tensor.shape == shape => Ok(()),
                _ => Err(format!("there is no tensor {name:?} of {dtype:?} and shape {shape:?}")),
            }
        };
        let mut stored = rows;
        if self.kind == Kind::Delta {
            let name = rows_name(&table.name);
            let listed = tensors.get(name.as_str()).and_then(|tensor| tensor.shape.first().copied());
            stored = listed.filter(|&k| k <= rows).ok_or_else(|| format!("there is no tensor {name:?} of at most {rows} rows"))?;
            need(name, Number::U32, &[stored])?;
        }
        need(table.name.clone(), table.dtype.into(), &[stored, dim])?;
        if let Some(optimizer) = &table.optimizer {
            for (state, one) in optimizer.states().map_err(|error| format!("the optimizer of {:?}: {error}", table.name))? {
                need(state_name(&table.name, state), Number::F32, &[stored, if one { 1 } else { dim }])?;
            }
        }
        for (texts, name) in [(table.ids, ids_name(&table.name)), (table.titles, titles_name(&table.name))] {
            match texts {
                Texts::None => {}
                Texts::Base if self.kind == Kind::Delta => {}
                Texts::Base => return Err(format!("{name:?} cannot be those of a base: there is none")),
                Texts::Here => {
                    let bytes = tensors.get(name.as_str()).and_then(|tensor| tensor.shape.first().copied());
                    need(name, Number::U8, &[bytes.unwrap_or(0)])?;
                }
            }
        }
        Ok(used)
    }
}

/// The text of a manifest's file.
fn enclose(crc: Crc, inner: &str) -> String {
    format!("{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"crc32\":\"{:08x}\",\"manifest\":{inner}}}\n", crc.0)
}
