//! Rules and their hyperparameters by name, in both directions.

use hotrow::{Adagrad, Adam, AdamW, Error, Ftrl, PartialRowWiseAdam, RmsProp, RowWiseAdagrad, Rule, Sgd};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Failure, Result};

/// Names and values that a caller gave, taken one by one: what is left at the end is not known.
pub(crate) struct Named<'py>(Bound<'py, PyDict>);

impl<'py> Named<'py> {
    /// A copy of them.
    pub(crate) fn of(given: &Bound<'py, PyDict>) -> Result<Named<'py>> {
        Ok(Named(given.copy()?))
    }

    /// Takes a value out; `None` is as good as nothing.
    pub(crate) fn take(&self, name: &str) -> Result<Option<Bound<'py, PyAny>>> {
        let value = self.0.get_item(name)?;
        if value.is_some() {
            self.0.del_item(name)?;
        }
        Ok(value.filter(|value| !value.is_none()))
    }

    /// Takes a number out.
    pub(crate) fn number<T: Number>(&self, name: &str) -> Result<Option<T>> {
        self.take(name)?.map(|value| T::of(name, &value)).transpose()
    }

    /// One of those that are left.
    pub(crate) fn left(&self) -> Option<String> {
        self.0.keys().iter().next().map(|name| name.to_string())
    }
}

/// A hyperparameter.
pub(crate) trait Number: Sized {
    fn of(name: &str, value: &Bound<'_, PyAny>) -> Result<Self>;
    fn put(self, name: &str, into: &Bound<'_, PyDict>) -> PyResult<()>;
}

impl Number for f64 {
    fn of(name: &str, value: &Bound<'_, PyAny>) -> Result<f64> {
        value.extract().map_err(|_| Failure::Type(format!("{name} must be a number, not {}", value.get_type())))
    }

    fn put(self, name: &str, into: &Bound<'_, PyDict>) -> PyResult<()> {
        into.set_item(name, self)
    }
}

impl Number for f32 {
    fn of(name: &str, value: &Bound<'_, PyAny>) -> Result<f32> {
        Ok(f64::of(name, value)? as f32)
    }

    /// As the Python float that equals it.
    fn put(self, name: &str, into: &Bound<'_, PyDict>) -> PyResult<()> {
        into.set_item(name, f64::from(self))
    }
}

impl Number for bool {
    fn of(name: &str, value: &Bound<'_, PyAny>) -> Result<bool> {
        value.is_truthy().map_err(|_| Failure::Type(format!("{name} must be true or false, not {}", value.get_type())))
    }

    fn put(self, name: &str, into: &Bound<'_, PyDict>) -> PyResult<()> {
        into.set_item(name, self)
    }
}

impl Number for u64 {
    fn of(name: &str, value: &Bound<'_, PyAny>) -> Result<u64> {
        let whole = value
            .call_method0("__index__")
            .map_err(|_| Failure::Type(format!("{name} must be a whole number, not {}", value.get_type())))?;
        whole.extract().map_err(|_| Failure::Value(format!("{name} must be from 0 to 18446744073709551615, and is {whole}")))
    }

    fn put(self, name: &str, into: &Bound<'_, PyDict>) -> PyResult<()> {
        into.set_item(name, self)
    }
}

/// Both directions for all rules, from one list of their fields.
macro_rules! hyperparameters {
    ($($config:ident { $($field:ident),+ })+) => {
        /// A rule by its name, with the hyperparameters that are given and the defaults for the others. Takes them out of `given`.
        pub(crate) fn rule(name: &str, given: &Named<'_>) -> Result<Rule> {
            match name.parse()? {
                $(Rule::$config(mut config) => {
                    $(if let Some(value) = given.number(stringify!($field))? {
                        config.$field = value;
                    })+
                    Ok(config.into())
                })+
                other => Err(unknown(other)),
            }
        }

        /// The names of a rule's hyperparameters.
        pub(crate) fn names(rule: Rule) -> &'static [&'static str] {
            match rule {
                $(Rule::$config(_) => &[$(stringify!($field)),+],)+
                _ => &[],
            }
        }

        /// Writes a rule's hyperparameters.
        pub(crate) fn put(rule: Rule, into: &Bound<'_, PyDict>) -> Result<()> {
            match rule {
                $(Rule::$config($config { $($field),+ }) => {
                    $($field.put(stringify!($field), into)?;)+
                    Ok(())
                })+
                other => Err(unknown(other)),
            }
        }
    };
}

hyperparameters! {
    Sgd { lr, momentum, nesterov }
    Adagrad { lr, eps, initial_accumulator }
    RowWiseAdagrad { lr, eps, initial_accumulator }
    Adam { lr, beta1, beta2, eps }
    AdamW { lr, beta1, beta2, eps, weight_decay }
    PartialRowWiseAdam { lr, beta1, beta2, eps }
    RmsProp { lr, rho, momentum, eps }
    Ftrl { lr, l1, l2, initial_accumulator }
}

/// A rule that the engine has and this package does not know.
fn unknown(rule: Rule) -> Failure {
    Error::UnknownName { what: "optimizer", given: rule.name().to_owned(), expected: "one that the package knows" }.into()
}
