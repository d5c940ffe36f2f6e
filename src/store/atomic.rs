//! A file that appears whole or not at all.

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::error::{FileError, FileResult};
use super::storage::{Disk, NewFile, Storage};

/// What the sequential writer gathers before it writes.
const BUFFER_BYTES: usize = 256 << 10;

/// A file being written: under a temporary name in its folder, until [`commit`](Target::commit) puts it on the disk and gives it its
/// name. Dropped before that, it is removed, and a file that had the name is as it was. Whoever has that older file open, or mapped into
/// memory, keeps it whatever happens.
///
/// Text goes through [`io::Write`], which is buffered; [`write_at`](Target::write_at) writes at any place, from several threads.
///
/// ```
/// use std::io::Write;
/// use hotrow::store::Target;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("words.txt");
/// let mut target = Target::create(&path)?;
/// target.write_all(b"cat\ndog\n")?;
/// assert!(!path.exists());
/// target.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"cat\ndog\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Target {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once there is nothing to remove any more.
    file: Option<Box<dyn NewFile>>,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    at: u64,
    /// The first write that failed: such a file never takes its name.
    failed: OnceLock<FileError>,
}

impl Target {
    /// Begins a file of the system's file system. A link is followed: the file that it points to is replaced, not the link.
    ///
    /// # Errors
    /// [`FileError::Io`] when no file can be made in that folder; [`FileError::Unsupported`] when the path is there and is no file,
    /// such as a folder, a pipe or a device.
    pub fn create(path: &Path) -> FileResult<Target> {
        let mut real = path.to_owned();
        if let Ok(there) = fs::metadata(path) {
            if !there.is_file() {
                let problem = "it is there already and is no file, so no file can take its place";
                return Err(FileError::unsupported(path.display().to_string(), problem));
            }
            real = fs::canonicalize(path).map_err(|error| FileError::io(path, "find the file", &error))?;
        }
        Target::begin(Arc::new(Disk), path.to_owned(), &real)
    }

    /// [`create`](Target::create) elsewhere than in the system's file system.
    ///
    /// # Errors
    /// As [`create`](Target::create).
    pub fn create_in(storage: Arc<dyn Storage>, path: &Path) -> FileResult<Target> {
        Target::begin(storage, path.to_owned(), path)
    }

    fn begin(storage: Arc<dyn Storage>, named: PathBuf, path: &Path) -> FileResult<Target> {
        const ATTEMPTS: usize = 100;
        if path.file_name().is_none() {
            return Err(FileError::unsupported(named.display().to_string(), "this is no name for a file"));
        }
        let mut attempt = 0;
        let (temporary, file) = loop {
            let temporary = path.with_file_name(temporary_name());
            match storage.create(&temporary) {
                Ok(file) => break (temporary, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(FileError::io(&named, "create the file", &error)),
            }
        };
        let path = path.to_owned();
        Ok(Target { storage, path, temporary, file: Some(file), buffer: Vec::new(), at: 0, failed: OnceLock::new() })
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes were written through [`io::Write`]: the next one goes here.
    pub fn position(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// Writes at a place, whatever [`io::Write`] is at, and unbuffered. Parts that are never written are zeros.
    ///
    /// # Errors
    /// [`FileError::Io`]. The file cannot be committed then.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> FileResult<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write_at(offset, bytes).map_err(|error| self.failure(&error))
    }

    /// What a failed write of [`io::Write`] means.
    pub(crate) fn failure(&self, error: &io::Error) -> FileError {
        self.failed.get_or_init(|| FileError::io(&self.path, "write the file", error)).clone()
    }

    /// [`io::Write::write_all`] with an error that names the file.
    ///
    /// # Errors
    /// As [`write_at`](Target::write_at).
    pub fn put(&mut self, bytes: &[u8]) -> FileResult<()> {
        self.write_all(bytes).map_err(|error| self.failure(&error))
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if let Err(error) = file.write_at(self.at, &self.buffer) {
            self.failure(&error);
            return Err(error);
        }
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Brings what is written so far onto the disk, under the temporary name. [`commit`](Target::commit) does so too; where several files
    /// have to appear together, all are brought onto the disk before the first gets its name.
    ///
    /// # Errors
    /// As [`write_at`](Target::write_at).
    pub fn sync(&mut self) -> FileResult<()> {
        self.flush_buffer().map_err(|error| self.failure(&error))?;
        match &self.file {
            Some(file) => file.sync().map_err(|error| self.failure(&error)),
            None => Ok(()),
        }
    }

    /// Brings the file onto the disk, gives it its name, and brings that onto the disk.
    ///
    /// # Errors
    /// [`FileError::Io`], that of an earlier write included: a file that was there before is as it was. Only when the very last step
    /// fails, the folder's, the new file has its name already, and it is the system's choice which of them a power failure leaves.
    pub fn commit(mut self) -> FileResult<()> {
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        self.flush_buffer().map_err(|error| self.failure(&error))?;
        let fail = |action| move |error: io::Error| (action, error);
        let outcome = (|| {
            if let Some(file) = &self.file {
                file.sync().map_err(fail("bring the file onto the disk"))?;
            }
            self.storage.rename(&self.temporary, &self.path).map_err(fail("give the file its name"))?;
            self.file = None;
            self.storage.sync_folder(folder_of(&self.path)).map_err(fail("bring the name of the file onto the disk"))
        })();
        outcome.map_err(|(action, error)| FileError::io(&self.path, action, &error))
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush_buffer()?;
        }
        if bytes.len() < BUFFER_BYTES {
            if self.buffer.capacity() == 0 {
                self.buffer.try_reserve_exact(BUFFER_BYTES).map_err(|_| io::ErrorKind::OutOfMemory)?;
            }
            self.buffer.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        if let Some(file) = &self.file {
            file.write_at(self.at, bytes).inspect_err(|error| drop(self.failure(error)))?;
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer()
    }
}

impl Drop for Target {
    /// Whatever hinders the removal also hinders telling anybody: the file is left under its temporary name.
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = self.storage.remove(&self.temporary);
        }
    }
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A name that nobody has, as far as chance goes. The hasher's keys are the system's random numbers.
fn temporary_name() -> String {
    format!(".hotrow-{:016x}.tmp", RandomState::new().build_hasher().finish())
}

/// Whether this is the name of a file that was never finished.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(".hotrow-") && name.ends_with(".tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = Disk.list(folder).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_takes_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let old = fs::File::open(&path).unwrap();
        let mut target = Target::create(&path).unwrap();
        for part in [1, BUFFER_BYTES - 2, 1, 2, BUFFER_BYTES, BUFFER_BYTES + 1, 3] {
            target.write_all(&vec![b'x'; part]).unwrap();
        }
        let len = target.position();
        target.write_at(5, b"y").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let temporary = names(folder.path()).remove(0);
        assert!(is_temporary(OsStr::new(&temporary)), "{temporary}");
        target.commit().unwrap();
        assert_eq!(names(folder.path()), ["a"]);
        let bytes = fs::read(&path).unwrap();
        assert_eq!((bytes.len() as u64, io::read_to_string(old).unwrap().as_str()), (len, "old"));
        // The buffer was on its way already, so the later write stays.
        assert!(bytes.iter().enumerate().all(|(at, &byte)| byte == if at == 5 { b'y' } else { b'x' }));
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut target = Target::create(&folder.path().join("a")).unwrap();
        target.put(b"half").unwrap();
        drop(target);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn errors_name_the_file_and_the_step() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| Target::create(path).unwrap_err().to_string();
        let missing = folder.path().join("no/a");
        assert!(message(&missing).starts_with(&format!("{}: cannot create the file: ", missing.display())));
        assert!(message(folder.path()).ends_with("it is there already and is no file, so no file can take its place"));
        assert!(message(Path::new("")).ends_with("this is no name for a file"));
    }

    #[test]
    fn a_write_that_failed_is_never_committed() {
        #[derive(Debug)]
        struct Full(Box<dyn NewFile>);
        impl NewFile for Full {
            fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
                if offset == 7 { Err(io::ErrorKind::StorageFull.into()) } else { self.0.write_at(offset, bytes) }
            }
            fn sync(&self) -> io::Result<()> {
                self.0.sync()
            }
        }
        #[derive(Debug)]
        struct FullDisk;
        impl Storage for FullDisk {
            fn create_folder(&self, folder: &Path) -> io::Result<()> {
                Disk.create_folder(folder)
            }
            fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
                Ok(Box::new(Full(Disk.create(path)?)))
            }
            fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
                Disk.rename(from, to)
            }
            fn sync_folder(&self, folder: &Path) -> io::Result<()> {
                Disk.sync_folder(folder)
            }
            fn remove(&self, path: &Path) -> io::Result<()> {
                Disk.remove(path)
            }
            fn list(&self, folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
                Disk.list(folder)
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let target = Target::create_in(Arc::new(FullDisk), &folder.path().join("a")).unwrap();
        target.write_at(0, b"fine").unwrap();
        let error = target.write_at(7, b"full").unwrap_err();
        assert!(error.to_string().contains("a: cannot write the file: "), "{error}");
        assert_eq!(target.commit().unwrap_err(), error);
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut target = Target::create(&link).unwrap();
        target.put(b"new").unwrap();
        target.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        let error = Target::create(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(error, FileError::Unsupported { .. }), "{error}");
    }
}
