//! The names of a checkpoint's files.

/// `step-<step>.json`.
pub(super) fn manifest(step: u64) -> String {
    format!("step-{step}.json")
}

/// The step of a manifest with this name, if it is one.
pub(super) fn step_of_manifest(name: &str) -> Option<u64> {
    let step = number(name.strip_prefix("step-")?.strip_suffix(".json")?)?;
    Some(step)
}

/// A shard's name, taken apart: `step-<step>.<generation>.<at>-of-<count>.safetensors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) step: u64,
    /// One more than that of any shard of the step before it: no save ever writes to a file that another one wrote.
    pub(super) generation: u64,
    /// From 1.
    pub(super) at: u64,
    pub(super) count: u64,
}

impl Shard {
    pub(super) fn name(self) -> String {
        let Shard { step, generation, at, count } = self;
        format!("step-{step}.{generation}.{at}-of-{count}.safetensors")
    }

    pub(super) fn parse(name: &str) -> Option<Shard> {
        let (step, rest) = name.strip_prefix("step-")?.strip_suffix(".safetensors")?.split_once('.')?;
        let (generation, rest) = rest.split_once('.')?;
        let (at, count) = rest.split_once("-of-")?;
        Some(Shard { step: number(step)?, generation: number(generation)?, at: number(at)?, count: number(count)? })
    }
}

/// A number as it is written here: no sign, no zeros in front.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(step_of_manifest(&manifest(120)), Some(120));
        let shard = Shard { step: 3, generation: 0, at: 1, count: 12 };
        assert_eq!(shard.name(), "step-3.0.1-of-12.safetensors");
        assert_eq!(Shard::parse(&shard.name()), Some(shard));
        for name in
            ["", "step-.json", "step-01.json", "step-+1.json", "step--1.json", "step-1.jso", "step-1.0.json", "xstep-1.json"]
        {
            assert_eq!(step_of_manifest(name), None, "{name}");
        }
        for name in [
            "step-1.safetensors",
            "step-1.0.safetensors",
            "step-1.0.1-of-.safetensors",
            "step-1.0.01-of-1.safetensors",
            "step-1.0.1-of-1",
        ] {
            assert_eq!(Shard::parse(name), None, "{name}");
        }
    }
}
