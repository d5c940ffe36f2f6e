//! The statistics for people.

use super::{Bar, Range, Report, Rows};
use crate::output::{columns, grouped};

/// For people.
pub(super) fn text(report: &Report<'_>) -> String {
    let table = report.table.map_or(String::new(), |table| format!(", table {}", table.escape_debug()));
    let mut text = format!("{}{table}: {} rows of {} {}\n\n", report.file, grouped(report.rows), grouped(report.dim), report.dtype);
    let range = |what: &str, range: &Range| {
        let number = |x: Option<f64>| x.map_or("-".to_owned(), short);
        vec![what.to_owned(), number(range.min), number(range.mean), number(range.median), number(range.max)]
    };
    let head = ["", "min", "mean", "median", "max"].map(str::to_owned).to_vec();
    text += &columns(&[head, range("values", &report.values), range("norms", &report.norms)], &[1, 2, 3, 4]);
    text.push('\n');
    text += &columns(
        &[
            vec![
                "not finite".into(),
                grouped(report.broken_rows.count),
                format!(
                    "rows, with {} NaN and {} infinite values{}",
                    grouped(report.nan_values as usize),
                    grouped(report.infinite_values as usize),
                    which(&report.broken_rows)
                ),
            ],
            vec!["zero".into(), grouped(report.zero_rows.count), format!("rows{}", which(&report.zero_rows))],
            vec![
                "duplicate".into(),
                grouped(report.duplicate_rows.count),
                format!("rows, equal to an earlier one{}", which(&report.duplicate_rows)),
            ],
        ],
        &[1],
    );
    if !report.histogram.is_empty() {
        text += "\nnorms\n";
        text += &drawn(&report.histogram);
    }
    text
}

/// The first rows of a kind, by their words if they have any.
fn which(rows: &Rows) -> String {
    const SHOWN: usize = 5;
    if rows.count == 0 {
        return String::new();
    }
    let names: Vec<String> = if rows.words.is_empty() {
        rows.first.iter().take(SHOWN).map(|&row| grouped(row)).collect()
    } else {
        rows.words.iter().take(SHOWN).map(|word| format!("`{}`", word.escape_debug())).collect()
    };
    let more = if rows.count > names.len() { ", …" } else { "" };
    format!(": {}{more}", names.join(", "))
}

/// A number in about four digits.
pub(super) fn short(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 {
        "0".to_owned()
    } else if (0.001..100_000.0).contains(&size) {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
        format!("{x:.digits$}")
    } else {
        format!("{x:.3e}")
    }
}

/// A histogram for a terminal, in eighths of a character.
fn drawn(histogram: &[Bar]) -> String {
    const WIDTH: usize = 40;
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let most = histogram.iter().map(|bin| bin.count).max().unwrap_or(0).max(1);
    let line = |bin: &Bar| {
        // What is not empty is seen.
        let eighths = (bin.count * WIDTH * 8).div_ceil(most).min(WIDTH * 8);
        let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
        vec![format!("  {}", short(bin.from)), "to".to_owned(), short(bin.to), grouped(bin.count), bar]
    };
    columns(&histogram.iter().map(line).collect::<Vec<_>>(), &[0, 2, 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 1.0, -2.50769, 12345.6, 99_999.0, 1e5, 0.00123456, 1e-9, -123.456].map(short);
        assert_eq!(numbers, ["0", "1.000", "-2.508", "12346", "99999", "1.000e5", "0.001235", "1.000e-9", "-123.5"]);
    }

    #[test]
    fn bars_end_at_an_eighth() {
        let bars: Vec<Bar> =
            [0, 1, 160, 320].into_iter().zip(0..).map(|(count, at)| Bar { from: at as f64, to: 9.0, count }).collect();
        let text = drawn(&bars);
        let ends: Vec<_> = text
            .lines()
            .map(|line| line.split_once(char::is_numeric).unwrap().1.trim_start_matches(|c: char| c.is_ascii()).to_owned())
            .collect();
        assert_eq!(ends, ["".to_owned(), "▏".to_owned(), "█".repeat(20), "█".repeat(40)]);
    }
}
