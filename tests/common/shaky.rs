//! A storage that fails or stops at any operation, and forgets what a power failure would.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hotrow::store::{Disk, NewFile, Storage};

use super::Random;

/// What happens at the operation that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It is refused, and those after it are not.
    Fails,
    /// A write does half of its work and is refused; another operation is refused.
    Halves,
    /// Nothing is done from here on: the program or the machine has ended.
    Stops,
}

/// What is left after a crash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Crash {
    /// All that was done: the program was killed.
    OfTheProgram,
    /// Only what was brought onto the disk.
    Forgets,
    /// All names, and zeros where contents were not brought onto the disk.
    Zeros,
    /// Of each name and of each file what chance has it.
    Random(u64),
}

/// The contents of a file, and those of them that are on the disk.
#[derive(Clone, Debug, Default)]
struct Contents {
    all: Vec<u8>,
    synced: Vec<u8>,
}

type File = Arc<Mutex<Contents>>;

#[derive(Debug)]
struct State {
    done: usize,
    /// The operation that goes wrong, and how.
    fault: Option<(usize, Fault)>,
    stopped: bool,
    names: BTreeMap<OsString, File>,
    /// The names that are on the disk.
    synced: BTreeMap<OsString, File>,
}

/// The files of one folder, on the real disk, with a memory of what was synchronized.
#[derive(Clone, Debug)]
pub struct Shaky {
    folder: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Shaky {
    /// Over a folder as it is.
    pub fn new(folder: &Path) -> Shaky {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.unwrap();
            let all = fs::read(entry.path()).unwrap();
            names.insert(entry.file_name(), Arc::new(Mutex::new(Contents { synced: all.clone(), all })));
        }
        let state = State { done: 0, fault: None, stopped: false, synced: names.clone(), names };
        Shaky { folder: folder.to_owned(), state: Arc::new(Mutex::new(state)) }
    }

    /// From now on, the `n`-th operation goes wrong.
    pub fn arm(&self, n: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        (state.done, state.fault) = (0, Some((n, fault)));
    }

    /// Whether the operation came that was to go wrong. Nothing goes wrong from now on.
    pub fn disarm(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.stopped = false;
        state.fault.take().is_some_and(|(n, _)| state.done > n)
    }

    /// Counts an operation; `Err` when it is to fail, `Ok(true)` when half of it is to be done.
    fn begin(&self) -> io::Result<bool> {
        let mut state = self.state.lock().unwrap();
        let at = state.done;
        state.done += 1;
        match state.fault {
            _ if state.stopped => Err(io::Error::other("the program has ended")),
            Some((n, fault)) if n == at => {
                state.stopped = fault == Fault::Stops;
                if fault == Fault::Halves { Ok(true) } else { Err(io::Error::other("a fault")) }
            }
            _ => Ok(false),
        }
    }

    /// An operation that cannot be done by halves.
    fn whole(&self) -> io::Result<()> {
        if self.begin()? { Err(io::Error::other("a fault")) } else { Ok(()) }
    }

    /// Leaves in the folder what a crash leaves.
    pub fn crash(&self, crash: Crash) {
        let state = self.state.lock().unwrap();
        let mut random = Random(if let Crash::Random(seed) = crash { seed } else { 0 });
        let mut chance = || random.below(2) == 0;
        for entry in fs::read_dir(&self.folder).into_iter().flatten() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let names: BTreeSet<_> = state.names.keys().chain(state.synced.keys()).collect();
        for name in names {
            let now = match crash {
                Crash::OfTheProgram | Crash::Zeros => true,
                Crash::Forgets => false,
                Crash::Random(_) => chance(),
            };
            let names = if now { &state.names } else { &state.synced };
            let Some(file) = names.get(name) else { continue };
            let Contents { all, synced } = file.lock().unwrap().clone();
            let left = match crash {
                Crash::OfTheProgram => all,
                Crash::Forgets => synced,
                _ if all == synced => all,
                Crash::Zeros => vec![0; all.len()],
                Crash::Random(_) if chance() => all[..all.len() / 2].to_vec(),
                Crash::Random(_) => synced,
            };
            fs::write(self.folder.join(name), left).unwrap();
        }
    }
}

fn name(path: &Path) -> OsString {
    path.file_name().unwrap().to_owned()
}

impl Storage for Shaky {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.whole()?;
        Disk.create_folder(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        self.whole()?;
        let disk = Disk.create(path)?;
        let contents = File::default();
        self.state.lock().unwrap().names.insert(name(path), Arc::clone(&contents));
        Ok(Box::new(ShakyFile { shaky: self.clone(), disk, contents }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole()?;
        Disk.rename(from, to)?;
        let mut state = self.state.lock().unwrap();
        let file = state.names.remove(&name(from)).unwrap();
        state.names.insert(name(to), file);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.whole()?;
        if folder == self.folder {
            let mut state = self.state.lock().unwrap();
            state.synced = state.names.clone();
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole()?;
        Disk.remove(path)?;
        self.state.lock().unwrap().names.remove(&name(path));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.whole()?;
        Disk.list(folder)
    }
}

#[derive(Debug)]
struct ShakyFile {
    shaky: Shaky,
    disk: Box<dyn NewFile>,
    contents: File,
}

impl NewFile for ShakyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let half = self.shaky.begin()?;
        let bytes = if half { &bytes[..bytes.len() / 2] } else { bytes };
        self.disk.write_at(offset, bytes)?;
        let mut contents = self.contents.lock().unwrap();
        let end = offset as usize + bytes.len();
        if contents.all.len() < end {
            contents.all.resize(end, 0);
        }
        contents.all[offset as usize..end].copy_from_slice(bytes);
        if half { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        self.shaky.whole()?;
        let mut contents = self.contents.lock().unwrap();
        contents.synced = contents.all.clone();
        Ok(())
    }
}
