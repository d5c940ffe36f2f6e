//! The fields of a line.

use std::borrow::Cow;

/// What stands between two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Tab,
    DoubleColon,
    /// A comma, with double quotes around a field that holds one.
    Comma,
    Whitespace,
}

/// Calls `take` with each field, without the blanks around it, until it says false.
pub(super) fn split<'a>(text: &'a str, separator: Separator, mut take: impl FnMut(Cow<'a, str>) -> bool) {
    let mut each = |field: &'a str| take(Cow::Borrowed(field.trim()));
    match separator {
        Separator::Tab => {
            let _ = text.split('\t').all(&mut each);
        }
        Separator::DoubleColon => {
            let _ = text.split("::").all(&mut each);
        }
        Separator::Whitespace => {
            let _ = text.split_whitespace().all(&mut each);
        }
        Separator::Comma if !text.contains('"') => {
            let _ = text.split(',').all(&mut each);
        }
        Separator::Comma => {
            let record = record(text);
            let _ = record.iter().all(|field| take(Cow::Owned(field.to_owned())));
        }
    }
}

/// The fields of a line of quoted CSV.
pub(super) fn quoted(text: &str) -> Vec<String> {
    record(text).iter().map(str::to_owned).collect()
}

fn record(text: &str) -> csv::StringRecord {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        // The text is one line already: a carriage return inside it is no end.
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    // One line of valid UTF-8 cannot fail to be one record: quotes that do not close end with the line.
    let _ = reader.read_record(&mut record);
    record
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quotes_protect_commas() {
        assert_eq!(quoted(r#"1,"American President, The (1995)",x"#), ["1", "American President, The (1995)", "x"]);
        assert_eq!(quoted(r#"a,"say ""hi""" "#), ["a", r#"say "hi""#]);
        assert_eq!(quoted(r#"a,"open"#), ["a", "open"]);
        assert_eq!(quoted("a,\"b\"\rc,d"), ["a", "b\rc", "d"]);
    }
}
