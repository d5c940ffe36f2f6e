//! Finding users and items by what people type.

use std::borrow::Cow;
use std::fmt;

use super::Description;

/// How many suggestions are made.
const SUGGESTIONS: usize = 5;
/// How alike two texts must be for a suggestion, from 0 to 1.
const ALIKE: f64 = 0.75;

/// An item that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its row.
    pub item: usize,
    /// Other items that the query fits just as well.
    pub others: Vec<usize>,
}

impl Found {
    /// The one that was meant.
    pub fn only(item: usize) -> Found {
        Found { item, others: Vec::new() }
    }
}

/// Nothing was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// "user", "item", "feature", "word" or "row".
    pub what: &'static str,
    /// What was looked for.
    pub query: String,
    /// Where: `the model`, or the name of a file.
    pub place: String,
    /// How many there are.
    pub known: usize,
    /// What may have been meant.
    pub suggestions: Vec<String>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotFound { what, query, place, known, suggestions } = self;
        write!(f, "no {what} `{query}` among the {known} {what}s of {place}")?;
        if *what == "row" {
            write!(f, ", which have no names but numbers from 0")?;
        }
        if !suggestions.is_empty() {
            write!(f, "; perhaps one of these was meant:")?;
            for suggestion in suggestions {
                write!(f, "\n  {suggestion}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for NotFound {}

impl Description {
    /// The row of the user with this id.
    ///
    /// # Errors
    /// [`NotFound`] with ids that look like it.
    pub fn find_user(&self, query: &str) -> Result<usize, NotFound> {
        self.users.iter().position(|id| id == query).ok_or_else(|| NotFound {
            what: "user",
            query: query.to_owned(),
            place: "the model".to_owned(),
            known: self.users.len(),
            suggestions: suggest(query, self.users.iter().map(|id| (id.clone(), vec![id.clone()]))),
        })
    }
}

/// What a table has rows for, by its names.
#[derive(Debug, Clone, Copy)]
pub struct Catalog<'a> {
    /// "item", "feature", "word" or "row".
    pub what: &'static str,
    /// `the model`, or the name of a file.
    pub place: &'a str,
    /// How many rows there are.
    pub rows: usize,
    /// The id of each row; empty when rows have numbers only.
    pub ids: &'a [String],
    /// The title of each row; empty when there are no titles at all.
    pub titles: &'a [Option<String>],
}

impl<'a> Catalog<'a> {
    /// The title of a row, if it has one.
    pub fn title(&self, row: usize) -> Option<&'a str> {
        self.titles.get(row)?.as_deref()
    }

    /// The same rows, by their numbers.
    pub fn numbered(&self) -> Catalog<'a> {
        Catalog { what: "row", ids: &[], titles: &[], ..*self }
    }

    /// What a row is called: its id, or else its number.
    pub fn name(&self, row: usize) -> Cow<'a, str> {
        match self.ids.get(row) {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(row.to_string()),
        }
    }

    /// The row with this id; of rows without ids, with this number.
    pub fn named(&self, query: &str) -> Option<usize> {
        if self.ids.is_empty() {
            return query.parse().ok().filter(|&row| row < self.rows);
        }
        self.ids.iter().position(|id| id == query)
    }

    /// The row with this title. Titles are compared without regard to case, first as they stand, then without a year and with the
    /// article in front: `the godfather` finds `Godfather, The (1972)`.
    pub fn titled(&self, query: &str) -> Option<Found> {
        let wanted = query.trim().to_lowercase();
        let spellings: Vec<Vec<String>> = (0..self.titles.len()).map(|row| self.spellings(row)).collect();
        for exact in [true, false] {
            let mut fits = (0..spellings.len()).filter(|&item| {
                let known = &spellings[item];
                let known = if exact { &known[..known.len().min(1)] } else { known };
                known.contains(&wanted)
            });
            if let Some(item) = fits.next() {
                return Some(Found { item, others: fits.collect() });
            }
        }
        None
    }

    fn spellings(&self, row: usize) -> Vec<String> {
        self.title(row).map(spellings).unwrap_or_default()
    }

    /// What to say when there is no such row, with titles or ids that look like it.
    pub fn not_found(&self, query: &str) -> NotFound {
        let what = self.what;
        let wanted = query.trim().to_lowercase();
        let candidates = self.ids.iter().enumerate().map(|(row, id)| match self.title(row) {
            Some(title) => (format!("{title}  ({what} {id})"), self.spellings(row)),
            None => (id.clone(), vec![id.to_lowercase()]),
        });
        let suggestions = suggest(&wanted, candidates);
        NotFound { what, query: query.to_owned(), place: self.place.to_owned(), known: self.rows, suggestions }
    }
}

/// The ways in which a title may be typed, in lower case; the first is the title itself.
fn spellings(title: &str) -> Vec<String> {
    let title = title.trim().to_lowercase();
    let mut all = vec![title.clone()];
    // Titles end in any number of remarks: `Seven (Se7en) (1995)`.
    let mut bare = title.as_str();
    while let Some(at) = bare.strip_suffix(')').and_then(|inner| inner.rfind(" (")) {
        bare = bare[..at].trim_end();
        all.push(bare.to_owned());
    }
    for article in ["the", "a", "an"] {
        if let Some(rest) = bare.strip_suffix(article).and_then(|rest| rest.strip_suffix(", ")) {
            all.push(rest.to_owned());
            all.push(format!("{article} {rest}"));
        }
    }
    all
}

/// The best of the candidates, each of which is what to show and how it may be spelled.
fn suggest(query: &str, candidates: impl Iterator<Item = (String, Vec<String>)>) -> Vec<String> {
    let mut ranked: Vec<(f64, String)> = candidates
        .filter_map(|(shown, spellings)| {
            let alike = |spelling: &String| {
                let holds = !query.is_empty() && spelling.contains(query);
                // A text that holds the query comes before all that merely resemble it.
                f64::from(u8::from(holds)) + strsim::jaro_winkler(query, spelling)
            };
            let best = spellings.iter().map(alike).fold(0.0, f64::max);
            (best >= ALIKE).then_some((best, shown))
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.truncate(SUGGESTIONS);
    ranked.into_iter().map(|(_, shown)| shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Precision;
    use crate::train::{Method, Settings};

    fn films() -> Description {
        let settings =
            Settings { dim: 1, epochs: 1, optimizer: Method::Sgd, lr: 0.1, l2: 0.0, batch: 1, dtype: Precision::F32, seed: 0 };
        let mut films = Description::new(settings, None);
        films.users = ["12", "abc"].map(str::to_owned).into();
        films.items = ["50", "127", "11", "x1", "x2", "1984"].map(str::to_owned).into();
        films.titles = [
            Some("Star Wars (1977)"),
            Some("Godfather, The (1972)"),
            Some("Seven (Se7en) (1995)"),
            Some("Emma (1932)"),
            Some("Emma (1996)"),
            None,
        ]
        .map(|title| title.map(str::to_owned))
        .into();
        films
    }

    #[test]
    fn items_are_found_by_id_and_by_title() {
        let films = films();
        let find = |query| films.catalog().named(query).map(Found::only).or_else(|| films.catalog().titled(query));
        let item = |query| find(query).map(|found| found.item);
        assert_eq!(item("50"), Some(0));
        for query in ["Star Wars (1977)", "star wars (1977)", "STAR WARS", " star wars "] {
            assert_eq!(item(query), Some(0), "{query}");
        }
        for query in ["the godfather", "Godfather", "godfather, the"] {
            assert_eq!(item(query), Some(1), "{query}");
        }
        assert_eq!(item("seven"), Some(2));
        assert_eq!(item("seven (se7en)"), Some(2));
        assert_eq!(item("emma (1996)"), Some(4));
        assert_eq!(find("emma"), Some(Found { item: 3, others: vec![4] }));
        assert_eq!(item("1984"), Some(5));
    }

    #[test]
    fn unknown_items_bring_suggestions() {
        let films = films();
        let error = films.catalog().not_found("Star Warz");
        assert_eq!(error.suggestions[0], "Star Wars (1977)  (item 50)");
        assert!(error.to_string().starts_with("no item `Star Warz` among the 6 items of the model; perhaps"));
        assert_eq!(films.catalog().not_found("father").suggestions[0], "Godfather, The (1972)  (item 127)");
        let nothing = films.catalog().not_found("qqqq");
        assert_eq!(nothing.to_string(), "no item `qqqq` among the 6 items of the model");
    }

    #[test]
    fn users_are_found_by_id_alone() {
        let films = films();
        assert_eq!(films.find_user("12"), Ok(0));
        assert_eq!(films.find_user("abd").unwrap_err().suggestions, ["abc"]);
    }
}
