//! Titles of items.

use super::error::ReadError;
use super::fields::quoted;
use super::layout::typed;
use super::lines::lines;

const EXPECTED: &str = "RecBole `.item` (a header such as `item_id:token<TAB>movie_title:token_seq`), MovieLens `u.item` \
                        (`id|title|…`), `movies.dat` (`id::title::…`) or `movies.csv` (the header `movieId,title,…`)";

/// Reads `(item id, title)` pairs from a RecBole `.item` file or from MovieLens' `u.item`, `movies.dat` or `movies.csv`;
/// the first line tells which. A file that is not UTF-8 is taken for Latin-1, as the older MovieLens sets are.
///
/// A RecBole file keeps the year in a column of its own; it is appended, so that the title reads `Star Wars (1977)`.
///
/// # Errors
/// [`ReadError`], naming the line.
pub fn read_titles(bytes: &[u8]) -> Result<Vec<(String, String)>, ReadError> {
    let latin1 = std::str::from_utf8(bytes).is_err();
    let mut layout = None;
    let mut titles = Vec::new();
    for line in lines(bytes) {
        let decoded: String;
        let text = if latin1 {
            decoded = line.bytes.iter().map(|&byte| char::from(byte)).collect();
            &decoded
        } else {
            line.text()?
        };
        let bad = |problem: &str, expected| ReadError::bad_line(line.number, text, problem, expected);
        let Some(layout) = &layout else {
            let (found, header) =
                Layout::new(text).ok_or_else(|| bad("no known file of titles starts like this", EXPECTED.into()))?;
            if !header {
                titles.push(found.read(text).map_err(|problem| bad(problem, found.expected()))?);
            }
            layout = Some(found);
            continue;
        };
        titles.push(layout.read(text).map_err(|problem| bad(problem, layout.expected()))?);
    }
    if titles.is_empty() {
        return Err(ReadError::Empty { expected: EXPECTED });
    }
    Ok(titles)
}

/// How a file of titles is laid out.
enum Layout {
    /// Tabs, with the columns of the id, the title and perhaps the year.
    Item { id: usize, title: usize, year: Option<usize>, width: usize },
    /// `id|title|…`, and `id::title::…`.
    Between(&'static str),
    /// Quoted CSV, with the columns of the id and the title.
    Csv { id: usize, title: usize },
}

impl Layout {
    /// The layout that a first line shows, and whether that line is a header.
    fn new(first: &str) -> Option<(Self, bool)> {
        let columns: Option<Vec<_>> = first.split('\t').map(typed).collect();
        if let Some(columns) = columns {
            let find = |wanted: fn(&str) -> bool| columns.iter().position(|name| wanted(name));
            let layout = Layout::Item {
                id: find(|name| name == "item_id")?,
                title: find(|name| name.contains("title") || name.contains("name"))?,
                year: find(|name| name.contains("year")),
                width: columns.len(),
            };
            return Some((layout, true));
        }
        if first.contains("::") {
            return Some((Layout::Between("::"), false));
        }
        if first.contains('|') {
            return Some((Layout::Between("|"), false));
        }
        let header: Vec<_> = quoted(first).iter().map(|name| name.to_ascii_lowercase()).collect();
        let find = |wanted: &[&str]| header.iter().position(|name| wanted.contains(&name.as_str()));
        let layout = Layout::Csv { id: find(&["movieid", "itemid", "item_id", "movie_id"])?, title: find(&["title", "name"])? };
        Some((layout, true))
    }

    fn expected(&self) -> String {
        match self {
            Layout::Item { width, .. } => format!("{width} fields between tabs, as in the header"),
            Layout::Between(gap) => format!("`id{gap}title`, perhaps with more fields after it"),
            Layout::Csv { .. } => "an id and a title between commas, as in the header".into(),
        }
    }

    fn read(&self, text: &str) -> Result<(String, String), &'static str> {
        let (id, title, year) = match *self {
            Layout::Item { id, title, year, width } => {
                let fields: Vec<_> = text.split('\t').collect();
                if fields.len() != width {
                    return Err("it has another number of fields than the header");
                }
                (fields[id].into(), fields[title].trim().into(), year.map(|at| fields[at].trim()))
            }
            Layout::Between(gap) => {
                let mut fields = text.split(gap);
                let (Some(id), Some(title)) = (fields.next(), fields.next()) else {
                    return Err("it has no title");
                };
                (id.to_owned(), title.trim().to_owned(), None)
            }
            Layout::Csv { id, title } => {
                let mut fields = quoted(text);
                if fields.len() <= id.max(title) {
                    return Err("it has fewer fields than the header");
                }
                (std::mem::take(&mut fields[id]), std::mem::take(&mut fields[title]), None)
            }
        };
        let id = id.trim();
        if id.is_empty() {
            return Err("the item's id is empty");
        }
        Ok((id.to_owned(), with_year(title, year)))
    }
}

/// The title with the year behind it, unless the year is no year or is there already.
fn with_year(title: String, year: Option<&str>) -> String {
    match year {
        Some(year)
            if year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()) && !title.ends_with(&format!("({year})")) =>
        {
            format!("{title} ({year})")
        }
        _ => title,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn titles(bytes: &[u8]) -> Vec<(String, String)> {
        read_titles(bytes).unwrap_or_else(|error| panic!("{error}"))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(id, title)| (id.into(), title.into())).collect()
    }

    #[test]
    fn recbole_titles_get_their_year() {
        let file = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\r\n1\tRed\t1994\tDrama\r\n\
                    2\tLand (1995)\tV\tx\r\n3\tBlue (1993)\t1993\tx\n4\tNo Year\t\tx";
        let expected = [("1", "Red (1994)"), ("2", "Land (1995)"), ("3", "Blue (1993)"), ("4", "No Year")];
        assert_eq!(titles(file.as_bytes()), pairs(&expected));
    }

    #[test]
    fn movielens_titles() {
        let expected = pairs(&[("1", "Café (1995)"), ("7", "B, The")]);
        assert_eq!(titles(b"1|Caf\xe9 (1995)|01-Jan-1995||x\n7|B, The|\n"), expected);
        assert_eq!(titles("1|Café (1995)|x\n7|B, The|\n".as_bytes()), expected);
        assert_eq!(titles(b"1::Caf\xe9 (1995)::Drama\n7::B, The::Comedy"), expected);
        assert_eq!(titles("movieId,title,genres\n1,Café (1995),Drama\n7,\"B, The\",\"a|b\"\n".as_bytes()), expected);
    }

    #[test]
    fn bad_lines_are_named() {
        let refused = |bytes: &[u8]| read_titles(bytes).unwrap_err().to_string();
        assert!(refused(b"1 Toy\n").starts_with("line 1: no known file of titles starts like this\n  the line: 1 Toy\n"));
        assert!(refused(b"1|A\n2\n").starts_with("line 2: it has no title\n"));
        assert!(refused(b"item_id:token\ttitle:token\n1\n").starts_with("line 2: it has another number"));
        assert!(refused(b"movieId,title\n1\n").starts_with("line 2: it has fewer fields"));
        assert!(refused(b"1|A\n |B\n").starts_with("line 2: the item's id is empty\n"));
        assert!(refused(b"").starts_with("the file holds no data"));
    }
}
