//! What hyperparameters may be.

use crate::error::{Error, Result};

fn ensure(holds: bool, name: &'static str, value: impl ToString, expected: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::InvalidHyperparameter { name, value: value.to_string(), expected }) }
}

/// Finite and not below zero.
pub(super) fn not_negative(name: &'static str, value: f32) -> Result<()> {
    ensure(value.is_finite() && value >= 0.0, name, value, "a finite number that is not negative")
}

/// Finite and above zero.
pub(super) fn positive(name: &'static str, value: f32) -> Result<()> {
    ensure(value.is_finite() && value > 0.0, name, value, "a finite number above zero")
}

/// From zero to one, without one: the rate at which an average forgets.
pub(super) fn decay_rate(name: &'static str, value: impl Into<f64> + Copy + ToString) -> Result<()> {
    ensure((0.0..1.0).contains(&value.into()), name, value, "at least 0 and less than 1")
}
