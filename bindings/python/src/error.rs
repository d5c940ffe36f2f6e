//! The engine's errors as Python's.

use hotrow::Error;
use hotrow::store::FileError;
use pyo3::PyErr;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyTypeError, PyValueError};

/// What the functions of this crate fail with, before it is an exception.
pub(crate) enum Failure {
    /// The engine refused.
    Engine(Error),
    /// A file could not be used.
    File(FileError),
    /// Something is of the wrong type.
    Type(String),
    /// Something has the wrong value or shape.
    Value(String),
    /// Python itself failed.
    Python(PyErr),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Engine(error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Failure::File(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Failure {
        Failure::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        match failure {
            Failure::Engine(error) => of_engine(&error),
            Failure::File(error) => of_file(&error),
            Failure::Type(message) => PyTypeError::new_err(message),
            Failure::Value(message) => PyValueError::new_err(message),
            Failure::Python(error) => error,
        }
    }
}

fn of_engine(error: &Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::IdOutOfRange { .. } | Error::NoSuchRow { .. } => PyIndexError::new_err(message),
        Error::IdTypeRefused { .. } => PyTypeError::new_err(message),
        Error::OutOfMemory { .. } => PyMemoryError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

fn of_file(error: &FileError) -> PyErr {
    let message = error.to_string();
    match error {
        // From the kind Python's exception follows: FileNotFoundError, PermissionError and so on.
        FileError::Io { kind, .. } => std::io::Error::new(*kind, message).into(),
        FileError::Engine { error: Error::OutOfMemory { .. }, .. } => PyMemoryError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}
