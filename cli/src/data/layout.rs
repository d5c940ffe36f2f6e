//! Which format a file of interactions has, and where the columns are.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::fields::{Separator, split};

/// A format of interactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Format {
    /// RecBole: tabs, a header of `name:type` columns with user_id and item_id
    #[value(name = "inter")]
    #[serde(rename = "inter")]
    Inter,
    /// MovieLens 100K: user, item, rating and timestamp between tabs, no header
    #[value(name = "u.data")]
    #[serde(rename = "u.data")]
    UData,
    /// MovieLens 1M and 10M: `user::item::rating::timestamp`
    #[value(name = "ratings.dat")]
    #[serde(rename = "ratings.dat")]
    RatingsDat,
    /// MovieLens 20M and later: commas, the header `userId,movieId,rating,timestamp`
    #[value(name = "ratings.csv")]
    #[serde(rename = "ratings.csv")]
    RatingsCsv,
    /// `user item [rating [timestamp]]` between spaces, tabs or commas
    #[value(name = "pairs")]
    #[serde(rename = "pairs")]
    Pairs,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Inter => "inter",
            Format::UData => "u.data",
            Format::RatingsDat => "ratings.dat",
            Format::RatingsCsv => "ratings.csv",
            Format::Pairs => "pairs",
        })
    }
}

/// Where to find what in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub format: Format,
    pub separator: Separator,
    pub user: usize,
    pub item: usize,
    pub rating: Option<usize>,
    pub time: Option<usize>,
    /// How many fields every line has.
    pub width: usize,
    /// Whether the first line names the columns.
    pub header: bool,
}

/// A first line that does not fit: what is wrong, and what was expected.
pub(super) type Misfit = (String, &'static str);

const INTER: &str = "a header such as `user_id:token<TAB>item_id:token<TAB>rating:float<TAB>timestamp:float`";
const UDATA: &str = "`user<TAB>item<TAB>rating<TAB>timestamp`";
const DAT: &str = "`user::item::rating::timestamp`";
const CSV: &str = "a header such as `userId,movieId,rating,timestamp`";
const PAIRS: &str = "`user item [rating [timestamp]]`, between spaces, tabs or commas";

const USER: [&str; 4] = ["user", "userid", "user_id", "uid"];
const ITEM: [&str; 7] = ["item", "itemid", "item_id", "iid", "movie", "movieid", "movie_id"];
const RATING: [&str; 3] = ["rating", "score", "stars"];
const TIME: [&str; 3] = ["timestamp", "time", "ts"];

impl Layout {
    /// The layout that the first line shows, or that of `format`.
    pub(super) fn new(first: &str, format: Option<Format>) -> Result<Self, Misfit> {
        match format.unwrap_or_else(|| detect(first)) {
            Format::Inter => inter(first),
            Format::UData => fixed(first, Format::UData, Separator::Tab, 4..=4, UDATA),
            Format::RatingsDat => fixed(first, Format::RatingsDat, Separator::DoubleColon, 3..=4, DAT),
            Format::RatingsCsv => csv(first),
            Format::Pairs => pairs(first),
        }
    }

    /// What a line of data looks like.
    pub(super) fn expected(&self) -> String {
        let (gap, what) = match self.separator {
            Separator::Tab => ("<TAB>", "tabs"),
            Separator::DoubleColon => ("::", "double colons"),
            Separator::Comma => (",", "commas"),
            Separator::Whitespace => (" ", "spaces or tabs"),
        };
        let names: Vec<_> = (0..self.width).map(|at| self.role(at)).collect();
        format!("{} fields between {what}: `{}`", self.width, names.join(gap))
    }

    fn role(&self, at: usize) -> &'static str {
        if at == self.user {
            "user"
        } else if at == self.item {
            "item"
        } else if Some(at) == self.rating {
            "rating"
        } else if Some(at) == self.time {
            "timestamp"
        } else {
            "…"
        }
    }
}

/// The format that a first line looks like; [`Format::Pairs`] when it looks like nothing else.
fn detect(first: &str) -> Format {
    let tabs: Vec<_> = first.split('\t').take(5).collect();
    let number = |text: &str| text.trim().parse::<f64>().is_ok();
    if tabs.iter().all(|field| typed(field).is_some()) {
        Format::Inter
    } else if first.contains("::") {
        Format::RatingsDat
    } else if first.contains(',') && named(first, Separator::Comma).is_some() {
        Format::RatingsCsv
    } else if tabs.len() == 4 && number(tabs[2]) && number(tabs[3]) {
        Format::UData
    } else {
        Format::Pairs
    }
}

/// The name in a typed column name such as `user_id:token`.
pub(super) fn typed(field: &str) -> Option<&str> {
    let (name, kind) = field.trim().rsplit_once(':')?;
    let known = matches!(kind, "token" | "token_seq" | "float" | "float_seq");
    (known && !name.is_empty()).then_some(name)
}

fn inter(first: &str) -> Result<Layout, Misfit> {
    let mut columns = Columns::default();
    for field in first.split('\t') {
        let name = typed(field).ok_or_else(|| (format!("the column `{}` has no type", field.escape_debug()), INTER))?;
        columns.add(name);
    }
    columns.layout(Format::Inter, Separator::Tab).ok_or_else(|| ("the header names no user or no item column".into(), INTER))
}

fn csv(first: &str) -> Result<Layout, Misfit> {
    named(first, Separator::Comma)
        .and_then(|columns| columns.layout(Format::RatingsCsv, Separator::Comma))
        .ok_or_else(|| ("the header names no user or no item column".into(), CSV))
}

fn pairs(first: &str) -> Result<Layout, Misfit> {
    let separator = if first.contains(',') { Separator::Comma } else { Separator::Whitespace };
    // Exports often start with the names of their columns; taking them for a user and an item would be wrong.
    if let Some(layout) = named(first, separator).and_then(|columns| columns.layout(Format::Pairs, separator)) {
        return Ok(layout);
    }
    fixed(first, Format::Pairs, separator, 2..=4, PAIRS)
}

/// A layout without header: user, item, rating, timestamp, of which the last may be absent.
fn fixed(
    first: &str,
    format: Format,
    separator: Separator,
    widths: std::ops::RangeInclusive<usize>,
    expected: &'static str,
) -> Result<Layout, Misfit> {
    let mut width = 0;
    split(first, separator, |_| {
        width += 1;
        width <= *widths.end()
    });
    if !widths.contains(&width) {
        let more = if width > *widths.end() { " or more" } else { "" };
        let plural = if width == 1 { "" } else { "s" };
        return Err((format!("it has {width}{more} field{plural}"), expected));
    }
    Ok(Layout {
        format,
        separator,
        user: 0,
        item: 1,
        rating: (width > 2).then_some(2),
        time: (width > 3).then_some(3),
        width,
        header: false,
    })
}

/// Columns found by name.
#[derive(Default)]
struct Columns {
    user: Option<usize>,
    item: Option<usize>,
    rating: Option<usize>,
    time: Option<usize>,
    width: usize,
}

impl Columns {
    fn add(&mut self, name: &str) {
        let name = name.trim().to_ascii_lowercase();
        let at = self.width;
        self.width += 1;
        for (names, slot) in
            [(&USER[..], &mut self.user), (&ITEM[..], &mut self.item), (&RATING[..], &mut self.rating), (&TIME[..], &mut self.time)]
        {
            if slot.is_none() && names.contains(&name.as_str()) {
                *slot = Some(at);
                return;
            }
        }
    }

    fn layout(self, format: Format, separator: Separator) -> Option<Layout> {
        Some(Layout {
            format,
            separator,
            user: self.user?,
            item: self.item?,
            rating: self.rating,
            time: self.time,
            width: self.width,
            header: true,
        })
    }
}

/// The columns of a header, if it names a user and an item.
fn named(first: &str, separator: Separator) -> Option<Columns> {
    let mut columns = Columns::default();
    split(first, separator, |field| {
        columns.add(&field);
        true
    });
    (columns.user.is_some() && columns.item.is_some()).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn found(first: &str) -> (Format, Separator, [Option<usize>; 4], usize) {
        let layout = Layout::new(first, None).unwrap();
        (layout.format, layout.separator, [Some(layout.user), Some(layout.item), layout.rating, layout.time], layout.width)
    }

    #[test]
    fn formats_are_told_by_their_first_line() {
        let all = [Some(0), Some(1), Some(2), Some(3)];
        let two = [Some(0), Some(1), None, None];
        assert_eq!(found("user_id:token\titem_id:token\trating:float\ttimestamp:float"), (Format::Inter, Separator::Tab, all, 4));
        assert_eq!(
            found("timestamp:float\titem_id:token\tx:float_seq\tuser_id:token"),
            (Format::Inter, Separator::Tab, [Some(3), Some(1), None, Some(0)], 4)
        );
        assert_eq!(found("196\t242\t3\t881250949"), (Format::UData, Separator::Tab, all, 4));
        assert_eq!(found("1::1193::5::978300760"), (Format::RatingsDat, Separator::DoubleColon, all, 4));
        assert_eq!(found("userId,movieId,rating,timestamp"), (Format::RatingsCsv, Separator::Comma, all, 4));
        assert_eq!(found("a b"), (Format::Pairs, Separator::Whitespace, two, 2));
        assert_eq!(found("a\tb"), (Format::Pairs, Separator::Whitespace, two, 2));
        assert_eq!(found("a, b"), (Format::Pairs, Separator::Comma, two, 2));
        assert_eq!(found("a,b,1,2"), (Format::Pairs, Separator::Comma, all, 4));
        assert_eq!(found("item user"), (Format::Pairs, Separator::Whitespace, [Some(1), Some(0), None, None], 2));
    }

    #[test]
    fn first_lines_that_fit_nothing_say_what_was_expected() {
        assert_eq!(Layout::new("alone", None), Err(("it has 1 field".into(), PAIRS)));
        assert_eq!(Layout::new("1 2 3 4 5 6", None), Err(("it has 5 or more fields".into(), PAIRS)));
        let header = "the header names no user or no item column";
        assert_eq!(Layout::new("rating:float", None), Err((header.into(), INTER)));
        assert_eq!(Layout::new("1,2", Some(Format::RatingsCsv)), Err((header.into(), CSV)));
        assert_eq!(Layout::new("user_id:token\titem", Some(Format::Inter)), Err(("the column `item` has no type".into(), INTER)));
    }
}
