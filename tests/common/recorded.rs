//! Recorded answers of other systems, as `tests/fixtures` holds them.

use hotrow::Element;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::Value;

/// The bytes of a file of `tests/fixtures`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Recorded tensors and the cases that name them.
pub struct Recorded {
    bytes: Vec<u8>,
    cases: Vec<Case>,
}

/// One case: what was called, with what, and what it answered. Inputs and outputs are names of tensors.
#[derive(Clone, Deserialize)]
pub struct Case {
    pub id: String,
    pub op: String,
    pub params: serde_json::Map<String, Value>,
    pub inputs: serde_json::Map<String, Value>,
    pub outputs: serde_json::Map<String, Value>,
}

impl Recorded {
    pub fn open(stem: &str) -> Recorded {
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Case>,
        }
        let file: File = serde_json::from_slice(&fixture(&format!("{stem}.json"))).unwrap();
        Recorded { bytes: fixture(&format!("{stem}.safetensors")), cases: file.cases }
    }

    /// The cases of one operation: `expected` of them, so that none is skipped in silence.
    pub fn of(&self, op: &str, expected: usize) -> Vec<Case> {
        let cases: Vec<Case> = self.cases.iter().filter(|case| case.op == op).cloned().collect();
        assert_eq!(cases.len(), expected, "{op}");
        cases
    }

    /// A tensor's shape and bytes.
    pub fn tensor(&self, name: &Value, dtype: Dtype) -> (Vec<usize>, Vec<u8>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name.as_str().unwrap()).unwrap();
        assert_eq!(tensor.dtype(), dtype);
        (tensor.shape().to_vec(), tensor.data().to_vec())
    }

    pub fn f32(&self, name: &Value) -> (Vec<usize>, Vec<f32>) {
        let (shape, bytes) = self.tensor(name, Dtype::F32);
        (shape, bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect())
    }

    pub fn f64(&self, name: &Value) -> Vec<f64> {
        self.tensor(name, Dtype::F64).1.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
    }

    pub fn i64(&self, name: &Value) -> (Vec<usize>, Vec<i64>) {
        let (shape, bytes) = self.tensor(name, Dtype::I64);
        (shape, bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect())
    }

    pub fn half<E: Element>(&self, name: &Value, from: fn([u8; 2]) -> E) -> (Vec<usize>, Vec<E>) {
        let dtype = if E::DTYPE == hotrow::DType::F16 { Dtype::F16 } else { Dtype::BF16 };
        let (shape, bytes) = self.tensor(name, dtype);
        (shape, bytes.chunks_exact(2).map(|b| from(b.try_into().unwrap())).collect())
    }
}

/// Sums in another order: a relative tolerance of 1e-5, on the scale of the largest value.
pub fn assert_close(got: &[f32], want: &[f64], context: &str) {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
    for (got, want) in got.iter().zip(want) {
        assert!((f64::from(*got) - want).abs() <= 1e-5 * scale, "{context}: {got} instead of {want}");
    }
}
