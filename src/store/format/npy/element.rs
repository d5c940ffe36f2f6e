//! What an array is made of.

use half::{bf16, f16};

use crate::element::DType;
use crate::store::block::Values;
use crate::store::stored::Stored;

/// The `descr` of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Descr {
    /// Numbers.
    Number(Number),
    /// Texts of so many characters at most, each a u32.
    Text { chars: usize, big: bool },
    /// Texts of so many bytes at most.
    Bytes(usize),
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Number {
    pub(in crate::store) kind: Kind,
    /// Bytes of a value.
    pub(in crate::store) size: usize,
    /// The high byte is first.
    pub(in crate::store) big: bool,
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Float,
    BFloat16,
    Signed,
    Unsigned,
    Bool,
}

impl Descr {
    /// The meaning of a `descr` such as `<f4`.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn parse(descr: &str) -> Result<Descr, String> {
        let shown = crate::store::format::number::shown(descr.as_bytes());
        let refuse =
            |what: &str| Err(format!("its values are {what} (`{shown}`); floating point, whole and bool numbers can be read"));
        // As ml_dtypes registers it. A two-byte void is how `numpy.save` spells it, since NumPy itself has no name for it.
        if matches!(descr, "bfloat16" | "<V2" | "|V2") {
            return Ok(Descr::Number(Number { kind: Kind::BFloat16, size: 2, big: false }));
        }
        let (order, code, size) = match descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'='), code @ b'!'..=b'~', ..] => (*order, *code, descr[2..].parse::<usize>().ok()),
            _ => return refuse("of a type that is not known"),
        };
        let big = order == b'>' || order == b'=' && cfg!(target_endian = "big");
        let number = |kind, size| Ok(Descr::Number(Number { kind, size, big }));
        match (code, size) {
            (b'f', Some(size @ (2 | 4 | 8))) => number(Kind::Float, size),
            (b'i', Some(size @ (1 | 2 | 4 | 8))) => number(Kind::Signed, size),
            (b'u', Some(size @ (1 | 2 | 4 | 8))) => number(Kind::Unsigned, size),
            (b'b', Some(1)) => number(Kind::Bool, 1),
            (b'U', Some(chars)) => Ok(Descr::Text { chars, big }),
            (b'S' | b'a', Some(bytes)) => Ok(Descr::Bytes(bytes)),
            (b'f', _) => refuse("floating point numbers of an unusual size"),
            (b'c', _) => refuse("complex numbers"),
            (b'O', _) => refuse("pickled Python objects, which are programs and are never run"),
            (b'M' | b'm', _) => refuse("times"),
            _ => refuse("of a type that is not known"),
        }
    }

    /// Bytes of a value, if that is a size.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Descr::Number(number) => Some(number.size),
            Descr::Text { chars, .. } => chars.checked_mul(4),
            Descr::Bytes(bytes) => Some(bytes),
        }
    }
}

impl Number {
    /// The element that it is read as.
    pub(in crate::store) fn dtype(self) -> DType {
        match (self.kind, self.size) {
            (Kind::Float, 2) => DType::F16,
            (Kind::BFloat16, _) => DType::BF16,
            _ => DType::F32,
        }
    }

    /// The type of the values.
    pub(in crate::store) fn stored(self) -> Stored {
        match (self.kind, self.size) {
            (Kind::Float, 2) => Stored::F16,
            (Kind::Float, 4) => Stored::F32,
            (Kind::Float, _) => Stored::F64,
            (Kind::BFloat16, _) => Stored::BF16,
            (Kind::Bool, _) => Stored::Bool,
            (Kind::Signed, 1) => Stored::I8,
            (Kind::Signed, 2) => Stored::I16,
            (Kind::Signed, 4) => Stored::I32,
            (Kind::Signed, _) => Stored::I64,
            (Kind::Unsigned, 1) => Stored::U8,
            (Kind::Unsigned, 2) => Stored::U16,
            (Kind::Unsigned, 4) => Stored::U32,
            (Kind::Unsigned, _) => Stored::U64,
        }
    }

    /// What reading it changes, in words for the user.
    pub(in crate::store) fn note(self) -> Option<String> {
        let bits = self.size * 8;
        match self.kind {
            Kind::Float if self.size == 8 => Some("f64 values are rounded to f32".to_owned()),
            Kind::Signed | Kind::Unsigned => {
                let sign = if self.kind == Kind::Signed { "int" } else { "uint" };
                let rounded = if bits > 16 { "; beyond 16,777,216 they are rounded" } else { "" };
                Some(format!("{sign}{bits} values are converted to f32{rounded}"))
            }
            Kind::Bool => Some("bool values are converted to f32: 0 and 1".to_owned()),
            Kind::BFloat16 => {
                Some("two-byte values without a type (`V2`) are taken for bfloat16, as ml_dtypes writes it".to_owned())
            }
            Kind::Float => None,
        }
    }

    /// Appends the values of these bytes, whole values. The element of `values` must be [`dtype`](Number::dtype).
    pub(in crate::store) fn decode(self, bytes: &[u8], values: &mut Values) {
        macro_rules! each {
            ($to:ident, $size:literal, $from:expr) => {
                $to.extend(bytes.chunks_exact($size).map(|x| {
                    let mut word = [0u8; $size];
                    word.copy_from_slice(x);
                    if self.big {
                        word.reverse();
                    }
                    $from(word)
                }))
            };
        }
        match values {
            Values::F16(to) => each!(to, 2, f16::from_le_bytes),
            Values::BF16(to) => each!(to, 2, bf16::from_le_bytes),
            Values::F32(to) => match (self.kind, self.size) {
                (Kind::Float, 4) => each!(to, 4, f32::from_le_bytes),
                (Kind::Float, _) => each!(to, 8, |x| f64::from_le_bytes(x) as f32),
                (Kind::Signed, 1) => each!(to, 1, |x| f32::from(i8::from_le_bytes(x))),
                (Kind::Signed, 2) => each!(to, 2, |x| f32::from(i16::from_le_bytes(x))),
                (Kind::Signed, 4) => each!(to, 4, |x| i32::from_le_bytes(x) as f32),
                (Kind::Signed, _) => each!(to, 8, |x| i64::from_le_bytes(x) as f32),
                (Kind::Unsigned, 1) => each!(to, 1, |[x]: [u8; 1]| f32::from(x)),
                (Kind::Unsigned, 2) => each!(to, 2, |x| f32::from(u16::from_le_bytes(x))),
                (Kind::Unsigned, 4) => each!(to, 4, |x| u32::from_le_bytes(x) as f32),
                (Kind::Unsigned, _) => each!(to, 8, |x| u64::from_le_bytes(x) as f32),
                (Kind::Bool | Kind::BFloat16, _) => each!(to, 1, |[x]: [u8; 1]| f32::from(u8::from(x != 0))),
            },
        }
    }
}
