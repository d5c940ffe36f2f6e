//! Headers of our own.

use std::collections::BTreeMap;

use serde_json::Value;

use super::header::{HEADER_CAP, TensorInfo, checksum_key, checksum_text};
use crate::store::stored::Stored;

/// Where tables begin: at a multiple of so many bytes, a cache line.
const ALIGN: u64 = 64;

/// A tensor to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewTensor {
    pub(crate) name: String,
    pub(crate) dtype: Stored,
    pub(crate) shape: Vec<usize>,
    pub(crate) crc32: Option<u32>,
}

/// A header, and where its tensors go.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The first bytes of the file: the length, the header, and spaces up to the first tensor.
    pub(crate) head: Vec<u8>,
    /// The tensors in the order in which they were given.
    pub(crate) tensors: Vec<TensorInfo>,
    /// How long the file is.
    pub(crate) bytes: u64,
}

/// Lays out a file. Tensors begin at multiples of 64 bytes, apart from those of bytes (texts), which come last; those whose size is such a
/// multiple come first, so that padding is rarely needed. Where it is, a tensor `__padding__.N` of zeros fills the gap, since the format
/// allows none. The first tensor begins at `reserve` or later.
///
/// The length of the header depends on the names, types and shapes and on which checksums there are, not on the checksums themselves.
///
/// `Err` says in words what does not fit.
pub(crate) fn lay_out(tensors: &[NewTensor], metadata: &BTreeMap<String, String>, reserve: usize) -> Result<Layout, String> {
    let sized: Vec<u64> = tensors.iter().map(size).collect::<Result<_, _>>()?;
    let class = |&at: &usize| match tensors[at].dtype {
        Stored::U8 => 2,
        _ => u8::from(!sized[at].is_multiple_of(ALIGN)),
    };
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(class);

    let too_long = || "the file would have more than 2^63 bytes".to_owned();
    let mut described = Vec::new();
    let mut offsets = vec![0; tensors.len()];
    let (mut end, mut paddings) = (0u64, 0);
    for at in order {
        let gap = end.wrapping_neg() % ALIGN;
        if class(&at) < 2 && gap > 0 {
            described.push((format!("__padding__.{paddings}"), Stored::U8, vec![gap as usize], end, end + gap));
            paddings += 1;
            end += gap;
        }
        let next = end.checked_add(sized[at]).filter(|&next| next < 1 << 62).ok_or_else(too_long)?;
        let tensor = &tensors[at];
        described.push((tensor.name.clone(), tensor.dtype, tensor.shape.clone(), end, next));
        (offsets[at], end) = (end, next);
    }

    let mut metadata = metadata.clone();
    metadata.insert("producer".into(), "hotrow".into());
    metadata.extend(tensors.iter().filter_map(|tensor| Some((checksum_key(&tensor.name), checksum_text(tensor.crc32?)))));
    let head = head(&metadata, &described, reserve)?;
    let placed = |(at, tensor): (usize, &NewTensor)| TensorInfo {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        offset: head.len() as u64 + offsets[at],
        bytes: sized[at],
        crc32: tensor.crc32,
    };
    Ok(Layout { tensors: tensors.iter().enumerate().map(placed).collect(), bytes: head.len() as u64 + end, head })
}

fn size(tensor: &NewTensor) -> Result<u64, String> {
    let bytes = tensor.shape.iter().try_fold(tensor.dtype.bits() as u64 / 8, |bytes, &size| bytes.checked_mul(size as u64));
    bytes.ok_or_else(|| format!("a tensor of shape {:?} has more bytes than can be counted", tensor.shape))
}

/// The length, the header and spaces.
fn head(
    metadata: &BTreeMap<String, String>,
    described: &[(String, Stored, Vec<usize>, u64, u64)],
    reserve: usize,
) -> Result<Vec<u8>, String> {
    let mut head = vec![0; 8];
    head.extend(format!(r#"{{"__metadata__":{}"#, serde_json::json!(metadata)).bytes());
    for (name, dtype, shape, from, end) in described {
        let name = Value::from(name.as_str());
        let dtype = dtype.name().to_uppercase();
        head.extend(format!(r#",{name}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{end}]}}"#).bytes());
    }
    head.push(b'}');
    let len = head.len().max(reserve).next_multiple_of(ALIGN as usize);
    head.resize(len, b' ');
    let header = len as u64 - 8;
    if header > HEADER_CAP {
        return Err(format!("the header would have {header} bytes; at most {HEADER_CAP} are written"));
    }
    head[..8].copy_from_slice(&header.to_le_bytes());
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::safetensors::Header;
    use crate::store::source::Source;

    fn new(name: &str, dtype: Stored, shape: &[usize]) -> NewTensor {
        NewTensor { name: name.into(), dtype, shape: shape.into(), crc32: Some(0) }
    }

    #[test]
    fn tables_are_aligned_and_the_crate_reads_it() {
        let mut tensors = [
            new("t.ids", Stored::U8, &[5]),
            new("odd", Stored::F32, &[3, 5]),
            new("odder", Stored::BF16, &[1, 1]),
            new("t", Stored::F16, &[4, 32]),
            new("none", Stored::F64, &[0, 9]),
            new("q\"\\\n", Stored::F8E4M3, &[128]),
        ];
        let first = lay_out(&tensors, &BTreeMap::new(), 0).unwrap();
        for (at, tensor) in tensors.iter_mut().enumerate() {
            tensor.crc32 = Some(u32::MAX / (at as u32 + 1));
        }
        let layout = lay_out(&tensors, &BTreeMap::from([("k".to_owned(), "v".to_owned())]), 5000).unwrap();
        assert!(first.head.len() < 5000 && layout.head.len() == 5056);
        let mut bytes = layout.head.clone();
        bytes.resize(layout.bytes as usize, 0);
        safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let header = Header::read(&Source::memory("x", bytes)).unwrap();
        for (tensor, placed) in tensors.iter().zip(&layout.tensors) {
            assert_eq!(header.tensor(&tensor.name), Some(placed));
            assert!(placed.offset.is_multiple_of(64) || tensor.dtype == Stored::U8, "{placed:?}");
        }
        let names: Vec<_> = header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["t", "none", "q\"\\\n", "odd", "__padding__.0", "odder", "t.ids"]);
        assert_eq!((header.metadata["producer"].as_str(), header.metadata["k"].as_str()), ("hotrow", "v"));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let huge = lay_out(&[new("t", Stored::F32, &[usize::MAX, 2])], &BTreeMap::new(), 0);
        assert!(huge.unwrap_err().ends_with("has more bytes than can be counted"));
        let many = lay_out(&vec![new("t", Stored::F32, &[1 << 59]); 9], &BTreeMap::new(), 0);
        assert_eq!(many.unwrap_err(), "the file would have more than 2^63 bytes");
        let long = lay_out(&[new(&"t".repeat(HEADER_CAP as usize), Stored::F32, &[1])], &BTreeMap::new(), 0);
        assert!(long.unwrap_err().starts_with("the header would have "));
    }
}
