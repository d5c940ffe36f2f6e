//! Typed access to the fields of one JSON object, with errors that name the object and the field.

use serde_json::{Map, Value};

use super::error::{Problem, WorkloadError};

/// How much of an offending value an error quotes.
const QUOTED_CHARS: usize = 40;

/// One JSON object, and what to call it in an error.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    label: String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(object: &'a Map<String, Value>, label: String) -> Fields<'a> {
        Fields { object, label }
    }

    /// The error for a field of this object.
    pub(super) fn refuse(&self, field: &str, problem: Problem) -> WorkloadError {
        WorkloadError::Field { workload: self.label.clone(), field: field.to_owned(), problem }
    }

    /// The error for a field whose value is of another kind than `what`.
    pub(super) fn expected(&self, field: &str, what: &'static str, found: &Value) -> WorkloadError {
        self.refuse(field, Problem::Expected { what, found: quote(found) })
    }

    /// Refuses names that are not in `known`: a misspelt field must not silently become a default.
    pub(super) fn only(&self, known: &'static [&'static str]) -> Result<(), WorkloadError> {
        match self.object.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(self.refuse(&shorten(key), Problem::Unknown { known })),
        }
    }

    /// Refuses fields that mean nothing here.
    pub(super) fn none_of(&self, fields: &[&str], to: &'static str) -> Result<(), WorkloadError> {
        match fields.iter().find(|field| self.get(field).is_some()) {
            None => Ok(()),
            Some(field) => Err(self.refuse(field, Problem::DoesNotApply { to })),
        }
    }

    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.object.get(field)
    }

    pub(super) fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, WorkloadError> {
        value.ok_or_else(|| self.refuse(field, Problem::Missing))
    }

    /// A whole number of at least 1.
    pub(super) fn count(&self, field: &str) -> Result<Option<usize>, WorkloadError> {
        self.get(field).map(|value| self.count_in(field, value)).transpose()
    }

    /// The same, of a value inside a field.
    pub(super) fn count_in(&self, field: &str, value: &Value) -> Result<usize, WorkloadError> {
        let number = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
        number.ok_or_else(|| self.expected(field, "a whole number of at least 1", value))
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, WorkloadError> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| self.expected(field, "true or false", value));
        self.get(field).map(flag).transpose()
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, WorkloadError> {
        let text = |value: &'a Value| value.as_str().ok_or_else(|| self.expected(field, "a string", value));
        self.get(field).map(text).transpose()
    }

    /// One of the `known` words, as the value at the same place in `values`.
    pub(super) fn word<T: Copy>(
        &self,
        field: &str,
        known: &'static [&'static str],
        values: &[T],
    ) -> Result<Option<T>, WorkloadError> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        match known.iter().zip(values).find(|(word, _)| **word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => Err(self.refuse(field, Problem::NotOneOf { known, found: shorten(text) })),
        }
    }

    /// A number from `low` to `high`.
    pub(super) fn number_in(
        &self,
        field: &str,
        value: &Value,
        (low, high): (f64, f64),
        what: &'static str,
    ) -> Result<f64, WorkloadError> {
        let number = value.as_f64().filter(|number| (low..=high).contains(number));
        number.ok_or_else(|| self.expected(field, what, value))
    }
}

/// The value as JSON, cut where it grows long: an error is to be read by a person.
pub(super) fn quote(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
        _ => shorten(&value.to_string()),
    }
}

/// A piece of the file as an error shows it: short, and safe to print on a terminal.
pub(in crate::bench) fn shorten(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == QUOTED_CHARS {
            shown.push_str("...");
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
