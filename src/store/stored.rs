//! The types of numbers that files hold.

use std::fmt;

use crate::element::DType;

/// A type of number in a file: more than a table can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // the names say it
pub enum Stored {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    BF16,
    F32,
    F64,
    /// Complex, of two f32.
    C64,
    F8E5M2,
    F8E4M3,
    F8E8M0,
    F8E5M2Fnuz,
    F8E4M3Fnuz,
    F6E3M2,
    F6E2M3,
    F4,
}

impl Stored {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Stored::Bool => "bool",
            Stored::U8 => "u8",
            Stored::I8 => "i8",
            Stored::U16 => "u16",
            Stored::I16 => "i16",
            Stored::U32 => "u32",
            Stored::I32 => "i32",
            Stored::U64 => "u64",
            Stored::I64 => "i64",
            Stored::F16 => "f16",
            Stored::BF16 => "bf16",
            Stored::F32 => "f32",
            Stored::F64 => "f64",
            Stored::C64 => "c64",
            Stored::F8E5M2 => "f8_e5m2",
            Stored::F8E4M3 => "f8_e4m3",
            Stored::F8E8M0 => "f8_e8m0",
            Stored::F8E5M2Fnuz => "f8_e5m2fnuz",
            Stored::F8E4M3Fnuz => "f8_e4m3fnuz",
            Stored::F6E3M2 => "f6_e3m2",
            Stored::F6E2M3 => "f6_e2m3",
            Stored::F4 => "f4",
        }
    }

    /// Bits of one value.
    pub fn bits(self) -> usize {
        match self {
            Stored::F4 => 4,
            Stored::F6E3M2 | Stored::F6E2M3 => 6,
            Stored::Bool | Stored::U8 | Stored::I8 => 8,
            Stored::F8E5M2 | Stored::F8E4M3 | Stored::F8E8M0 | Stored::F8E5M2Fnuz | Stored::F8E4M3Fnuz => 8,
            Stored::U16 | Stored::I16 | Stored::F16 | Stored::BF16 => 16,
            Stored::U32 | Stored::I32 | Stored::F32 => 32,
            Stored::U64 | Stored::I64 | Stored::F64 | Stored::C64 => 64,
        }
    }

    /// The element of a table that is stored so, bit by bit.
    pub fn dtype(self) -> Option<DType> {
        match self {
            Stored::F32 => Some(DType::F32),
            Stored::F16 => Some(DType::F16),
            Stored::BF16 => Some(DType::BF16),
            _ => None,
        }
    }

    /// The element that a table of these numbers has here: its own, or f32. `None` where they cannot be read at all.
    pub fn read_as(self) -> Option<DType> {
        match self {
            Stored::F64 | Stored::Bool => Some(DType::F32),
            Stored::U8 | Stored::I8 | Stored::U16 | Stored::I16 => Some(DType::F32),
            Stored::U32 | Stored::I32 | Stored::U64 | Stored::I64 => Some(DType::F32),
            _ => self.dtype(),
        }
    }

    /// What happens to the numbers when they are read, in words; `None` where nothing does.
    pub fn note(self) -> Option<String> {
        match self {
            Stored::F64 | Stored::U32 | Stored::I32 | Stored::U64 | Stored::I64 => {
                Some(format!("{self} values are rounded to f32"))
            }
            Stored::Bool | Stored::U8 | Stored::I8 | Stored::U16 | Stored::I16 => Some(format!("{self} values are read as f32")),
            _ => None,
        }
    }

    /// Whether these are numbers with a fraction.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Stored::F64) || self.dtype().is_some()
    }

    /// Reads values of a type that is [read as](Stored::read_as) f32 without being it, from little-endian bytes of as many.
    pub(crate) fn widen(self, bytes: &[u8], into: &mut [f32]) {
        macro_rules! read {
            ($number:ty) => {
                for (value, bytes) in into.iter_mut().zip(bytes.as_chunks().0) {
                    *value = <$number>::from_le_bytes(*bytes) as f32;
                }
            };
        }
        debug_assert_eq!(bytes.len(), into.len() * self.bits() / 8);
        match self {
            Stored::Bool | Stored::U8 => read!(u8),
            Stored::I8 => read!(i8),
            Stored::U16 => read!(u16),
            Stored::I16 => read!(i16),
            Stored::U32 => read!(u32),
            Stored::I32 => read!(i32),
            Stored::U64 => read!(u64),
            Stored::I64 => read!(i64),
            Stored::F64 => read!(f64),
            Stored::F32 => read!(f32),
            _ => unreachable!("{self} is not read as f32"),
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<DType> for Stored {
    fn from(dtype: DType) -> Stored {
        match dtype {
            DType::F32 => Stored::F32,
            DType::F16 => Stored::F16,
            DType::BF16 => Stored::BF16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_doubles_are_widened() {
        let mut out = [0.0; 2];
        Stored::F64.widen(&[0.1f64.to_le_bytes(), (-2.5f64).to_le_bytes()].concat(), &mut out);
        assert_eq!(out, [0.1, -2.5]);
        Stored::I16.widen(&[(-3i16).to_le_bytes(), 7i16.to_le_bytes()].concat(), &mut out);
        assert_eq!(out, [-3.0, 7.0]);
        Stored::U64.widen(&[u64::MAX.to_le_bytes(), 1u64.to_le_bytes()].concat(), &mut out);
        assert_eq!(out, [18_446_744_073_709_551_615.0, 1.0]);
        assert_eq!(Stored::I64.note().unwrap(), "i64 values are rounded to f32");
        assert_eq!((Stored::BF16.note(), Stored::C64.read_as()), (None, None));
    }
}
