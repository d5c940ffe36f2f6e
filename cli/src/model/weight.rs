//! The types of number that a table may have.

use std::fmt;

use clap::ValueEnum;
use hotrow::{AnyTable, Element, Table, Widen, bf16, f16};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

/// Type of the numbers in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits
    F32,
    /// 16 bits, of which 10 are fraction
    F16,
    /// 16 bits, of which 7 are fraction, with the range of f32
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
        })
    }
}

/// A number that tables are trained in and stored as.
pub trait Weight: Element + Widen<f32> {
    /// The same type, as a file names it.
    const STORED: Dtype;
    /// Appends the bytes of numbers, the least significant first.
    fn write(values: &[Self], bytes: &mut Vec<u8>);
    /// The numbers in bytes that [`write`](Self::write) appended, as `f32`, which holds each of them exactly.
    fn read(bytes: &[u8]) -> Vec<f32>;
    /// A table, if it is one of these numbers.
    fn table(table: AnyTable) -> Option<Table<Self>>;
}

macro_rules! weight {
    ($type:ty, $stored:expr, $size:literal, $any:ident) => {
        impl Weight for $type {
            const STORED: Dtype = $stored;

            fn write(values: &[Self], bytes: &mut Vec<u8>) {
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }

            fn read(bytes: &[u8]) -> Vec<f32> {
                let (values, _) = bytes.as_chunks::<$size>();
                values.iter().map(|value| f32::from(<$type>::from_le_bytes(*value))).collect()
            }

            fn table(table: AnyTable) -> Option<Table<Self>> {
                if let AnyTable::$any(table) = table { Some(table) } else { None }
            }
        }
    };
}

weight!(f32, Dtype::F32, 4, F32);
weight!(f16, Dtype::F16, 2, F16);
weight!(bf16, Dtype::BF16, 2, BF16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        fn check<E: Weight>(size: usize) {
            let values = [0.0, -1.5, 0.25, 3.0].map(E::from_f32);
            let mut bytes = Vec::new();
            E::write(&values, &mut bytes);
            assert_eq!(bytes.len(), 4 * size);
            assert_eq!(E::read(&bytes), [0.0, -1.5, 0.25, 3.0]);
        }
        check::<f32>(4);
        check::<f16>(2);
        check::<bf16>(2);
        let mut bytes = Vec::new();
        f32::write(&[1.0], &mut bytes);
        assert_eq!(bytes, [0, 0, 0x80, 0x3f]);
    }
}
