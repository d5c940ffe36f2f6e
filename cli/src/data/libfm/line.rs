//! One line.

use super::shown;

/// The largest index: 2^31, so that 31 bits can be counted from 1.
const LARGEST: u64 = 1 << 31;

/// What a label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    One,
    Minus,
    Zero,
}

impl Label {
    /// The number that stands in the file.
    pub(super) fn number(self) -> i32 {
        match self {
            Label::One => 1,
            Label::Minus => -1,
            Label::Zero => 0,
        }
    }

    fn parse(token: &[u8]) -> Option<Self> {
        match token {
            b"1" | b"+1" => Some(Label::One),
            b"-1" => Some(Label::Minus),
            b"0" => Some(Label::Zero),
            _ => [(1.0, Label::One), (-1.0, Label::Minus), (0.0, Label::Zero)]
                .into_iter()
                .find_map(|(value, label)| (number(token) == Some(value)).then_some(label)),
        }
    }
}

/// Reads a line into `entries`, ascending and each feature once; `None` for a line with nothing but a comment. An error is a column,
/// counted in bytes from 1, and what is wrong there.
pub(super) fn parse(line: &[u8], entries: &mut Vec<(u32, f32)>) -> Result<Option<Label>, (usize, String)> {
    let line = line.iter().position(|&byte| byte == b'#').map_or(line, |end| &line[..end]);
    entries.clear();
    let mut at = 0;
    let Some(token) = next(line, &mut at) else { return Ok(None) };
    let label =
        Label::parse(token).ok_or_else(|| (at - token.len() + 1, format!("the label `{}` is not 1, -1 or 0", shown(token))))?;
    let mut ascending = true;
    while let Some(token) = next(line, &mut at) {
        let (feature, value) = pair(token).map_err(|(within, problem)| (at - token.len() + within + 1, problem))?;
        ascending &= entries.last().is_none_or(|last| last.0 < feature);
        entries.push((feature, value));
    }
    if !ascending {
        merge(entries).map_err(|feature| (1, format!("the values of feature {feature} add up to no finite number")))?;
    }
    Ok(Some(label))
}

/// The next token, between spaces and tabs; `at` is then behind it.
fn next<'a>(line: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let rest = line.get(*at..)?;
    let start = *at + rest.iter().position(|byte| !blank(byte))?;
    let length = line[start..].iter().position(blank).unwrap_or(line.len() - start);
    *at = start + length;
    Some(&line[start..*at])
}

/// Reads `index:value`. An error is the place within the token, from 0, and what is wrong.
fn pair(token: &[u8]) -> Result<(u32, f32), (usize, String)> {
    let Some(colon) = token.iter().position(|&byte| byte == b':') else {
        return Err((0, format!("`{}` is no pair `index:value`", shown(token))));
    };
    let (index, value) = (&token[..colon], &token[colon + 1..]);
    if index == b"qid" {
        return Err((0, "query groups (`qid:`) are for ranking; here each line stands for itself".into()));
    }
    let feature = feature(index).ok_or_else(|| (0, format!("the index `{}` is no whole number up to 2147483648", shown(index))))?;
    if value.contains(&b':') {
        return Err((0, format!("`{}` has two colons; triples `field:index:value` are those of libFFM", shown(token))));
    }
    let number = number(value)
        .ok_or_else(|| (colon + 1, format!("the value `{}` of feature {feature} is not a finite number", shown(value))))?;
    Ok((feature, number))
}

fn feature(digits: &[u8]) -> Option<u32> {
    let mut index = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        index = index * 10 + u64::from(digit - b'0');
        if index > LARGEST {
            return None;
        }
    }
    (!digits.is_empty()).then_some(index as u32)
}

/// A finite number.
fn number(token: &[u8]) -> Option<f32> {
    if token == b"1" {
        // By far the most values are ones.
        return Some(1.0);
    }
    std::str::from_utf8(token).ok()?.parse().ok().filter(|number: &f32| number.is_finite())
}

/// Sorts entries by feature and adds up the values of each, in the order of the line; an error is a feature whose sum overflows.
fn merge(entries: &mut Vec<(u32, f32)>) -> Result<(), u32> {
    entries.sort_by_key(|entry| entry.0);
    entries.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    entries.iter().find(|entry| !entry.1.is_finite()).map_or(Ok(()), |entry| Err(entry.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Option<(Label, Vec<(u32, f32)>)>;

    fn read(line: &str) -> Result<Read, (usize, String)> {
        let mut entries = vec![(9, 9.0)];
        parse(line.as_bytes(), &mut entries).map(|label| label.map(|label| (label, entries)))
    }

    #[test]
    fn labels_may_be_written_as_any_number() {
        for (text, label) in
            [("1", Label::One), ("+1.0", Label::One), ("-1e0", Label::Minus), ("0.0", Label::Zero), ("-0", Label::Zero)]
        {
            assert_eq!(read(text), Ok(Some((label, vec![]))), "{text}");
        }
        for text in ["2", "0.5", "nan", "yes", "1:1", "--1", "é"] {
            assert_eq!(read(&format!("  {text}")), Err((3, format!("the label `{text}` is not 1, -1 or 0"))));
        }
    }

    #[test]
    fn features_ascend_and_equal_ones_add_up() {
        assert_eq!(read("1 5:2 3:1 5:0.5 007:1e-3 5:-1"), Ok(Some((Label::One, vec![(3, 1.0), (5, 1.5), (7, 1e-3)]))));
        assert_eq!(read(" \t # 1 1:1"), Ok(None));
        assert_eq!(read("1 1:1# x"), Ok(Some((Label::One, vec![(1, 1.0)]))));
        assert_eq!(read("1 1:3e38 1:3e38"), Err((1, "the values of feature 1 add up to no finite number".into())));
    }

    #[test]
    fn what_is_no_pair_is_shown_with_its_column() {
        for (line, column, problem) in [
            ("1 2:1 3", 7, "`3` is no pair `index:value`"),
            ("1 :1", 3, "the index `` is no whole number up to 2147483648"),
            ("1 -3:1", 3, "the index `-3` is no whole number up to 2147483648"),
            ("1 2147483649:1", 3, "the index `2147483649` is no whole number up to 2147483648"),
            ("1 99999999999999999999999999:1", 3, "the index `99999999999999999999999999` is no whole"),
            ("1  12:", 7, "the value `` of feature 12 is not a finite number"),
            ("1 12:inf", 6, "the value `inf` of feature 12 is not a finite number"),
            ("1 12:1e99", 6, "the value `1e99` of feature 12 is not a finite number"),
            ("1 qid:3 1:1", 3, "query groups (`qid:`) are for ranking"),
            ("1 2:3:1", 3, "`2:3:1` has two colons; triples `field:index:value` are those of libFFM"),
            ("1 2:1\r 3:1", 5, "the value `1\\r` of feature 2"),
        ] {
            match read(line) {
                Err((at, text)) => assert!(at == column && text.starts_with(problem), "{line}: {at} {text}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
