//! Tables that are read and tables that are mapped: the same to the bit, whoever wrote the file.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::Random;
use hotrow::store::{
    self, Advice, Block, FileError, FileResult, Open, OpenOptions, OpenTable, SafetensorsWriter, Values, WriteRows,
};
use hotrow::{AnyView, Bags, DType, Pooling, Workspace, bag, bf16, f16, gather_f32};
use tempfile::TempDir;

const ROWS: usize = 3_000;
const DIM: usize = 13;

fn values(dtype: DType, len: usize, seed: u64) -> Values {
    let mut random = Random(seed);
    let mut bits = || random.next() as u32;
    match dtype {
        DType::F16 => Values::F16((0..len).map(|_| f16::from_bits(bits() as u16)).collect()),
        DType::BF16 => Values::BF16((0..len).map(|_| bf16::from_bits(bits() as u16)).collect()),
        _ => Values::F32((0..len).map(|_| f32::from_bits(bits())).collect()),
    }
}

fn save(path: &Path, dtype: DType, seed: u64) -> Values {
    let values = values(dtype, ROWS * DIM, seed);
    let words = (0..ROWS).map(|row| format!("wörd {row}")).collect();
    let mut writer = SafetensorsWriter::create(path, "t", DIM, dtype, true).unwrap();
    let block = Block { values, words };
    writer.write(&block).unwrap();
    Box::new(writer).finish().unwrap();
    block.values
}

fn open(path: &Path, how: Open) -> FileResult<OpenTable> {
    store::open(path, &OpenOptions { open: how, ..Default::default() })
}

/// The bits of all values, widened.
fn bits(table: AnyView<'_>) -> Vec<u32> {
    (0..table.shape()[0]).flat_map(|row| table.row_f32(row).unwrap()).map(f32::to_bits).collect()
}

fn widened(values: &Values) -> Vec<u32> {
    let Values::F32(values) = values.convert(DType::F32) else { unreachable!() };
    values.iter().map(|x| x.to_bits()).collect()
}

/// Rows and bags of a table, as bits.
fn looked_up(table: AnyView<'_>) -> Vec<u32> {
    fn typed<E: hotrow::Widen<f32>>(table: hotrow::TableView<'_, E>) -> Vec<u32> {
        let mut random = Random(5);
        let ids: Vec<i64> = (0..999).map(|_| random.below(ROWS) as i64).collect();
        let bags = Bags::from_offsets(&ids, &[0_i64, 7, 7, 500, 998]);
        let rows = gather_f32(table, &ids).unwrap();
        let bags = bag(table, &bags, Pooling::Mean).unwrap();
        let bags = bags.as_slice().iter().copied();
        rows.as_slice().iter().copied().chain(bags).map(f32::to_bits).collect()
    }
    match table {
        AnyView::F32(table) => typed(table),
        AnyView::F16(table) => typed(table),
        AnyView::BF16(table) => typed(table),
        _ => unreachable!(),
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("a.safetensors")
}

#[test]
fn read_and_mapped_tables_are_equal_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let saved = save(&file(&folder), dtype, 1);
        let (read, mapped) = (open(&file(&folder), Open::Read).unwrap(), open(&file(&folder), Open::Map).unwrap());
        for opened in [&read, &mapped] {
            assert_eq!((opened.dtype(), opened.shape(), opened.name()), (dtype, [ROWS, DIM], Some("t")));
            assert_eq!(opened.words().unwrap().unwrap()[ROWS - 1], format!("wörd {}", ROWS - 1));
            assert_eq!(opened.titles().unwrap(), None);
            assert!(opened.notes().is_empty());
        }
        let mapping = mapped.mapped().unwrap();
        for advice in [Advice::Random, Advice::Sequential, Advice::WillNeed] {
            mapping.advise(advice).unwrap();
        }
        mapping.prefault();
        assert!(mapping.verify(&|_| ()).unwrap());
        assert_eq!(bits(read.table()), widened(&saved));
        assert_eq!(bits(mapped.table()), widened(&saved));
        assert_eq!(looked_up(mapped.table()), looked_up(read.table()));
        assert_eq!(bits(mapped.into_table().unwrap().view()), widened(&saved));
    }
}

#[test]
fn a_file_saved_over_a_mapped_one_changes_nothing_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = save(&file(&folder), DType::F32, 1);
    let mapped = open(&file(&folder), Open::Map).unwrap();
    let second = save(&file(&folder), DType::F32, 2);
    // Words are read late, from the same file as the rows.
    assert_eq!(bits(mapped.table()), widened(&first));
    assert_eq!(mapped.words().unwrap().unwrap().len(), ROWS);
    assert!(mapped.mapped().unwrap().verify(&|_| ()).unwrap());
    assert_eq!(bits(open(&file(&folder), Open::Map).unwrap().table()), widened(&second));
}

#[test]
fn damage_is_seen_when_a_table_is_read_or_verified() {
    let folder = tempfile::tempdir().unwrap();
    save(&file(&folder), DType::F16, 1);
    let mut bytes = fs::read(file(&folder)).unwrap();
    let table = store::Header::open(&file(&folder)).unwrap().tensor("t").unwrap().clone();
    bytes[(table.offset + table.bytes / 2) as usize] ^= 4;
    let damaged = folder.path().join("b");
    fs::write(&damaged, &bytes).unwrap();
    let check = |error: FileError| {
        assert!(matches!(&error, FileError::Checksum { what, .. } if what == "tensor `t`"), "{error}");
    };
    check(open(&damaged, Open::Read).unwrap_err());
    let mapped = open(&damaged, Open::Map).unwrap();
    check(mapped.mapped().unwrap().verify(&|_| ()).unwrap_err());
    fs::write(&damaged, &bytes[..bytes.len() - 1]).unwrap();
    for how in [Open::Read, Open::Map] {
        let error = open(&damaged, how).unwrap_err().to_string();
        assert!(error.contains("it is cut short"), "{error}");
    }
}

/// A file that somebody else wrote: a header of any length, tensors one after the other, no checksums.
fn foreign(path: &Path, header_padding: usize, dtype: &str, bytes: &[u8], rows: usize) {
    let header = format!(
        r#"{{"first":{{"dtype":"U8","shape":[8],"data_offsets":[0,8]}},"t":{{"dtype":"{dtype}","shape":[{rows},2],"data_offsets":[8,{}]}}}}{}"#,
        8 + bytes.len(),
        " ".repeat(header_padding)
    );
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[7; 8], bytes].concat();
    fs::write(path, file).unwrap();
}

#[test]
fn files_with_any_alignment_are_read_and_mapped_where_values_are_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let Values::F32(saved) = values(DType::F32, 10, 3) else { unreachable!() };
    let bytes: Vec<u8> = saved.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut mapped = 0;
    for padding in 0..8 {
        foreign(&file(&folder), padding, "F32", &bytes, 5);
        let read = open(&file(&folder), Open::Read).unwrap();
        assert_eq!(bits(read.table()), widened(&Values::F32(saved.clone())), "{padding}");
        assert_eq!(read.words().unwrap(), None);
        match open(&file(&folder), Open::Map) {
            Ok(opened) => {
                assert_eq!(bits(opened.table()), widened(&Values::F32(saved.clone())), "{padding}");
                assert!(!opened.mapped().unwrap().verify(&|_| ()).unwrap());
                mapped += 1;
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("which is no multiple of the 4 bytes of a value; reading the table works, "), "{error}");
            }
        }
    }
    assert_eq!(mapped, 2);
}

#[test]
fn numbers_of_other_types_are_read_and_not_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = [0.1f64, -3.0, 1e300, f64::NAN];
    foreign(&file(&folder), 0, "F64", &numbers.map(f64::to_le_bytes).concat(), 2);
    let read = open(&file(&folder), Open::Read).unwrap();
    assert_eq!(read.table().row_f32(0).unwrap(), [0.1, -3.0]);
    assert!(read.table().row_f32(1).unwrap()[0].is_infinite() && read.table().row_f32(1).unwrap()[1].is_nan());
    assert_eq!(read.notes(), ["f64 values are rounded to f32"]);
    let error = open(&file(&folder), Open::Map).unwrap_err().to_string();
    assert!(error.contains("the table is of f64 values, which have to be converted; reading the table works"), "{error}");
}

#[test]
fn empty_tables_open() {
    let folder = tempfile::tempdir().unwrap();
    for (dim, words, shape) in [(5, 0, [0, 5]), (0, 3, [3, 0]), (0, 0, [0, 0])] {
        let mut writer = SafetensorsWriter::create(&file(&folder), "t", dim, DType::F32, true).unwrap();
        writer.write(&Block { values: Values::F32(Vec::new()), words: vec![String::new(); words] }).unwrap();
        Box::new(writer).finish().unwrap();
        for how in [Open::Read, Open::Map] {
            let opened = open(&file(&folder), how).unwrap();
            assert_eq!((opened.shape(), opened.words().unwrap().unwrap().len()), (shape, words), "{how:?}");
            assert_eq!(Workspace::new().gather(opened_f32(&opened), &[] as &[i64]).unwrap().count(), 0);
        }
    }
}

fn opened_f32(opened: &OpenTable) -> hotrow::TableView<'_, f32> {
    match opened.table() {
        AnyView::F32(table) => table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| open(path, Open::Map).unwrap_err().to_string();
    assert!(refused(&folder.path().join("none")).contains("none: cannot open the file: "));
    assert!(refused(folder.path()).ends_with("it is a folder"));
    #[cfg(unix)]
    assert_eq!(refused(Path::new("/dev/null")), "/dev/null: it is no regular file");
}

/// An array of `[3, 2]` as NumPy saves it.
fn npy(path: &Path, descr: &str, fortran: &str, values: &[u8]) {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': (3, 2), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let file = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat();
    fs::write(path, file).unwrap();
}

#[test]
fn arrays_are_mapped_where_they_lie_as_a_table_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let numbers = [0.5f32, 1.0, -2.0, 3.0, f32::NAN, 1e-40];
    let little: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let big: Vec<u8> = numbers.iter().flat_map(|x| x.to_be_bytes()).collect();
    let by_columns: Vec<u8> = [0, 2, 4, 1, 3, 5].iter().flat_map(|&at: &usize| numbers[at].to_le_bytes()).collect();
    for (descr, fortran, bytes, maps) in
        [("<f4", "False", &little, true), (">f4", "False", &big, false), ("<f4", "True", &by_columns, false)]
    {
        npy(&path, descr, fortran, bytes);
        let read = open(&path, Open::Read).unwrap();
        assert_eq!((read.shape(), read.words().unwrap()), ([3, 2], None));
        assert_eq!(bits(read.table()), numbers.map(f32::to_bits), "{descr} {fortran}");
        match open(&path, Open::Map) {
            Ok(mapped) => assert!(maps && bits(mapped.table()) == bits(read.table())),
            Err(error) => assert!(!maps && error.to_string().contains("its values are in another order than a table's"), "{error}"),
        }
    }
    fs::write(&path, &fs::read(&path).unwrap()[..150]).unwrap();
    assert!(open(&path, Open::Map).is_err());
}

#[test]
fn texts_are_read_and_not_mapped() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a.vec", "2 3\ncat 1 2 3\ndog 4 5 6\n"), ("b.glove", "cat 1 2 3\ndog 4 5 6\n")] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let read = open(&path, Open::Read).unwrap();
        assert_eq!((read.shape(), read.table().row_f32(1)), ([2, 3], Some(vec![4.0, 5.0, 6.0])), "{name}");
        assert_eq!(read.words().unwrap().unwrap(), ["cat", "dog"]);
        let error = open(&path, Open::Map).unwrap_err().to_string();
        assert!(error.ends_with("files have no table to map; reading the table works, mapping it does not"), "{error}");
    }
}
