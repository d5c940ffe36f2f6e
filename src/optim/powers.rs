//! Powers whose bits are the same on every machine.

/// `base^exponent` by repeated squaring. The standard library's `powi` may round otherwise from one platform to the next.
pub(super) fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut square, mut product) = (base, 1.0);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    product
}

/// `1 - beta^step`: what an average that started at zero has to be divided by.
pub(super) fn bias_correction(beta: impl Into<f64>, step: u64) -> f64 {
    1.0 - power(beta.into(), step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_small_and_large_exponents() {
        assert_eq!(power(0.9, 0), 1.0);
        assert_eq!(power(0.0, 0), 1.0);
        assert_eq!(power(3.0, 13), 1_594_323.0);
        assert_eq!(power(0.5, 1074), f64::from_bits(1));
        assert_eq!(power(0.999, u64::MAX), 0.0);
        let mut product = 1.0;
        for exponent in 0..3000 {
            assert!((power(0.999, exponent) - product).abs() < 1e-12, "0.999^{exponent}");
            product *= 0.999;
        }
    }
}
