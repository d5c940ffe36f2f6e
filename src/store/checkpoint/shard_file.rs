//! A shard on its way to the disk: its tensors are laid out first, and their checksums are put into its header when all are written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::manifest::{Crc, FileRecord};
use crate::store::atomic::Target;
use crate::store::error::{FileError, FileResult};
use crate::store::safetensors::{Layout, NewTensor, lay_out};
use crate::store::storage::Storage;

/// A file of tensors that has no name yet.
#[derive(Debug)]
pub(super) struct ShardFile {
    target: Target,
    described: Vec<NewTensor>,
    layout: Layout,
}

impl ShardFile {
    /// Begins a file of tensors whose checksums are not known yet.
    pub(super) fn create(storage: &Arc<dyn Storage>, path: &Path, described: Vec<NewTensor>) -> FileResult<ShardFile> {
        let layout = laid_out(path, &described)?;
        Ok(ShardFile { target: Target::create_in(Arc::clone(storage), path)?, described, layout })
    }

    /// Where a tensor begins.
    pub(super) fn offset(&self, tensor: usize) -> u64 {
        self.layout.tensors[tensor].offset
    }

    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> FileResult<()> {
        self.target.write_at(offset, bytes)
    }

    /// The file's path, for errors.
    pub(super) fn path(&self) -> String {
        self.target.path().display().to_string()
    }

    /// Writes the header with these checksums, and gives the file its name, which the record lacks.
    pub(super) fn commit(mut self, crcs: &[u32]) -> FileResult<FileRecord> {
        let tensors = self.layout.tensors.iter().map(|tensor| tensor.offset + tensor.bytes);
        let end = tensors.max().unwrap_or(0).max(self.layout.head.len() as u64);
        for (tensor, &crc) in self.described.iter_mut().zip(crcs) {
            tensor.crc32 = Some(crc);
        }
        // The header names the checksums, which have a fixed length, so it is as long as the one before.
        let layout = laid_out(self.target.path(), &self.described)?;
        self.target.write_at(0, &layout.head)?;
        if end < layout.bytes {
            // Padding in front of an empty tensor ends the file, and what is never written does not lengthen it.
            self.target.write_at(layout.bytes - 1, &[0])?;
        }
        self.target.commit()?;
        Ok(FileRecord { name: String::new(), bytes: layout.bytes, header_crc32: Crc(crc32fast::hash(&layout.head)) })
    }
}

fn laid_out(path: &Path, described: &[NewTensor]) -> FileResult<Layout> {
    lay_out(described, &BTreeMap::new(), 0).map_err(|problem| FileError::unsupported(path.display().to_string(), problem))
}
