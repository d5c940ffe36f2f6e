//! What the tensors of a checkpoint are made of, as bytes, a chunk at a time: never is a whole table laid out.

use std::io::{self, Write};
use std::ops::Range;

use super::manifest::Number;
use crate::element::Element;
use crate::index::RowSet;
use crate::store::bytes::to_bytes;
use crate::store::error::{FileError, FileResult};
use crate::table::{AnyView, TableView};

/// About how many bytes are packed, checksummed and written in one go. A worker has one such buffer, so sixty-four workers have 32 MiB.
pub(super) const CHUNK_BYTES: usize = 512 << 10;

/// The values of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// Rows of a table: all, or those of a set.
    Rows(AnyView<'a>, Option<&'a RowSet>),
    /// The numbers of the rows of a set.
    Numbers(&'a RowSet),
    /// A JSON array of strings.
    Ids(&'a [String]),
    /// A JSON array of strings and nulls.
    Titles(&'a [Option<String>]),
}

/// Where bytes go: called with each part in turn.
pub(super) type Sink<'s> = dyn FnMut(&[u8]) -> FileResult<()> + 's;

impl Content<'_> {
    pub(super) fn number(&self) -> Number {
        match self {
            Content::Rows(AnyView::F32(_), _) => Number::F32,
            Content::Rows(AnyView::F16(_), _) => Number::F16,
            Content::Rows(AnyView::BF16(_), _) => Number::Bf16,
            Content::Numbers(_) => Number::U32,
            Content::Ids(_) | Content::Titles(_) => Number::U8,
        }
    }

    /// The shape of the tensor. A text has to be gone through for that.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Content::Rows(view, only) => vec![only.map_or(view.shape()[0], RowSet::count), view.shape()[1]],
            Content::Numbers(set) => vec![set.count()],
            Content::Ids(_) | Content::Titles(_) => {
                let mut counter = Counter(0);
                // A counter refuses nothing, and strings are always JSON.
                let _ = self.text(&mut counter);
                vec![counter.0]
            }
        }
    }

    /// What it can be cut between: rows of the table, or bytes that are one piece.
    pub(super) fn units(&self) -> Units {
        match self {
            Content::Rows(view, only) => {
                let [rows, dim] = view.shape();
                Units { all: only.map_or(rows, RowSet::rows), bytes: dim * view.dtype().size(), whole: false }
            }
            Content::Numbers(set) => Units { all: set.rows(), bytes: size_of::<u32>(), whole: false },
            Content::Ids(_) | Content::Titles(_) => Units { all: 1, bytes: 0, whole: true },
        }
    }

    /// How many rows of the tensor come from these units; of a text, its bytes have to be asked for by [`shape`](Content::shape).
    pub(super) fn rows_of(&self, units: Range<usize>) -> usize {
        match self {
            Content::Rows(_, None) => units.len(),
            Content::Rows(_, Some(set)) | Content::Numbers(set) => set.count_within(units),
            Content::Ids(_) | Content::Titles(_) => 0,
        }
    }

    /// Hands the bytes of some units to a sink, packed: straight from the table where its rows lie one after the other, else through
    /// `room`.
    pub(super) fn write(&self, units: Range<usize>, room: &mut Vec<u8>, sink: &mut Sink<'_>) -> FileResult<()> {
        room.clear();
        match self {
            Content::Rows(AnyView::F32(view), only) => write_rows(*view, *only, units, room, sink),
            Content::Rows(AnyView::F16(view), only) => write_rows(*view, *only, units, room, sink),
            Content::Rows(AnyView::BF16(view), only) => write_rows(*view, *only, units, room, sink),
            Content::Numbers(set) => {
                set.within(units).try_for_each(|row| push(room, &row.to_le_bytes(), sink))?;
                flush(room, sink)
            }
            Content::Ids(_) | Content::Titles(_) => {
                let mut writer = Chunked { room, sink, failed: None };
                let written = self.text(&mut writer);
                match (writer.failed.take(), written) {
                    (Some(error), _) => Err(error),
                    (None, _) => flush(room, sink),
                }
            }
        }
    }

    fn text(&self, writer: impl Write) -> serde_json::Result<()> {
        match self {
            Content::Ids(ids) => serde_json::to_writer(writer, ids),
            Content::Titles(titles) => serde_json::to_writer(writer, titles),
            Content::Rows(..) | Content::Numbers(_) => Ok(()),
        }
    }
}

/// How a tensor can be cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    pub(super) all: usize,
    /// The most bytes that one has, where it is a row.
    bytes: usize,
    whole: bool,
}

impl Units {
    /// How many are written in one go. It does not depend on the machine, so that files do not.
    pub(super) fn at_a_time(&self) -> usize {
        if self.whole { 1 } else { (CHUNK_BYTES / self.bytes.max(1)).max(1) }
    }

    /// Whether the tensor may be spread over several files.
    pub(super) fn can_be_cut(&self) -> bool {
        !self.whole
    }
}

fn write_rows<E: Element>(
    view: TableView<'_, E>,
    only: Option<&RowSet>,
    units: Range<usize>,
    room: &mut Vec<u8>,
    sink: &mut Sink<'_>,
) -> FileResult<()> {
    let mut put = |row: usize, room: &mut Vec<u8>| match view.row(row) {
        Some(values) => push(room, &to_bytes(E::erase(values)), sink),
        None => Ok(()),
    };
    match only {
        Some(set) => set.within(units).try_for_each(|row| put(row as usize, room))?,
        None => {
            if let Some(values) = view.dense(units.clone()) {
                return sink(&to_bytes(E::erase(values)));
            }
            units.into_iter().try_for_each(|row| put(row, room))?;
        }
    }
    flush(room, sink)
}

/// Appends bytes, and hands on what there is when it has become a chunk.
fn push(room: &mut Vec<u8>, bytes: &[u8], sink: &mut Sink<'_>) -> FileResult<()> {
    if room.len() + bytes.len() > CHUNK_BYTES {
        flush(room, sink)?;
    }
    if bytes.len() >= CHUNK_BYTES {
        return sink(bytes);
    }
    room.extend_from_slice(bytes);
    Ok(())
}

fn flush(room: &mut Vec<u8>, sink: &mut Sink<'_>) -> FileResult<()> {
    if !room.is_empty() {
        sink(room)?;
        room.clear();
    }
    Ok(())
}

/// Counts bytes.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands bytes on in chunks, and keeps the sink's error.
struct Chunked<'w, 's> {
    room: &'w mut Vec<u8>,
    sink: &'w mut Sink<'s>,
    failed: Option<FileError>,
}

impl Write for Chunked<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match push(self.room, bytes, self.sink) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Memory for one chunk.
pub(super) fn room() -> crate::Result<Vec<u8>> {
    let mut room = Vec::new();
    room.try_reserve_exact(CHUNK_BYTES).map_err(|_| crate::Error::OutOfMemory { bytes: CHUNK_BYTES })?;
    Ok(room)
}

/// The checksum of a text as it is stored, and its length.
pub(super) fn fingerprint(content: &Content<'_>) -> FileResult<(u32, u64)> {
    let (mut hasher, mut bytes) = (crc32fast::Hasher::new(), 0);
    let mut room = room().map_err(|error| FileError::engine("checkpoint", error))?;
    content.write(0..1, &mut room, &mut |part| {
        hasher.update(part);
        bytes += part.len() as u64;
        Ok(())
    })?;
    Ok((hasher.finalize(), bytes))
}
