//! `hotrow verify`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use hotrow::store::{Checked, Checkpoints, FileError, VerifiedPart, inspect, verify};
use serde::Serialize;

use super::paths::Named;
use crate::output::{complain, grouped, say, say_json, sized};
use crate::progress::Bytes;

/// Read all of an embedding file and tell whether it is damaged
///
/// Every byte is read, and compared with the checksums where the file records some: safetensors files that hotrow writes, checkpoints, and npz. Other
/// formats record none; they are read as for any use, so that a line with too few numbers or a file cut short comes to light.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// Files of any format, folders of such files, or folders of checkpoints
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Print one line of JSON for each file
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  hotrow verify vectors.safetensors
  hotrow verify *.safetensors && rsync *.safetensors backup:
  hotrow verify checkpoints                     every step of them
  hotrow verify words.vec --json

Exit codes: 0 no damage was found, 1 a file is damaged or cannot be read, 2 wrong usage";

#[derive(Serialize)]
struct Report {
    file: String,
    /// Whether nothing is wrong, as far as can be told.
    ok: bool,
    /// How many parts were compared with a checksum.
    compared: usize,
    parts: Vec<Part>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Part {
    name: Option<String>,
    bytes: u64,
    outcome: &'static str,
    recorded: Option<String>,
    found: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &VerifyArgs) -> Result<()> {
    let mut bad = 0;
    let mut all = 0;
    let mut take = |report: Report| {
        all += 1;
        bad += usize::from(!report.ok);
        if args.json { say_json(&report) } else { Ok(()) }
    };
    for path in &args.files {
        match Named::of(path)? {
            Named::Files(files) => files.iter().try_for_each(|path| take(check(path, args.json)?))?,
            Named::Checkpoints(steps) => steps.iter().try_for_each(|&step| take(check_step(path, step, args.json)?))?,
        }
    }
    match (bad, all) {
        (0, _) => Ok(()),
        (_, 1) => bail!("{}: it is damaged or cannot be read", args.files[0].display()),
        _ => bail!("{bad} of {all} are damaged or cannot be read"),
    }
}

/// Verifies a checkpoint, and what it is a change of.
fn check_step(folder: &Path, step: u64, json: bool) -> Result<Report> {
    let begun = Instant::now();
    let file = format!("{}, step {step}", folder.display());
    let outcome = {
        let bar = Bytes::new(Some(0)).about(file.clone());
        Checkpoints::open(folder).with_progress(move |progress| bar.show(progress.bytes, progress.total)).verify(step)
    };
    if !json {
        match &outcome {
            Ok(bytes) => {
                let took = begun.elapsed().as_secs_f64();
                say(&format!("{file}: as it was written: all checksums are right ({} in {took:.1} s)", sized(*bytes)))?;
            }
            Err(error) => complain(&format!("error: {error}")),
        }
    }
    let error = outcome.as_ref().err().map(ToString::to_string);
    let part = |bytes| Part { name: None, bytes, outcome: "equal", recorded: None, found: None };
    let parts: Vec<_> = outcome.into_iter().map(part).collect();
    Ok(Report { file, ok: error.is_none(), compared: parts.len(), parts, error })
}

/// Verifies a file. What is wrong goes to standard error at once, unless it is part of the result.
fn check(path: &Path, json: bool) -> Result<Report> {
    let begun = Instant::now();
    let file = path.display().to_string();
    let total = inspect(path).ok().and_then(|info| info.parts.iter().map(|part| part.bytes).sum::<Option<u64>>());
    let outcome = {
        let bar = Bytes::new(total).about(file.clone());
        verify(path, &|bytes| bar.add(bytes))
    };
    let parts = match outcome {
        Ok(parts) => parts,
        Err(error) => {
            if !json {
                complain(&format!("error: {error}"));
            }
            return Ok(Report { file, ok: false, compared: 0, parts: Vec::new(), error: Some(error.to_string()) });
        }
    };
    let damaged: Vec<String> = parts.iter().filter_map(|part| damage(&file, part)).collect();
    let compared = parts.iter().filter(|part| part.checked != Checked::Unrecorded).count();
    if !json {
        damaged.iter().for_each(|problem| complain(&format!("error: {problem}")));
        if damaged.is_empty() {
            say(&format!("{file}: {}", praise(&parts, compared, begun)))?;
        }
    }
    Ok(Report { file, ok: damaged.is_empty(), compared, parts: parts.into_iter().map(part).collect(), error: None })
}

fn damage(file: &str, part: &VerifiedPart) -> Option<String> {
    let Checked::Damaged { expected, found } = part.checked else { return None };
    let what = part.name.as_ref().map_or("the table".to_owned(), |name| format!("`{}`", name.escape_debug()));
    Some(FileError::Checksum { path: file.to_owned(), what, expected, found }.to_string())
}

fn praise(parts: &[VerifiedPart], compared: usize, begun: Instant) -> String {
    let bytes = sized(parts.iter().map(|part| part.bytes).sum());
    let took = format!("{bytes} in {:.1} s", begun.elapsed().as_secs_f64());
    match (compared, parts.len()) {
        (0, _) => format!("can be read ({took}); it records no checksums, so nothing tells whether it is as it was written"),
        (1, 1) => format!("as it was written: its checksum is right ({took})"),
        (compared, all) if compared == all => format!("as it was written: all {} checksums are right ({took})", grouped(all)),
        (compared, all) => format!("{} of {} parts have a checksum, and those are right ({took})", grouped(compared), grouped(all)),
    }
}

fn part(part: VerifiedPart) -> Part {
    let hex = |crc32: u32| Some(format!("{crc32:08x}"));
    let (outcome, recorded, found) = match part.checked {
        Checked::Equal => ("equal", None, None),
        Checked::Damaged { expected, found } => ("damaged", hex(expected), hex(found)),
        _ => ("unrecorded", None, None),
    };
    Part { name: part.name, bytes: part.bytes, outcome, recorded, found }
}
