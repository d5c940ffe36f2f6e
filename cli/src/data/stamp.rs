//! Times of interactions.

use std::cmp::Ordering;

/// A point in time, in whatever unit the file uses. Whole numbers are kept exactly (nanoseconds since 1970 do not fit the
/// 53 bits of an `f64`), and a fraction is kept beside the whole part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stamp {
    whole: i64,
    fraction: f64,
}

impl Stamp {
    /// Reads a whole or decimal number; `None` for anything else, infinities and numbers beyond 64 bits.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse::<i64>() {
            return Some(Stamp { whole, fraction: 0.0 });
        }
        let value = text.parse::<f64>().ok()?;
        let floor = value.floor();
        // 2^63 is exact in f64; the comparison is also false for NaN.
        let inside = (-(2f64.powi(63))..2f64.powi(63)).contains(&floor);
        inside.then_some(Stamp { whole: floor as i64, fraction: value - floor })
    }
}

impl From<i64> for Stamp {
    fn from(whole: i64) -> Self {
        Stamp { whole, fraction: 0.0 }
    }
}

impl Eq for Stamp {}

impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> Ordering {
        // `fraction` is in 0..=1 and never negative zero, so this order agrees with `==`.
        self.whole.cmp(&other.whole).then(self.fraction.total_cmp(&other.fraction))
    }
}

impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::Stamp;

    #[test]
    fn times_are_ordered_exactly() {
        let order = ["-2.5", "-2", "-0.0", "0.25", "1e3", "1000.5", "1700000000000000000", "1700000000000000001"];
        let stamps: Vec<_> = order.map(|text| Stamp::parse(text).unwrap()).into();
        assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
        assert_eq!(Stamp::parse("-0.0"), Stamp::parse("0"));
        assert_eq!(Stamp::parse("1e3"), Some(Stamp::from(1000)));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "x", "nan", "inf", "-inf", "1e19", "9223372036854775808", "1 2"] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }
}
