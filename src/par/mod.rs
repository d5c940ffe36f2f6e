//! Threads: how many, and what each of them is given.
//!
//! An operation is cut into tasks whose results do not depend on who runs them. The workers take the next task from a
//! counter, so that a worker that another process slows down holds nobody up. No kernel knows about threads.

mod disjoint;
mod partition;
mod scratch;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use disjoint::{AnyGrid, AnyTile, Grid, TileMut, cells, chunks, chunks_mut, ranges, tiles};
pub(crate) use partition::{Tile, Tiles, blocks};
pub(crate) use scratch::Scratch;

/// How many threads an operation may use. Results never depend on it.
///
/// Threads come from the rayon pool in which the call is made: the global one, or the one whose `install` runs the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parallelism {
    /// As many as the pool has.
    #[default]
    Auto,
    /// The calling thread alone.
    Serial,
    /// At most so many. A pool with fewer threads runs the same tasks on those.
    Threads(NonZeroUsize),
}

impl Parallelism {
    /// `n` threads: 0 means [`Auto`](Parallelism::Auto), 1 [`Serial`](Parallelism::Serial).
    ///
    /// ```
    /// use hotrow::Parallelism;
    ///
    /// assert_eq!(Parallelism::threads(1), Parallelism::Serial);
    /// assert_eq!(Parallelism::threads(8).degree(), 8);
    /// ```
    pub fn threads(n: usize) -> Parallelism {
        match NonZeroUsize::new(n) {
            None => Parallelism::Auto,
            Some(NonZeroUsize::MIN) => Parallelism::Serial,
            Some(n) => Parallelism::Threads(n),
        }
    }

    /// The number of threads that a call made here and now may use.
    pub fn degree(self) -> usize {
        match self {
            Parallelism::Auto => rayon::current_num_threads(),
            Parallelism::Serial => 1,
            Parallelism::Threads(n) => n.get(),
        }
    }

    /// The workers for a task that moves so many bytes. Waking rayon's workers costs about 6 µs, in which one thread
    /// moves some 64 KiB: less than four times that stays on the caller's thread.
    pub(crate) fn workers_for(self, bytes: usize) -> usize {
        if bytes < 256 * 1024 { 1 } else { self.degree() }
    }
}

/// Calls `task` with every index below `tasks`, each once, on at most `workers` threads.
pub(crate) fn run(workers: usize, tasks: usize, task: &(impl Fn(usize) + Sync)) {
    if workers <= 1 || tasks <= 1 {
        for index in 0..tasks {
            task(index);
        }
        return;
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= tasks {
                break;
            }
            task(index);
        }
    };
    spread(workers.min(tasks), &worker);
}

/// As [`run`], on as many workers as there are in `own`: each has one of these for itself, and takes tasks in ascending order.
pub(crate) fn run_with<T: Send>(own: &mut [T], tasks: usize, task: &(impl Fn(&mut T, usize) + Sync)) {
    let next = AtomicUsize::new(0);
    chunks_mut(own.len(), own, 1, &|_, own| {
        for own in own {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= tasks {
                    break;
                }
                task(own, index);
            }
        }
    });
}

fn spread(workers: usize, worker: &(impl Fn() + Sync)) {
    if workers == 1 {
        return worker();
    }
    rayon::join(|| spread(workers / 2, worker), || spread(workers - workers / 2, worker));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_on_any_number_of_workers() {
        for workers in [1, 2, 3, 8, 33] {
            for tasks in [0, 1, 2, 7, 100] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                run(workers, tasks, &|index| {
                    counts[index].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{workers} workers, {tasks} tasks");
                let mut own = vec![Vec::new(); workers];
                run_with(&mut own, tasks, &|own, index| own.push(index));
                assert!(own.iter().all(|own| own.is_sorted()), "{own:?}");
                let mut all = own.concat();
                all.sort_unstable();
                assert!(all.iter().copied().eq(0..tasks), "{workers} workers, {tasks} tasks: {all:?}");
            }
        }
    }
}
