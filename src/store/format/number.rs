//! Numbers as text.

use std::fmt::Write;

/// What is wrong with a word that stands where a number should.
pub(super) fn problem(found: &[u8], overflows: bool) -> String {
    let shown = shown(found);
    if overflows { format!("`{shown}` does not fit into f32") } else { format!("`{shown}` is no number") }
}

/// A piece of a file for an error message: short, and without control characters.
pub(in crate::store) fn shown(found: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(&found[..found.len().min(4 * LONGEST)]);
    let mut shown: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() || found.len() > 4 * LONGEST {
        shown.push('…');
    }
    shown
}

/// A name out of a file for an error message: whole, unless it is absurdly long, and without control characters.
pub(in crate::store) fn harmless(name: &str) -> String {
    const LONGEST: usize = 200;
    name.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A number of a text, as Python's `float` spells them, rounded once to the nearest f32; without underscores.
///
/// # Errors
/// Whether it is a number that does not fit.
pub(super) fn parse(word: &[u8]) -> Result<f32, bool> {
    let number: f32 = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or(false)?;
    // `inf` has no digit; what has one and is infinite was too large.
    if number.is_infinite() && word.iter().any(u8::is_ascii_digit) { Err(true) } else { Ok(number) }
}

/// Appends the shortest decimal that reads back to the same bits; NaN and infinity as NumPy spells them.
pub(super) fn append(text: &mut String, number: f32) {
    if number.is_nan() {
        text.push_str("nan");
    } else {
        // Writing to a string cannot fail.
        let _ = write!(text, "{number}");
    }
}

#[cfg(test)]
mod tests {
    use super::{append, parse, shown};

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (text, number) in [("1", 1.0), ("-1.5e-3", -1.5e-3), ("+.5", 0.5), ("2.", 2.0), ("1E5", 1e5), ("-0", -0.0)] {
            assert_eq!(parse(text.as_bytes()).map(f32::to_bits), Ok(f32::to_bits(number)), "{text}");
        }
        for text in ["nan", "NaN", "-nan"] {
            assert!(parse(text.as_bytes()).unwrap().is_nan(), "{text}");
        }
        for text in ["inf", "Infinity", "-INF"] {
            assert!(parse(text.as_bytes()).unwrap().is_infinite(), "{text}");
        }
        for text in ["", "1_000", "0x10", "1,5", "one", "1.2.3", " 1"] {
            assert_eq!(parse(text.as_bytes()), Err(false), "{text}");
        }
        assert_eq!(parse(b"1e39"), Err(true));
        assert_eq!(parse(b"1e-60"), Ok(0.0));
    }

    #[test]
    fn numbers_are_written_as_short_as_they_read_back() {
        let written = |number| {
            let mut text = String::new();
            append(&mut text, number);
            text
        };
        assert_eq!(
            [0.1, -0.0, 1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(written),
            ["0.1", "-0", "1", "nan", "inf", "-inf"]
        );
        for bits in (0..u32::MAX).step_by(1_000_003) {
            let number = f32::from_bits(bits);
            let again = parse(written(number).as_bytes()).unwrap();
            assert!(again.to_bits() == bits || number.is_nan() && again.is_nan(), "{bits:#x}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(shown(b"a\x1b[31m\xff"), "a\u{fffd}[31m\u{fffd}");
        assert_eq!(shown(&[b'x'; 100]), "x".repeat(40) + "…");
    }
}
