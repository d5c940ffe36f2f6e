//! Checkpoints that several writers make together, and readers of parts of them: against those that one program saves and loads.

mod common;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use common::Random;
use common::shaky::{Crash, Fault, Shaky};
use hotrow::store::{Checkpoints, FileError, FileResult, PartName, PartRecord, PartTable, Snapshot};
use hotrow::{AnyTable, AnyView, DType, Gradient, Initializer, Optimizer, Rule, Table, TableView};
use tempfile::TempDir;

const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// A table that was trained.
struct Trained {
    table: AnyTable,
    optimizer: Optimizer,
}

fn trained(rule: &str, dtype: DType, rows: usize, dim: usize, seed: u64) -> Trained {
    let mut random = Random(seed);
    let mut table = AnyTable::init(dtype, rows, dim, Initializer::UNIFORM, seed).unwrap();
    let mut optimizer = Optimizer::new(rule.parse::<Rule>().unwrap(), rows, dim).unwrap();
    for _ in 0..3 {
        let ids: Vec<u32> = (0..rows.min(9)).map(|_| random.below(rows) as u32).collect();
        let values: Vec<f32> = (0..ids.len() * dim).map(|_| random.real()).collect();
        let gradient = Gradient::of_gather(&ids, &values);
        match &mut table {
            AnyTable::F32(table) => optimizer.step(table, gradient),
            AnyTable::F16(table) => optimizer.step(table, gradient),
            AnyTable::BF16(table) => optimizer.step(table, gradient),
            _ => unreachable!(),
        }
        .unwrap();
    }
    Trained { table, optimizer }
}

/// Some rows of a view.
fn some<'v>(view: &AnyView<'v>, rows: Range<usize>) -> AnyView<'v> {
    fn of<'v, E: hotrow::Element>(view: &TableView<'v, E>, rows: &Range<usize>) -> Table<E> {
        Table::from_fn(rows.len(), view.dim(), |row, column| view.row(rows.start + row).unwrap()[column]).unwrap()
    }
    // Leaked: views of a test may live for as long as it runs.
    match view {
        AnyView::F32(view) => AnyView::F32(Box::leak(Box::new(of(view, &rows))).view()),
        AnyView::F16(view) => AnyView::F16(Box::leak(Box::new(of(view, &rows))).view()),
        AnyView::BF16(view) => AnyView::BF16(Box::leak(Box::new(of(view, &rows))).view()),
        _ => unreachable!(),
    }
}

/// Writes some rows of some tables, a few rows at a time.
fn part(
    saver: &Checkpoints,
    name: PartName,
    tables: &[(&str, &Trained, Range<usize>)],
    random: &mut Random,
) -> FileResult<PartRecord> {
    let announce = |(name, trained, rows): &(&str, &Trained, Range<usize>)| {
        let table = PartTable::new(name, trained.table.dtype(), trained.table.shape())?;
        table.rows(rows.clone())?.optimizer(&trained.optimizer.record())
    };
    let mut part = saver.part(name, &tables.iter().map(announce).collect::<FileResult<Vec<_>>>()?)?;
    for (name, trained, rows) in tables {
        let mut from = rows.start;
        while from < rows.end {
            let to = rows.end.min(from + 1 + random.below(7));
            part.write(name, some(&trained.table.view(), from..to))?;
            from = to;
        }
        for (state, table) in trained.optimizer.state() {
            part.write_state(name, state, some(&table.into(), rows.clone()))?;
        }
    }
    part.finish()
}

/// Saves two tables by `count` writers, one cut by rows and one at the last writer.
fn save(saver: &mut Checkpoints, step: u64, count: usize, [a, b]: [&Trained; 2]) -> FileResult<()> {
    let mut random = Random(step);
    let generation = saver.begin(step)?;
    let rows = a.table.shape()[0];
    let mut records = Vec::new();
    for at in 0..count {
        let own = rows * at / count..rows * (at + 1) / count;
        let mut tables = vec![("a", a, own)];
        if at + 1 == count {
            tables.push(("b", b, 0..b.table.shape()[0]));
        }
        let name = PartName { step, generation, at: at as u64 + 1, count: count as u64 };
        let record = part(saver, name, &tables, &mut random)?;
        records.push(record.to_string().parse()?);
    }
    // In any order.
    records.reverse();
    saver.commit(step, generation, &["a", "b"], &records, &step.to_string())?;
    Ok(())
}

/// What a folder's newest checkpoint has, in words.
fn told(folder: &Path) -> String {
    let loaded = Checkpoints::open(folder).load_last().unwrap().unwrap();
    let table = |name: &str| {
        let table = loaded.get(name).unwrap();
        (table.table.dtype(), values(&table.table.view()), format!("{:?}", table.optimizer))
    };
    format!("{} {} {:?} {:?}", loaded.step(), loaded.config_json(), table("a"), table("b"))
}

fn values(view: &AnyView<'_>) -> Vec<u32> {
    (0..view.shape()[0]).flat_map(|row| view.row_f32(row).unwrap()).map(f32::to_bits).collect()
}

#[test]
fn many_writers_make_what_one_does() {
    for (rows, dim, piece_bytes) in [(23, 5, u64::MAX), (40, 63, 1000), (7, 16, 1), (2, 3, u64::MAX)] {
        // Many pieces take their time.
        let rules = if piece_bytes == 1 { &["adam"][..] } else { &Rule::NAMES };
        for &rule in rules {
            for dtype in DTYPES {
                let [a, b] = [trained(rule, dtype, rows, dim, 1), trained("adam", DType::F32, 11, 4, 2)];
                let (one, many) = (folder(), folder());
                let snapshot =
                    Snapshot::new(5).config(&5).unwrap().table("a", &a.table).unwrap().optimizer("a", &a.optimizer).unwrap();
                let snapshot = snapshot.table("b", &b.table).unwrap().optimizer("b", &b.optimizer).unwrap();
                Checkpoints::open(one.path()).save(&snapshot).unwrap();
                let count = 1 + rows % 4;
                let mut saver = Checkpoints::open(many.path()).shard_bytes(piece_bytes);
                save(&mut saver, 5, count, [&a, &b]).unwrap();
                assert_eq!(told(many.path()), told(one.path()), "{rule} {dtype} {rows} {dim}");
                let (found, wanted) = (saver.info(5).unwrap(), Checkpoints::open(one.path()).info(5).unwrap());
                assert_eq!((found.tables, found.config, found.base), (wanted.tables, wanted.config, wanted.base));
                assert_eq!(found.files.len(), count);
                let bytes = (values(&a.table.view()).len() * dtype.size()) as u64;
                assert!(saver.verify(5).unwrap() >= bytes);
            }
        }
    }
}

#[test]
fn any_rows_and_columns_are_read() {
    let mut random = Random(3);
    for (count, piece_bytes) in [(1, u64::MAX), (3, 700), (4, 1)] {
        for dtype in DTYPES {
            // Of 63 columns, the rows in memory are padded.
            let [a, b] = [trained("partial_rowwise_adam", dtype, 50, 63, 1), trained("sgd", DType::F32, 1, 1, 2)];
            let folder = folder();
            save(&mut Checkpoints::open(folder.path()).shard_bytes(piece_bytes), 1, count, [&a, &b]).unwrap();
            let reader = Checkpoints::open(folder.path()).reader(1).unwrap();
            assert_eq!(reader.optimizer("a"), Some(&a.optimizer.record()));
            assert_eq!(reader.optimizer("c"), None);
            assert_eq!(reader.info(), Checkpoints::open(folder.path()).info(1).unwrap());
            for _ in 0..20 {
                let mut range = |all: usize| {
                    let (one, other) = (random.below(all + 1), random.below(all + 1));
                    one.min(other)..one.max(other)
                };
                let (rows, columns) = (range(50), range(63));
                let mut out = AnyTable::init(dtype, rows.len(), columns.len(), Initializer::Ones, 0).unwrap();
                match &mut out {
                    AnyTable::F32(out) => reader.read("a", rows.clone(), columns.clone(), out),
                    AnyTable::F16(out) => reader.read("a", rows.clone(), columns.clone(), out),
                    AnyTable::BF16(out) => reader.read("a", rows.clone(), columns.clone(), out),
                    _ => unreachable!(),
                }
                .unwrap();
                for (at, row) in rows.clone().enumerate() {
                    let wanted = a.table.row_f32(row).unwrap();
                    assert_eq!(out.row_f32(at).unwrap(), wanted[columns.clone()], "{rows:?} {columns:?}");
                }
                for (state, table) in a.optimizer.state() {
                    let columns = if table.dim() == 1 { 0..1 } else { columns.clone() };
                    let mut out = Table::<f32>::zeros(rows.len(), columns.len()).unwrap();
                    reader.read_state("a", state, rows.clone(), columns.clone(), &mut out).unwrap();
                    for (at, row) in rows.clone().enumerate() {
                        assert_eq!(out.row(at).unwrap(), &table.row(row).unwrap()[columns.clone()]);
                    }
                }
            }
        }
    }
}

#[test]
fn rows_are_larger_than_what_is_read_at_once() {
    let folder = folder();
    let table = Table::<f32>::uniform(9, 200_000, 7).unwrap();
    let mut saver = Checkpoints::open(folder.path());
    let generation = saver.begin(1).unwrap();
    let announced = PartTable::new("wide", DType::F32, [9, 200_000]).unwrap();
    let mut part = saver.part(PartName { step: 1, generation, at: 1, count: 1 }, &[announced]).unwrap();
    part.write("wide", &table).unwrap();
    saver.commit(1, generation, &["wide"], &[part.finish().unwrap()], "null").unwrap();
    let mut out = Table::<f32>::zeros(3, 150_000).unwrap();
    saver.reader(1).unwrap().read("wide", 5..8, 40_000..190_000, &mut out).unwrap();
    for row in 0..3 {
        assert!(out.row(row).unwrap() == &table.row(row + 5).unwrap()[40_000..190_000]);
    }
}

#[test]
fn tables_without_rows_or_columns_are_saved() {
    let folder = folder();
    let [a, b] = [trained("adagrad", DType::F32, 0, 4, 1), trained("adagrad", DType::F32, 3, 0, 2)];
    save(&mut Checkpoints::open(folder.path()), 1, 3, [&a, &b]).unwrap();
    let loaded = Checkpoints::open(folder.path()).load(1).unwrap();
    assert_eq!([loaded.tables()[0].table.shape(), loaded.tables()[1].table.shape()], [[0, 4], [3, 0]]);
    let mut none = Table::<f32>::zeros(0, 4).unwrap();
    Checkpoints::open(folder.path()).reader(1).unwrap().read("a", 0..0, 0..4, &mut none).unwrap();
}

/// In memory, where there is such a folder: a disk takes its time to be synchronized.
fn folder() -> TempDir {
    if Path::new("/dev/shm").is_dir() { tempfile::tempdir_in("/dev/shm").unwrap() } else { tempfile::tempdir().unwrap() }
}

fn problem<T>(result: FileResult<T>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn parts_that_make_no_whole_are_refused() {
    let folder = folder();
    let mut saver = Checkpoints::open(folder.path());
    let a = trained("adagrad", DType::F32, 10, 2, 1);
    let other = trained("adagrad", DType::F32, 10, 2, 1);
    let generation = saver.begin(3).unwrap();
    let mut random = Random(1);
    let mut made = |at, rows, trained: &Trained| {
        part(&saver, PartName { step: 3, generation, at, count: 3 }, &[("a", trained, rows)], &mut random).unwrap()
    };
    let [first, last, more] = [made(1, 0..6, &a), made(2, 6..10, &a), made(3, 5..10, &a)];
    let mut changed = Trained { table: other.table, optimizer: other.optimizer };
    changed.optimizer.set_steps(99);
    let changed = made(3, 6..10, &changed);
    let mut refused = |tables: &[&str], parts: &[&PartRecord], config: &str, wanted: &str| {
        let parts: Vec<PartRecord> = parts.iter().map(|&part| part.clone()).collect();
        let found = problem(saver.commit(3, generation, tables, &parts, config));
        assert!(found.contains(wanted), "{found}");
        assert_eq!(saver.steps().unwrap(), [0u64; 0]);
    };
    refused(&["a"], &[&first], "null", "pieces do not have all of its rows");
    refused(&["a"], &[&last], "null", "after row 0 comes a part from row 6 on");
    refused(&["a"], &[&first, &more], "null", "after row 6 comes a part from row 5 on");
    refused(&["a"], &[&first, &changed], "null", "the parts do not agree on table \"a\"");
    refused(&["a", "b"], &[&first, &last], "null", "no part has rows of table \"b\"");
    refused(&[], &[&first, &last], "null", "which is not among those to be saved");
    refused(&["a"], &[&first, &last], "{", "the configuration is no JSON");
    let found = problem(saver.commit(3, generation + 1, &["a"], &[first.clone(), last.clone()], "null"));
    assert!(found.contains("is no file of this save"), "{found}");
    let gone = folder.path().join("step-3.0.2-of-3.safetensors");
    fs::rename(&gone, folder.path().join("elsewhere")).unwrap();
    let found = problem(saver.commit(3, generation, &["a"], &[first.clone(), last.clone()], "null"));
    assert!(found.contains("step-3.0.2-of-3.safetensors: cannot open the file"), "{found}");
    fs::rename(folder.path().join("elsewhere"), &gone).unwrap();
    saver.commit(3, generation, &["a"], &[first, last], "null").unwrap();
    assert!(!folder.path().join("step-3.0.3-of-3.safetensors").exists());
    assert!(problem(saver.begin(2)).contains("a checkpoint of step 2 would be older than the newest, of step 3"));
    // What has been named is never written again.
    assert_eq!(saver.begin(3).unwrap(), generation + 1);
    assert!(problem(Checkpoints::open(folder.path()).begin(4)).contains("another program is saving"));
}

#[test]
fn what_is_not_as_announced_is_refused() {
    let folder = folder();
    let saver = Checkpoints::open(folder.path());
    let a = trained("adagrad", DType::F32, 10, 2, 1);
    let table = || PartTable::new("a", DType::F32, [10, 2]).unwrap();
    let name = PartName { step: 1, generation: 0, at: 1, count: 1 };
    assert!(problem(PartTable::new("a.ids", DType::F32, [1, 1])).contains("no name for a table"));
    assert!(problem(table().rows(5..11)).contains("it has 10 rows, and not rows 5 to 11"));
    assert!(problem(saver.part(name, &[table(), table()])).contains("two tables of the part have this name"));
    let mut part = saver.part(name, &[table().rows(5..9).unwrap()]).unwrap();
    let rows = |count| some(&a.table.view(), 0..count);
    assert!(problem(part.write("b", rows(1))).contains("tensor \"b\": this part has none of its rows"));
    assert!(problem(part.write_state("a", "sum", rows(1))).contains("none of its rows"));
    assert!(problem(part.write("a", &Table::<f32>::zeros(1, 3).unwrap())).contains("rows of 3 F32 are no rows of 2 F32"));
    assert!(problem(part.write("a", &Table::<hotrow::f16>::zeros(1, 2).unwrap())).contains("rows of 2 F16"));
    part.write("a", rows(3)).unwrap();
    assert!(problem(part.write("a", rows(2))).contains("5 rows are given, and 4 were announced"));
    assert!(problem(part.finish()).contains("4 rows were announced, and 3 were given"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    for text in ["", "{}", "null"] {
        assert!(text.parse::<PartRecord>().is_err());
    }
}

#[test]
fn what_a_reader_touches_is_compared() {
    let folder = folder();
    let [a, b] = [trained("adagrad", DType::F32, 60, 4, 1), trained("sgd", DType::F32, 1, 1, 2)];
    let mut saver = Checkpoints::open(folder.path()).shard_bytes(160);
    save(&mut saver, 1, 2, [&a, &b]).unwrap();
    // Pieces of ten rows: row 35 is in that of rows 30 to 40, which begins the second file.
    let path = folder.path().join("step-1.0.2-of-2.safetensors");
    let whole = fs::read(&path).unwrap();
    let row: Vec<u8> = a.table.row_f32(35).unwrap().iter().flat_map(|value| value.to_le_bytes()).collect();
    let at = whole.windows(row.len()).position(|bytes| bytes == row).unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    fs::write(&path, damaged).unwrap();
    let reader = saver.reader(1).unwrap();
    let read = |rows: Range<usize>| reader.read("a", rows.clone(), 1..3, &mut Table::<f32>::zeros(rows.len(), 2).unwrap());
    for touched in [30..31, 35..36, 39..40, 0..60, 38..45] {
        assert!(matches!(read(touched.clone()), Err(FileError::Checksum { .. })), "{touched:?}");
    }
    for apart in [0..30, 40..60] {
        read(apart).unwrap();
    }
    for (rows, columns, shape, wanted) in [
        (0..61, 0..4, [61, 4], "it has the shape [60, 4], and not rows 0..61 and columns 0..4"),
        (0..1, 3..5, [1, 2], "not rows 0..1 and columns 3..5"),
        (0..2, 0..4, [2, 3], "[2, 4] values of F32 do not go into [2, 3] of F32"),
    ] {
        let mut out = Table::<f32>::zeros(shape[0], shape[1]).unwrap();
        assert!(problem(reader.read("a", rows, columns, &mut out)).contains(wanted));
    }
    assert!(problem(reader.read("c", 0..1, 0..1, &mut Table::<f32>::zeros(1, 1).unwrap())).contains("there is none of this name"));
    let mut half = Table::<hotrow::f16>::zeros(1, 4).unwrap();
    assert!(problem(reader.read("a", 0..1, 0..4, &mut half)).contains("do not go into"));
}

#[test]
fn deltas_are_not_read_in_parts() {
    let folder = folder();
    let mut saver = Checkpoints::open(folder.path());
    let table = Table::<f32>::uniform(5, 2, 7).unwrap();
    let snapshot = |step| Snapshot::new(step).table("t", &table).unwrap();
    saver.save(&snapshot(1)).unwrap();
    saver.save_delta(&snapshot(2), &[("t", &hotrow::RowSet::new(5).unwrap())]).unwrap();
    assert!(problem(saver.reader(2)).contains("compact it first"));
    saver.compact().unwrap();
    saver.reader(2).unwrap().read("t", 0..5, 0..2, &mut Table::<f32>::zeros(5, 2).unwrap()).unwrap();
    assert!(problem(saver.reader(3)).contains("there is no checkpoint of step 3"));
}

#[test]
fn whatever_goes_wrong_the_old_checkpoint_or_the_new_one_is_there() {
    let states: Vec<[Trained; 2]> =
        (1..=3).map(|step| [trained("adagrad", DType::F32, 6, 3, step), trained("adam", DType::BF16, 2, 3, step + 10)]).collect();
    let act = |saver: &mut Checkpoints, step: u64| {
        let [a, b] = &states[step as usize - 1];
        save(saver, step, 2, [a, b])
    };
    let whole: Vec<String> = (1..=3)
        .map(|step| {
            let folder = folder();
            act(&mut Checkpoints::open(folder.path()), step).unwrap();
            told(folder.path())
        })
        .collect();
    let stops = [Crash::OfTheProgram, Crash::Forgets, Crash::Zeros, Crash::Random(1), Crash::Random(2)];
    let faults = [(Fault::Fails, None), (Fault::Halves, None)].into_iter().chain(stops.map(|crash| (Fault::Stops, Some(crash))));
    for (fault, crash) in faults {
        for n in 0.. {
            let dir = folder();
            act(&mut Checkpoints::open(dir.path()), 1).unwrap();
            let shaky = Shaky::new(dir.path());
            let mut saver = Checkpoints::open(dir.path()).keep_last(1).with_storage(Arc::new(shaky.clone()));
            saver.prepare().unwrap();
            shaky.arm(n, fault);
            let outcome = act(&mut saver, 2);
            if !shaky.disarm() {
                assert!(n > 15, "{n} operations");
                break;
            }
            if let Some(crash) = crash {
                drop(saver);
                shaky.crash(crash);
                saver = Checkpoints::open(dir.path()).keep_last(1);
            }
            let found = told(dir.path());
            assert!(found == whole[1] || (outcome.is_err() && found == whole[0]), "{fault:?} {crash:?} {n}: {found}");
            act(&mut saver, 3).unwrap();
            assert_eq!(told(dir.path()), whole[2]);
            // The lock, the manifest, and two shards: nothing is left over.
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "{fault:?} {crash:?} {n}");
        }
    }
}

#[test]
fn optimizers_of_columns_are_saved_as_those_of_all() {
    let whole = Optimizer::new("rowwise_adagrad".parse::<Rule>().unwrap(), 4, 6).unwrap();
    let some = || Optimizer::new("rowwise_adagrad".parse::<Rule>().unwrap(), 4, 2).unwrap().of_columns(2..4, 6).unwrap();
    let folder = folder();
    let mut saver = Checkpoints::open(folder.path());
    let generation = saver.begin(1).unwrap();
    let announced = PartTable::new("t", DType::F32, [4, 6]).unwrap().optimizer(&some().record()).unwrap();
    let mut part = saver.part(PartName { step: 1, generation, at: 1, count: 1 }, &[announced]).unwrap();
    part.write("t", &Table::<f32>::zeros(4, 6).unwrap()).unwrap();
    part.write_state("t", "sum", some().state().next().unwrap().1).unwrap();
    saver.commit(1, generation, &["t"], &[part.finish().unwrap()], "null").unwrap();
    let reader = saver.reader(1).unwrap();
    assert_eq!(reader.optimizer("t"), Some(&whole.record()));
    // Which columns it has is its own affair, and what it cannot do it refuses.
    let mut own = some();
    own.set_record(reader.optimizer("t").unwrap()).unwrap();
    assert_eq!((own.columns(), own.gradient_dim()), (2..4, 6));
    let wrong = whole.with_weight_decay(hotrow::WeightDecay::L2(0.5)).unwrap();
    assert!(matches!(own.set_record(&wrong.record()), Err(hotrow::Error::OptionConflict { .. })));
    assert_eq!(own.weight_decay(), hotrow::WeightDecay::None);
}
