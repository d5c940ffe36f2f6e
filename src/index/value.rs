//! Ids as values, for messages.

use std::fmt;

/// The type of an id array. Displayed by its NumPy name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum IdType {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Usize,
    Bool,
    F16,
    BF16,
    F32,
    F64,
}

impl fmt::Display for IdType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdType::I8 => "int8",
            IdType::I16 => "int16",
            IdType::I32 => "int32",
            IdType::I64 => "int64",
            IdType::U8 => "uint8",
            IdType::U16 => "uint16",
            IdType::U32 => "uint32",
            IdType::U64 => "uint64",
            IdType::Usize => "usize",
            IdType::Bool => "bool",
            IdType::F16 => "float16",
            IdType::BF16 => "bfloat16",
            IdType::F32 => "float32",
            IdType::F64 => "float64",
        })
    }
}

/// One id as it was given, before any cast. Compared by bits, so that NaN equals itself.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum IdValue {
    /// From a signed type.
    Int(i64),
    /// From an unsigned type.
    UInt(u64),
    /// From `bool`.
    Bool(bool),
    /// From a floating type, widened exactly.
    Float(f64),
}

impl PartialEq for IdValue {
    fn eq(&self, other: &IdValue) -> bool {
        match (self, other) {
            (IdValue::Int(a), IdValue::Int(b)) => a == b,
            (IdValue::UInt(a), IdValue::UInt(b)) => a == b,
            (IdValue::Bool(a), IdValue::Bool(b)) => a == b,
            (IdValue::Float(a), IdValue::Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

impl fmt::Display for IdValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdValue::Int(x) => x.fmt(f),
            IdValue::UInt(x) => x.fmt(f),
            IdValue::Bool(x) => x.fmt(f),
            IdValue::Float(x) => fmt::Debug::fmt(x, f),
        }
    }
}
