//! How long something takes: what is repeated, how often, and what is quoted.

use std::time::{Duration, Instant};

/// A repetition lasts at least this long: short calls are timed many at once, so that the clock's resolution (some tens of
/// nanoseconds) and the cost of reading it do not count.
const MIN_REPETITION: Duration = Duration::from_micros(200);

/// How long calls are made before any is counted, unless the repetitions themselves take less.
const WARM_UP: Duration = Duration::from_millis(50);

/// When to stop repeating: not before both are reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// The time that the repetitions take together.
    pub seconds: f64,
    /// The number of repetitions.
    pub repetitions: usize,
}

/// Repeated timings of one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// Seconds a call, one number a repetition.
    pub seconds: Vec<f64>,
    /// How many calls one repetition made.
    pub calls_per_repetition: usize,
}

impl Timings {
    /// Times calls until the policy is met, and adds to what was timed before.
    ///
    /// `run` makes as many calls as it is told and returns the time that they took together. The first use warms up and
    /// decides how many calls make a repetition; a later use warms up with one repetition, because something else may have
    /// run in between.
    ///
    /// # Errors
    ///
    /// The first error of `run`.
    pub fn repeat<E>(&mut self, policy: Policy, mut run: impl FnMut(usize) -> Result<Duration, E>) -> Result<(), E> {
        if self.calls_per_repetition == 0 {
            self.calls_per_repetition = warm_up(policy, &mut run)?;
        } else {
            run(self.calls_per_repetition)?;
        }
        let calls = self.calls_per_repetition;
        let mut total = 0.0;
        let mut repetitions = 0;
        while repetitions < policy.repetitions || total < policy.seconds {
            let seconds = run(calls)?.as_secs_f64();
            self.seconds.push(seconds / calls as f64);
            total += seconds;
            repetitions += 1;
        }
        Ok(())
    }

    /// The median, which a few disturbed repetitions do not move.
    pub fn median(&self) -> f64 {
        median(&self.seconds)
    }

    /// The fastest repetition.
    pub fn min(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The slowest repetition.
    pub fn max(&self) -> f64 {
        self.seconds.iter().copied().fold(0.0, f64::max)
    }
}

/// The middle value; of an even number of values, the mean of the two in the middle; NaN where there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// Makes calls until the warm-up time is over; returns how many of them make a repetition.
fn warm_up<E>(policy: Policy, run: &mut impl FnMut(usize) -> Result<Duration, E>) -> Result<usize, E> {
    let start = Instant::now();
    let mut calls = 1;
    loop {
        let elapsed = run(calls)?;
        if elapsed < MIN_REPETITION {
            calls *= 2;
        } else if start.elapsed().as_secs_f64() >= WARM_UP.as_secs_f64().min(policy.seconds) {
            return Ok(calls);
        }
    }
}

/// The time that `calls` calls of `call` take together.
///
/// # Errors
///
/// The first error of a call.
pub fn time<E>(calls: usize, mut call: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let start = Instant::now();
    for _ in 0..calls {
        call()?;
    }
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
        assert!(median(&[]).is_nan());
    }

    /// A clock that a test turns: every call takes `call`.
    fn fake(call: Duration, calls_made: &mut usize) -> impl FnMut(usize) -> Result<Duration, ()> {
        move |calls| {
            *calls_made += calls;
            Ok(call * calls as u32)
        }
    }

    const POLICY: Policy = Policy { seconds: 0.001, repetitions: 9 };

    #[test]
    fn long_calls_are_timed_one_by_one() {
        let (mut timings, mut made) = (Timings::default(), 0);
        timings.repeat(POLICY, fake(Duration::from_millis(30), &mut made)).expect("no error");
        assert_eq!((timings.calls_per_repetition, timings.seconds.len()), (1, 9));
        assert!(made > 9, "a warm-up must come first");
        assert_eq!((timings.min(), timings.median(), timings.max()), (0.03, 0.03, 0.03));
    }

    #[test]
    fn short_calls_are_timed_many_at_once_and_quoted_one_by_one() {
        let (mut timings, mut made) = (Timings::default(), 0);
        timings.repeat(POLICY, fake(Duration::from_nanos(100), &mut made)).expect("no error");
        assert_eq!(timings.calls_per_repetition, 2048, "the power of two that takes 200 microseconds");
        assert!((timings.median() - 100e-9).abs() < 1e-15);
    }

    #[test]
    fn repetitions_go_on_until_time_and_count_are_reached() {
        let (mut timings, mut made) = (Timings::default(), 0);
        let policy = Policy { seconds: 0.02, repetitions: 3 };
        timings.repeat(policy, fake(Duration::from_millis(1), &mut made)).expect("no error");
        assert_eq!(timings.seconds.len(), 20);
        timings.repeat(policy, fake(Duration::from_millis(40), &mut made)).expect("no error");
        assert_eq!(timings.seconds.len(), 23, "a second round adds to the first");
        assert_eq!(timings.max(), 0.04);
    }

    #[test]
    fn errors_end_the_timing() {
        let mut timings = Timings::default();
        assert_eq!(timings.repeat(POLICY, |_| Err("broken")), Err("broken"));
        assert_eq!(time(3, || Err("broken")), Err("broken"));
    }

    #[test]
    fn time_counts_calls() {
        let mut calls = 0;
        let counted = time::<()>(5, || {
            calls += 1;
            Ok(())
        });
        assert!(counted.is_ok() && calls == 5);
    }
}
