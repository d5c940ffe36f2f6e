//! Which tensor of a file is the table.

use super::header::{Header, TensorInfo, quoted};
use crate::element::DType;
use crate::store::error::FileResult;
use crate::store::source::Source;

/// A tensor that is a table.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) tensor: TensorInfo,
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    /// The element in which it is read.
    pub(crate) dtype: DType,
}

/// The table of this name, or the only tensor that can be one: of two dimensions, and of numbers with a fraction if there are such.
pub(crate) fn choose(source: &Source, header: &Header, name: Option<&str>) -> FileResult<Chosen> {
    let tensor = match name {
        Some(name) => {
            let found = header.tensor(name);
            found.ok_or_else(|| source.unsupported(format!("it has no tensor {}; {}", quoted(name), listed(header))))?
        }
        None => {
            let tables = || header.tensors.iter().filter(|tensor| table(tensor).is_some());
            let floats: Vec<_> = tables().filter(|tensor| tensor.dtype.is_float()).collect();
            let candidates = if floats.is_empty() { tables().collect() } else { floats };
            match candidates[..] {
                [only] => only,
                [] => return Err(source.unsupported(format!("it holds no table; {}", listed(header)))),
                _ => return Err(source.unsupported(format!("it holds several tables, so say which; {}", listed(header)))),
            }
        }
    };
    let called = quoted(&tensor.name);
    let &[rows, dim] = &tensor.shape[..] else {
        let problem =
            format!("tensor {called} has the shape {:?}, and a table has two dimensions; {}", tensor.shape, listed(header));
        return Err(source.unsupported(problem));
    };
    let Some(dtype) = tensor.dtype.read_as() else {
        return Err(
            source.unsupported(format!("tensor {called} is of {} values, of which a table cannot be made here", tensor.dtype))
        );
    };
    Ok(Chosen { tensor: tensor.clone(), rows, dim, dtype })
}

fn table(tensor: &TensorInfo) -> Option<[usize; 2]> {
    tensor.dtype.read_as()?;
    tensor.shape[..].try_into().ok()
}

/// The tables of a file, in words.
fn listed(header: &Header) -> String {
    const SHOWN: usize = 20;
    let mut tables: Vec<_> = header.tensors.iter().filter(|tensor| table(tensor).is_some()).collect();
    if tables.is_empty() {
        return "none of its tensors has two dimensions and a type that can be read".to_owned();
    }
    tables.sort_by_key(|tensor| !tensor.dtype.is_float());
    let name = |tensor: &&TensorInfo| format!("{} {:?} {}", quoted(&tensor.name), tensor.shape, tensor.dtype);
    let mut text: Vec<String> = tables.iter().take(SHOWN).map(name).collect();
    if tables.len() > SHOWN {
        text.push(format!("and {} more", tables.len() - SHOWN));
    }
    format!("its tables are {}", text.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::safetensors::{NewTensor, lay_out};
    use crate::store::stored::Stored;

    fn chosen(tensors: &[(&str, Stored, &[usize])], name: Option<&str>) -> Result<String, String> {
        let new = |&(name, dtype, shape): &(&str, Stored, &[usize])| NewTensor {
            name: name.into(),
            dtype,
            shape: shape.into(),
            crc32: None,
        };
        let layout = lay_out(&tensors.iter().map(new).collect::<Vec<_>>(), &BTreeMap::new(), 0).unwrap();
        let mut bytes = layout.head;
        bytes.resize(layout.bytes as usize, 0);
        let source = Source::memory("x", bytes);
        let header = Header::read(&source).unwrap();
        choose(&source, &header, name).map(|chosen| chosen.tensor.name).map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_table_is_the_table() {
        let (table, ints) = (("t", Stored::F64, &[2, 3][..]), ("i", Stored::I32, &[2, 3][..]));
        let (flat, deep, odd) = (("f", Stored::F32, &[6][..]), ("d", Stored::F32, &[1, 2, 3][..]), ("o", Stored::C64, &[2, 3][..]));
        assert_eq!(chosen(&[flat, deep, table, ints, odd], None).unwrap(), "t");
        assert_eq!(chosen(&[flat, ints], None).unwrap(), "i");
        assert_eq!(chosen(&[table, ints], Some("i")).unwrap(), "i");
        assert_eq!(
            chosen(&[flat, deep], None).unwrap_err(),
            "x: it holds no table; none of its tensors has two dimensions and a type that can be read"
        );
        assert_eq!(
            chosen(&[flat, table, ("u", Stored::F32, &[0, 9]), ints], None).unwrap_err(),
            "x: it holds several tables, so say which; its tables are `u` [0, 9] f32, `t` [2, 3] f64, `i` [2, 3] i32"
        );
        assert_eq!(chosen(&[table], Some("v")).unwrap_err(), "x: it has no tensor `v`; its tables are `t` [2, 3] f64");
        assert_eq!(
            chosen(&[table, deep], Some("d")).unwrap_err(),
            "x: tensor `d` has the shape [1, 2, 3], and a table has two dimensions; its tables are `t` [2, 3] f64"
        );
        assert!(chosen(&[odd], Some("o")).unwrap_err().contains("tensor `o` is of c64 values"));
    }
}
