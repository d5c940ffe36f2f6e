//! Reads configurations as Keras 3 and Keras 2 write them. What is not understood is refused: a key that is passed over in silence
//! would be an option that does not hold.

use serde_json::{Map, Value};

use super::{Config, keras_dtype};
use crate::element::DType;
use crate::error::{Error, Result};
use crate::layer::constraint::Constraint;
use crate::layer::regularizer::Regularizer;
use crate::table::{Fan, Initializer, Spread};

/// Reads the configuration of a layer whose element is `dtype`.
pub(in crate::layer) fn read(text: &str, dtype: DType) -> Result<Config> {
    let value = serde_json::from_str(text).map_err(|error| invalid("", error.to_string()))?;
    let mut keys = Keys::of(value, "")?;
    let mut config = Config::new(keys.size("input_dim")?, keys.size("output_dim")?);
    if let Some(name) = keys.text("name")? {
        config.name = name;
    }
    if let Some(trainable) = keys.flag("trainable")? {
        config.trainable = trainable;
    }
    if let Some(mask_zero) = keys.flag("mask_zero")? {
        config.mask_zero = mask_zero;
    }
    check_dtype(&mut keys, dtype)?;
    if let Some(object) = keys.object("embeddings_initializer")? {
        (config.initializer, config.seed) = initializer(object)?;
    }
    config.regularizer = keys.object("embeddings_regularizer")?.map(regularizer).transpose()?;
    config.constraint = keys.object("embeddings_constraint")?.map(constraint).transpose()?;
    config.input_length = input_length(&mut keys)?;
    config.max_norm = keys.number("max_norm")?;
    if let Some(norm_type) = keys.number("norm_type")? {
        config.norm_type = norm_type;
    }
    // Every layer of Keras 2 that is the first of its model has one of these. Calls here take ids of any shape.
    for key in ["batch_input_shape", "batch_shape"] {
        if let Some(value) = keys.take(key)
            && !value.is_array()
        {
            return Err(invalid(&keys.path(key), format!("{value} is not a list")));
        }
    }
    for key in ["activity_regularizer", "quantization_config", "lora_rank", "lora_alpha"] {
        keys.null(key)?;
    }
    keys.finish()?;
    Ok(config)
}

fn invalid(key: &str, problem: String) -> Error {
    Error::InvalidConfig { key: key.to_owned(), problem }
}

/// The keys of an object that have not been read yet.
struct Keys {
    map: Map<String, Value>,
    /// Where the object stands.
    at: String,
}

impl Keys {
    fn of(value: Value, at: &str) -> Result<Keys> {
        match value {
            Value::Object(map) => Ok(Keys { map, at: at.to_owned() }),
            other => Err(invalid(at, format!("{other} is not an object"))),
        }
    }

    fn path(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }

    /// The value of a key; `None` where there is none, or null.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    fn text(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(invalid(&self.path(key), format!("{other} is not a string"))),
        }
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(invalid(&self.path(key), format!("{other} is not true or false"))),
        }
    }

    /// A number; the strings that stand for those which JSON lacks are read too.
    fn number(&mut self, key: &str) -> Result<Option<f32>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = match &value {
            Value::Number(number) => number.as_f64().map(|x| x as f32).filter(|x| x.is_finite()),
            Value::String(text) => text.parse::<f32>().ok().filter(|x| !x.is_finite()),
            _ => None,
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(invalid(&self.path(key), format!("{value} is not a number that an f32 can hold"))),
        }
    }

    fn number_or(&mut self, key: &str, default: f32) -> Result<f32> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// A size that must be there.
    fn size(&mut self, key: &str) -> Result<usize> {
        match self.take(key) {
            Some(value) => self.as_size(key, &value),
            None => Err(invalid(&self.path(key), "it is missing".to_owned())),
        }
    }

    fn as_size(&self, key: &str, value: &Value) -> Result<usize> {
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| invalid(&self.path(key), format!("{value} is not a size")))
    }

    /// A key whose feature does not exist here: it may be there, but must not say anything.
    fn null(&mut self, key: &str) -> Result<()> {
        match self.take(key) {
            None => Ok(()),
            Some(other) => Err(invalid(&self.path(key), format!("{other} is not supported: only null is"))),
        }
    }

    /// What stands for an object of a class: Keras 3's four keys, Keras 2's two, or the name alone.
    fn object(&mut self, key: &str) -> Result<Option<Object>> {
        let at = self.path(key);
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(Object { class_name: name, config: None, at })),
            Some(value) => {
                let mut keys = Keys::of(value, &at)?;
                let class_name = keys.text("class_name")?;
                let class_name = class_name.ok_or_else(|| invalid(&keys.path("class_name"), "it is missing".to_owned()))?;
                if let Some(module) = keys.text("module")?
                    && !["keras", "tf_keras", "tensorflow"].contains(&module.split('.').next().unwrap_or_default())
                {
                    return Err(invalid(&keys.path("module"), format!("{module:?} is not a module of Keras")));
                }
                keys.null("registered_name")?;
                let config = keys.take("config").map(|config| Keys::of(config, &keys.path("config"))).transpose()?;
                keys.finish()?;
                Ok(Some(Object { class_name, config, at }))
            }
        }
    }

    /// Nothing may be left.
    fn finish(self) -> Result<()> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(key) => Err(Error::UnknownConfigKey { key: self.path(key) }),
        }
    }
}

/// An object as its class and parameters.
struct Object {
    class_name: String,
    /// `None` where a name stands alone.
    config: Option<Keys>,
    at: String,
}

impl Object {
    /// Its parameters, none of them given where the name stands alone.
    fn keys(self) -> Keys {
        self.config.unwrap_or(Keys { map: Map::new(), at: self.at })
    }
}

/// The layer's element must be the table's.
fn check_dtype(keys: &mut Keys, dtype: DType) -> Result<()> {
    let name = match keys.map.get("dtype") {
        Some(Value::Object(_)) => match keys.object("dtype")? {
            Some(policy) => {
                let mut policy = policy.keys();
                let name = policy.text("name")?;
                policy.finish()?;
                name
            }
            None => None,
        },
        _ => keys.text("dtype")?,
    };
    match name {
        Some(name) if name != keras_dtype(dtype) => {
            Err(invalid(&keys.path("dtype"), format!("{name:?} is not the table's element, {}", keras_dtype(dtype))))
        }
        _ => Ok(()),
    }
}

/// Keras 2 has a number, or a list of one.
fn input_length(keys: &mut Keys) -> Result<Option<usize>> {
    match keys.take("input_length") {
        None => Ok(None),
        Some(Value::Array(lengths)) => match &lengths[..] {
            [Value::Null] => Ok(None),
            [length] => keys.as_size("input_length", length).map(Some),
            _ => {
                let problem = format!("{} dimensions are not supported: only one is", lengths.len());
                Err(invalid(&keys.path("input_length"), problem))
            }
        },
        Some(length) => keys.as_size("input_length", &length).map(Some),
    }
}

/// An initializer and its seed: 0 where there is none.
fn initializer(object: Object) -> Result<(Initializer, u64)> {
    let named: Initializer = object.class_name.parse()?;
    let mut keys = object.keys();
    let mut seed = 0;
    if named.is_random()
        && let Some(value) = keys.take("seed")
    {
        seed =
            value.as_u64().ok_or_else(|| invalid(&keys.path("seed"), format!("{value} is not an integer from 0 to 2^64 - 1")))?;
    }
    let initializer = match named {
        Initializer::Constant(value) => Initializer::Constant(keys.number_or("value", value)?),
        Initializer::Uniform { low, high } => {
            Initializer::Uniform { low: keys.number_or("minval", low)?, high: keys.number_or("maxval", high)? }
        }
        Initializer::Normal { mean, std } => {
            Initializer::Normal { mean: keys.number_or("mean", mean)?, std: keys.number_or("stddev", std)? }
        }
        Initializer::TruncatedNormal { mean, std } => {
            Initializer::TruncatedNormal { mean: keys.number_or("mean", mean)?, std: keys.number_or("stddev", std)? }
        }
        Initializer::VarianceScaling { scale, mode, distribution } => Initializer::VarianceScaling {
            scale: keys.number_or("scale", scale)?,
            mode: keys.text("mode")?.map_or(Ok(mode), |name| name.parse::<Fan>())?,
            distribution: keys.text("distribution")?.map_or(Ok(distribution), |name| name.parse::<Spread>())?,
        },
        Initializer::Orthogonal { gain } => Initializer::Orthogonal { gain: keys.number_or("gain", gain)? },
        Initializer::Identity { gain } => Initializer::Identity { gain: keys.number_or("gain", gain)? },
        plain => plain,
    };
    if named.has_fans() {
        keys.null("input_axes")?;
        keys.null("output_axes")?;
    }
    keys.finish()?;
    Ok((initializer, seed))
}

fn regularizer(object: Object) -> Result<Regularizer> {
    let named: Regularizer = object.class_name.parse()?;
    let at = object.at.clone();
    let mut keys = object.keys();
    let regularizer = match named {
        Regularizer::L1 { l1 } => Regularizer::L1 { l1: keys.number_or("l1", l1)? },
        Regularizer::L2 { l2 } => Regularizer::L2 { l2: keys.number_or("l2", l2)? },
        Regularizer::L1L2 { l1, l2 } => Regularizer::L1L2 { l1: keys.number_or("l1", l1)?, l2: keys.number_or("l2", l2)? },
        Regularizer::Orthogonal { factor } => {
            if let Some(mode) = keys.text("mode")?
                && mode != "rows"
            {
                return Err(invalid(&at, format!("mode {mode:?} is not supported: only \"rows\" is")));
            }
            Regularizer::Orthogonal { factor: keys.number_or("factor", factor)? }
        }
    };
    keys.finish()?;
    Ok(regularizer)
}

/// Keras's default axis is 0, also for a name alone: that would be a norm over all rows of a column, which is not done here.
fn constraint(object: Object) -> Result<Constraint> {
    let named: Constraint = object.class_name.parse()?;
    let at = object.at.clone();
    let mut keys = object.keys();
    if named != Constraint::NonNeg {
        let axis = keys.take("axis");
        let axis = match &axis {
            Some(Value::Array(axes)) if axes.len() == 1 => axes[0].as_i64(),
            Some(axis) => axis.as_i64(),
            None => Some(0),
        };
        if !matches!(axis, Some(1 | -1)) {
            let problem =
                "only axis 1, a norm for each row, is supported, and Keras's default is axis 0: the axis must be given as 1";
            return Err(invalid(&at, problem.to_owned()));
        }
    }
    let constraint = match named {
        Constraint::MaxNorm { max_value } => Constraint::MaxNorm { max_value: keys.number_or("max_value", max_value)? },
        Constraint::MinMaxNorm { min_value, max_value, rate } => Constraint::MinMaxNorm {
            min_value: keys.number_or("min_value", min_value)?,
            max_value: keys.number_or("max_value", max_value)?,
            rate: keys.number_or("rate", rate)?,
        },
        plain => plain,
    };
    keys.finish()?;
    Ok(constraint)
}
