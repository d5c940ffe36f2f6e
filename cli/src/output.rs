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

/// A number of bytes as people say it.
pub(crate) fn sized(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be rounded to 1000.0 is one of the next unit.
    while size >= 999.95 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Lines of cells, each column as wide as its widest cell. Columns that `right` names stand to the right.
pub(crate) fn columns(lines: &[Vec<String>], right: &[usize]) -> String {
    let width =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let mut out = String::new();
        for (column, cell) in line.iter().enumerate() {
            let room = " ".repeat(width(column) - cell.chars().count());
            out += if column > 0 { "  " } else { "" };
            out += &if right.contains(&column) { room + cell } else { format!("{cell}{room}") };
        }
        text += out.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{columns, grouped, sized};

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [0, 999, 1000, 999_949, 999_950, 256_000_000].map(sized),
            ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "256.0 MB"]
        );
        assert_eq!(sized(u64::MAX), "18446.7 PB");
    }

    #[test]
    fn cells_stand_below_each_other() {
        let line = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let text = columns(&[line(&["wörd", "size"]), line(&["a", "12", ""])], &[1]);
        assert_eq!(text, "wörd  size\na       12\n");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 99_057, 1_234_567].map(grouped), ["0", "999", "1,000", "99,057", "1,234,567"]);
    }
}
