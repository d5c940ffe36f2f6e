//! Printing, when somebody listens and when nobody does.

use std::io::{ErrorKind, Write, stderr, stdout};

use anyhow::{Context, Result};
use serde::Serialize;

/// Writes to standard output at once. A reader who has gone away, as `head` does, is no failure.
pub(crate) fn say(text: &str) -> Result<()> {
    say_bytes(format!("{text}\n").as_bytes())
}

/// Writes bytes to standard output at once, as [`say`] writes text.
pub(crate) fn say_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Lets something write to standard output piece by piece. A reader who has gone away is no failure.
pub(crate) fn write_all(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let mut out = std::io::BufWriter::new(stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Writes an object as one line of JSON.
pub(crate) fn say_json(value: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string(value).context("cannot write the result as JSON")?)
}

/// Writes to standard error, where failing again would help nobody.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// A whole number with a comma after each three digits.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 99_057, 1_234_567].map(grouped), ["0", "999", "1,000", "99,057", "1,234,567"]);
    }
}
