//! Gradients that are not numbers.

use crate::error::{Error, Result};

/// An error for the first row, and the first column of it, whose gradient is NaN or infinite. `rows` ascend, and `values` are their
/// gradients, `[rows.len(), dim]`.
pub(crate) fn refuse_non_finite(rows: &[u32], values: &[f32], dim: usize) -> Result<()> {
    let Some(at) = values.iter().position(|x| !x.is_finite()) else { return Ok(()) };
    Err(Error::NonFiniteGradient { row: rows[at / dim] as usize, column: at % dim, value: values[at].to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_is_named() {
        assert_eq!(refuse_non_finite(&[3, 8], &[1.0, f32::MAX, -0.0, 1e-40], 2), Ok(()));
        assert_eq!(refuse_non_finite(&[], &[], 0), Ok(()));
        let error = refuse_non_finite(&[3, 8], &[1.0, 2.0, 3.0, f32::NEG_INFINITY], 2).unwrap_err();
        assert_eq!(error, Error::NonFiniteGradient { row: 8, column: 1, value: "-inf".to_owned() });
        assert_eq!(error.to_string(), "the gradient of row 8 is -inf at column 1: the step was refused");
    }
}
