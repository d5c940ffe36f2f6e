//! Where the engine's work is done: in the calling thread, or in the package's own threads.
//!
//! The threads are made when they are first needed. A forked process has none of its parent's, so the package forgets them there (`after_fork`)
//! and makes new ones.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, TryLockError};

use arc_swap::ArcSwapOption;
use hotrow::{Level, Parallelism, Workspace};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Failure, Result};

/// Less work than this is done without letting go of the interpreter: that, and taking it again, costs more.
const ATTACHED_BYTES: usize = 64 * 1024;
/// Less work than this is done by the calling thread: waking others costs more. The engine draws the same line.
const SERIAL_BYTES: usize = 256 * 1024;

/// More threads than any machine has processors are a mistake, and the system would run out of them.
const MOST_THREADS: usize = 1024;

static POOL: ArcSwapOption<ThreadPool> = ArcSwapOption::const_empty();
/// How many threads were asked for; 0 as long as nobody did.
static ASKED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What the engine reuses from call to call, for work in the calling thread and for work in the pool.
    static SERIAL: RefCell<Workspace> = RefCell::new(Workspace::new().with_parallelism(Parallelism::Serial));
    static PARALLEL: RefCell<Workspace> = RefCell::new(Workspace::new());
}

/// The lock under which something is done.
#[derive(Clone, Copy)]
pub(crate) enum Access<'a> {
    /// None: memory that is not ours.
    Free,
    /// Shared with others who read.
    Read(&'a RwLock<()>),
    /// The same of several, each of which is there once.
    ReadAll(&'a [&'a RwLock<()>]),
    /// For oneself.
    Write(&'a RwLock<()>),
}

impl Access<'_> {
    /// Does `work` under the lock.
    pub(crate) fn hold<T>(self, work: impl FnOnce() -> T) -> T {
        match self {
            Access::Free => work(),
            Access::Read(lock) => {
                let _held = lock.read().unwrap_or_else(PoisonError::into_inner);
                work()
            }
            Access::ReadAll(locks) => {
                let _held: Vec<_> = locks.iter().map(|lock| lock.read().unwrap_or_else(PoisonError::into_inner)).collect();
                work()
            }
            Access::Write(lock) => {
                let _held = lock.write().unwrap_or_else(PoisonError::into_inner);
                work()
            }
        }
    }

    /// Whether the lock could be had at once.
    pub(crate) fn is_free(self) -> bool {
        match self {
            Access::Free => true,
            Access::Read(lock) => !matches!(lock.try_read(), Err(TryLockError::WouldBlock)),
            Access::ReadAll(_) => false,
            Access::Write(lock) => !matches!(lock.try_write(), Err(TryLockError::WouldBlock)),
        }
    }
}

/// Runs `work`, which moves so many bytes, where it is done fastest. Python runs meanwhile, unless the work is small.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    bytes: usize,
    access: Access<'_>,
    work: impl FnOnce(&mut Workspace) -> Result<T> + Send,
) -> Result<T> {
    run_locked(py, bytes, access.is_free(), |place| access.hold(|| place.run(work)))
}

/// [`run`] for work under locks of its own: `body` takes them, and then does its work in the place that it is given. It must not take them inside: a
/// thread of the pool that waits for a lock may be the one whose other work has it. `free` says that the locks could be had at once.
pub(crate) fn run_locked<T: Send>(
    py: Python<'_>,
    bytes: usize,
    free: bool,
    body: impl FnOnce(Place) -> Result<T> + Send,
) -> Result<T> {
    if bytes <= ATTACHED_BYTES && free {
        // Who holds the lock never waits for the interpreter, so it may be waited for here.
        return body(Place(None));
    }
    py.detach(|| {
        if bytes < SERIAL_BYTES {
            return body(Place(None));
        }
        let pool = pool()?;
        body(Place((pool.current_num_threads() > 1).then_some(pool)))
    })
}

/// [`run`] for work in which the engine allocates large memory: it writes that by all threads of the pool that it is called in, and outside of any pool
/// by rayon's own, which nobody asked for and which a forked process does not have.
pub(crate) fn allocate<T: Send>(py: Python<'_>, bytes: usize, work: impl FnOnce(&mut Workspace) -> Result<T> + Send) -> Result<T> {
    allocate_locked(py, bytes, true, |place| place.run(work))
}

/// [`allocate`] under a lock, or several.
pub(crate) fn allocate_under<T: Send>(
    py: Python<'_>,
    bytes: usize,
    access: Access<'_>,
    work: impl FnOnce(&mut Workspace) -> Result<T> + Send,
) -> Result<T> {
    // Rows may be padded, so a table is a little larger than its values.
    let bytes = bytes.saturating_add(bytes / 16);
    allocate_locked(py, bytes, access.is_free(), |place| access.hold(|| place.run(work)))
}

/// [`allocate`] under locks, as [`run_locked`].
pub(crate) fn allocate_locked<T: Send>(
    py: Python<'_>,
    bytes: usize,
    free: bool,
    body: impl FnOnce(Place) -> Result<T> + Send,
) -> Result<T> {
    if bytes <= ATTACHED_BYTES && free {
        return body(Place(None));
    }
    py.detach(|| body(Place(if bytes < SERIAL_BYTES { None } else { Some(pool()?) })))
}

/// Where work is done: in the calling thread, or in a pool.
pub(crate) struct Place(Option<Arc<ThreadPool>>);

impl Place {
    pub(crate) fn run<T: Send>(self, work: impl FnOnce(&mut Workspace) -> Result<T> + Send) -> Result<T> {
        match self.0 {
            None => serial(work),
            Some(pool) => PARALLEL.with_borrow_mut(|workspace| pool.install(|| work(workspace))),
        }
    }
}

fn serial<T>(work: impl FnOnce(&mut Workspace) -> Result<T>) -> Result<T> {
    SERIAL.with_borrow_mut(work)
}

/// The package's threads.
fn pool() -> Result<Arc<ThreadPool>> {
    if let Some(pool) = &*POOL.load() {
        return Ok(Arc::clone(pool));
    }
    let threads = ASKED.load(Ordering::Relaxed);
    let made = ThreadPoolBuilder::new().num_threads(threads).thread_name(|k| format!("hotrow-{k}")).build();
    let made = Arc::new(made.map_err(|error| Failure::Value(format!("the threads cannot be started: {error}")))?);
    // Another thread may have been faster; its pool is used then, and this one ends.
    let before = POOL.compare_and_swap(&None::<Arc<ThreadPool>>, Some(Arc::clone(&made)));
    Ok(before.as_ref().map_or(made, Arc::clone))
}

/// How many threads large calls use.
#[pyfunction]
pub(crate) fn get_num_threads() -> Result<usize> {
    Ok(pool()?.current_num_threads())
}

/// Makes large calls use `threads` threads; 0 means one for each processor.
#[pyfunction]
pub(crate) fn set_num_threads(threads: usize) -> Result<()> {
    if threads > MOST_THREADS {
        return Err(Failure::Value(format!("{threads} threads are too many: at most {MOST_THREADS} are started")));
    }
    ASKED.store(threads, Ordering::Relaxed);
    // Calls that are under way keep the old threads until they end.
    POOL.store(None);
    Ok(())
}

/// Forgets the parent's threads: they are not in this process.
#[pyfunction]
pub(crate) fn after_fork() {
    // Never dropped: that would wait for threads that do not exist.
    std::mem::forget(POOL.swap(None));
}

/// The instruction set that the engine uses: "portable", "avx2" or "avx512".
#[pyfunction]
pub(crate) fn level() -> String {
    Level::best().to_string()
}
