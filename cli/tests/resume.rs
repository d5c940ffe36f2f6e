//! A training that is stopped, at any place, and goes on gives what the one that was not stopped gives, to the bit.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotrow::Level;
use hotrow::store::Checkpoints;
use hotrow_cli::data::{Dataset, Examples, Vocabulary, read_interactions, read_libfm};
use hotrow_cli::fm;
use hotrow_cli::model::{Precision, Weight};
use hotrow_cli::train::{Compute, Identity, Keeper, Labels, Method, Settings, TrainError, train};

fn settings(optimizer: Method, dtype: Precision, batch: usize) -> Settings {
    Settings { dim: 2, epochs: 2, optimizer, lr: 0.05, l2: 0.01, batch, dtype, seed: 3 }
}

fn compute() -> Compute {
    Compute::new(2, Level::best()).unwrap()
}

/// Something that trains, and the bytes of what it gives.
trait Training {
    fn settings(&self) -> &Settings;
    fn of<E: Weight>(&self, keeper: &mut Keeper<'_>) -> Result<Vec<u8>, TrainError>;
    fn identity(&self) -> Identity;

    fn run(&self, keeper: &mut Keeper<'_>) -> Result<Vec<u8>, TrainError> {
        match self.settings().dtype {
            Precision::F32 => self.of::<f32>(keeper),
            Precision::F16 => self.of::<hotrow::f16>(keeper),
            Precision::Bf16 => self.of::<hotrow::bf16>(keeper),
        }
    }
}

struct Factors {
    data: Dataset,
    settings: Settings,
}

impl Factors {
    /// 17,000 interactions: two pieces.
    fn new(optimizer: Method, dtype: Precision) -> Factors {
        let lines =
            (0..200u32).flat_map(|user| (0..86).map(move |step| format!("{user} {}\n", (user * 31 + step * (2 * user + 1)) % 512)));
        let data = Dataset::split(read_interactions(lines.collect::<String>().as_bytes(), None).unwrap());
        Factors { data, settings: settings(optimizer, dtype, 4096) }
    }
}

impl Training for Factors {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn of<E: Weight>(&self, keeper: &mut Keeper<'_>) -> Result<Vec<u8>, TrainError> {
        let trained = train::<E>(&self.data, &self.settings, &compute(), keeper, |_| ())?;
        let mut bytes: Vec<u8> = trained.losses.iter().flat_map(|loss| loss.to_le_bytes()).collect();
        trained.users.iter().chain(trained.items.iter()).for_each(|row| E::write(row, &mut bytes));
        Ok(bytes)
    }

    fn identity(&self) -> Identity {
        Identity { model: "mf", settings: self.settings.clone(), data: self.data.fingerprint() }
    }
}

struct Machine {
    examples: Examples,
    valid: Examples,
    features: usize,
    settings: Settings,
}

impl Machine {
    /// 23 examples to learn in four batches, and 5 to measure with.
    fn new(optimizer: Method, dtype: Precision) -> Machine {
        let line = |k: u32| format!("{} {}:1 {}:0.5\n", k * k % 3 % 2, k % 5, 5 + k % 7);
        let mut examples = read_libfm((0..28).map(line).collect::<String>().as_bytes()).unwrap();
        let vocabulary = Vocabulary::of(&examples);
        vocabulary.number(&mut examples);
        let valid = examples.split_off(23);
        Machine { examples, valid, features: vocabulary.len(), settings: settings(optimizer, dtype, 6) }
    }
}

impl Training for Machine {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn of<E: Weight>(&self, keeper: &mut Keeper<'_>) -> Result<Vec<u8>, TrainError> {
        let trained = fm::train::<E>(&self.examples, &self.valid, self.features, &self.settings, &compute(), keeper, |_| ())?;
        let machine = trained.machine;
        let mut bytes = format!("{:?}", trained.epochs).into_bytes();
        machine.bias.iter().for_each(|row| f32::write(row, &mut bytes));
        machine.weights.iter().chain(machine.vectors.iter()).for_each(|row| E::write(row, &mut bytes));
        Ok(bytes)
    }

    fn identity(&self) -> Identity {
        Identity { model: "fm", settings: self.settings.clone(), data: vec![("examples", self.examples.len() as u64)] }
    }
}

/// Trains until it is asked for the `n`-th time whether to stop, and goes on from a checkpoint if there is one.
fn until(training: &impl Training, folder: &Path, n: usize) -> Result<Vec<u8>, TrainError> {
    let asked = AtomicUsize::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) >= n;
    let checkpoints = Checkpoints::open(folder).keep_last(1);
    let labels = vec![("user_embedding.weight", Labels::default())];
    let mut keeper = Keeper::new(&stop).saving(checkpoints, 2, training.identity(), labels).unwrap();
    keeper.resume().unwrap();
    training.run(&mut keeper)
}

fn resumes(training: &impl Training, places: usize) {
    let never = || false;
    let whole = training.run(&mut Keeper::new(&never)).unwrap();
    for at in 0..places {
        let folder = tempfile::tempdir().unwrap();
        let stopped = until(training, folder.path(), at).unwrap_err();
        assert!(matches!(&stopped, TrainError::Stopped { folder: Some(_), .. }), "{stopped}");
        assert!(until(training, folder.path(), usize::MAX).unwrap() == whole, "stopped at {at}");
        // What has come to its end is not learnt again.
        assert!(until(training, folder.path(), 0).unwrap() == whole, "ended after a stop at {at}");
    }
    // Stopped again and again.
    let folder = tempfile::tempdir().unwrap();
    let mut stops = 0;
    let ended = loop {
        match until(training, folder.path(), 1) {
            Ok(ended) => break ended,
            Err(TrainError::Stopped { .. }) => stops += 1,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(ended == whole && stops == places - 1, "{stops} stops");
    let keeps_nothing = || true;
    let nothing = training.run(&mut Keeper::new(&keeps_nothing)).unwrap_err();
    assert_eq!(nothing, TrainError::Stopped { epoch: 1, epochs: 2, folder: None });
}

#[test]
fn matrix_factorization_goes_on_to_the_bit() {
    for (optimizer, dtype) in [
        (Method::Adam, Precision::F32),
        (Method::Ftrl, Precision::F32),
        (Method::RowwiseAdagrad, Precision::Bf16),
        (Method::Adamw, Precision::F16),
    ] {
        resumes(&Factors::new(optimizer, dtype), 4);
    }
}

#[test]
fn factorization_machines_go_on_to_the_bit() {
    for optimizer in Method::ALL {
        for dtype in [Precision::F32, Precision::F16, Precision::Bf16] {
            resumes(&Machine::new(optimizer, dtype), 8);
        }
    }
}

#[test]
fn another_training_is_told_from_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(Method::Adam, Precision::F32);
    until(&machine, folder.path(), 3).unwrap_err();
    let never = || false;
    let refused = |identity: Identity| {
        let mut keeper = Keeper::new(&never).saving(Checkpoints::open(folder.path()), 1, identity, Vec::new()).unwrap();
        keeper.resume().unwrap_err().to_string()
    };
    let same = machine.identity();
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = same.settings.clone();
        change(&mut settings);
        Identity { settings, ..same.clone() }
    };
    for (identity, wanted) in [
        (with(&|settings| settings.dim = 3), "--dim is 3 here and 2 there"),
        (with(&|settings| settings.lr = 0.1), "--lr is 0.1 here and 0.05 there"),
        (with(&|settings| settings.optimizer = Method::Sgd), "--optimizer is sgd here and adam there"),
        (with(&|settings| settings.dtype = Precision::Bf16), "--dtype is bf16 here and f32 there"),
        (Identity { model: "mf", ..same.clone() }, "--model is mf here and fm there"),
        (Identity { data: vec![("examples", 24)], ..same.clone() }, "the data has 24 examples here and 23 there"),
        (Identity { data: vec![], ..same.clone() }, "the data has nothing examples here and 23 there"),
    ] {
        let message = refused(identity);
        assert!(message.contains("its checkpoint of step 3 is of another training") && message.contains(wanted), "{message}");
    }
}
