//! Keras's names for initializers.

use std::fmt;
use std::str::FromStr;

use super::{Fan, Initializer, Spread};
use crate::error::{Error, Result};

impl Initializer {
    /// The name of Keras's class, as `get_config` has it.
    pub(crate) fn class_name(self) -> &'static str {
        match self {
            Initializer::Zeros => "Zeros",
            Initializer::Ones => "Ones",
            Initializer::Constant(_) => "Constant",
            Initializer::Uniform { .. } => "RandomUniform",
            Initializer::Normal { .. } => "RandomNormal",
            Initializer::TruncatedNormal { .. } => "TruncatedNormal",
            Initializer::VarianceScaling { .. } => "VarianceScaling",
            Initializer::GlorotUniform => "GlorotUniform",
            Initializer::GlorotNormal => "GlorotNormal",
            Initializer::HeUniform => "HeUniform",
            Initializer::HeNormal => "HeNormal",
            Initializer::LecunUniform => "LecunUniform",
            Initializer::LecunNormal => "LecunNormal",
            Initializer::Orthogonal { .. } => "Orthogonal",
            Initializer::Identity { .. } => "Identity",
        }
    }
}

impl fmt::Display for Initializer {
    /// Keras's name, without parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Initializer::Zeros => "zeros",
            Initializer::Ones => "ones",
            Initializer::Constant(_) => "constant",
            Initializer::Uniform { .. } => "random_uniform",
            Initializer::Normal { .. } => "random_normal",
            Initializer::TruncatedNormal { .. } => "truncated_normal",
            Initializer::VarianceScaling { .. } => "variance_scaling",
            Initializer::GlorotUniform => "glorot_uniform",
            Initializer::GlorotNormal => "glorot_normal",
            Initializer::HeUniform => "he_uniform",
            Initializer::HeNormal => "he_normal",
            Initializer::LecunUniform => "lecun_uniform",
            Initializer::LecunNormal => "lecun_normal",
            Initializer::Orthogonal { .. } => "orthogonal",
            Initializer::Identity { .. } => "identity",
        })
    }
}

impl FromStr for Initializer {
    type Err = Error;

    /// Keras's names, those of its classes, and its aliases; parameters are Keras's defaults.
    fn from_str(name: &str) -> Result<Initializer> {
        Ok(match name {
            "zeros" | "zero" | "Zeros" => Initializer::Zeros,
            "ones" | "one" | "Ones" => Initializer::Ones,
            "constant" | "Constant" => Initializer::Constant(0.0),
            "random_uniform" | "uniform" | "RandomUniform" => Initializer::UNIFORM,
            "random_normal" | "normal" | "RandomNormal" => Initializer::NORMAL,
            "truncated_normal" | "TruncatedNormal" => Initializer::TRUNCATED_NORMAL,
            "variance_scaling" | "VarianceScaling" => Initializer::VARIANCE_SCALING,
            "glorot_uniform" | "GlorotUniform" => Initializer::GlorotUniform,
            "glorot_normal" | "GlorotNormal" => Initializer::GlorotNormal,
            "he_uniform" | "HeUniform" => Initializer::HeUniform,
            "he_normal" | "HeNormal" => Initializer::HeNormal,
            "lecun_uniform" | "LecunUniform" => Initializer::LecunUniform,
            "lecun_normal" | "LecunNormal" => Initializer::LecunNormal,
            "orthogonal" | "Orthogonal" | "OrthogonalInitializer" => Initializer::ORTHOGONAL,
            "identity" | "Identity" | "IdentityInitializer" => Initializer::IDENTITY,
            _ => {
                return Err(Error::UnknownName {
                    what: "initializer",
                    given: name.to_owned(),
                    expected: "zeros, ones, constant, random_uniform (uniform), random_normal (normal), truncated_normal, \
                               variance_scaling, glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform, \
                               lecun_normal, orthogonal, identity, or the names of Keras's classes",
                });
            }
        })
    }
}

impl fmt::Display for Fan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fan::In => "fan_in",
            Fan::Out => "fan_out",
            Fan::Average => "fan_avg",
        })
    }
}

impl FromStr for Fan {
    type Err = Error;

    fn from_str(name: &str) -> Result<Fan> {
        match name {
            "fan_in" => Ok(Fan::In),
            "fan_out" => Ok(Fan::Out),
            "fan_avg" => Ok(Fan::Average),
            _ => Err(Error::UnknownName { what: "mode", given: name.to_owned(), expected: "fan_in, fan_out, fan_avg" }),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Spread::TruncatedNormal => "truncated_normal",
            Spread::Normal => "untruncated_normal",
            Spread::Uniform => "uniform",
        })
    }
}

impl FromStr for Spread {
    type Err = Error;

    /// Keras's names; its old `"normal"` is the truncated one, as there.
    fn from_str(name: &str) -> Result<Spread> {
        match name {
            "truncated_normal" | "normal" => Ok(Spread::TruncatedNormal),
            "untruncated_normal" => Ok(Spread::Normal),
            "uniform" => Ok(Spread::Uniform),
            _ => Err(Error::UnknownName {
                what: "distribution",
                given: name.to_owned(),
                expected: "truncated_normal, untruncated_normal, uniform",
            }),
        }
    }
}
