//! The report for programs: one JSON object a line, and nothing else, on the standard output.

use std::io::{self, Write};

use super::Sink;
use super::machine::Machine;
use super::record::Record;
use super::report::distances;

/// Prints results as JSON; what is no result is kept for the end, and goes to the standard error.
pub(super) struct JsonLines<'a> {
    out: &'a mut dyn Write,
    records: Vec<Record>,
    skipped: Vec<String>,
}

impl<'a> JsonLines<'a> {
    /// No lines yet.
    pub(super) fn new(out: &'a mut dyn Write) -> JsonLines<'a> {
        JsonLines { out, records: Vec::new(), skipped: Vec::new() }
    }
}

impl Sink for JsonLines<'_> {
    fn measured(&mut self, record: Record) -> io::Result<()> {
        let line = serde_json::to_string(&record)?;
        writeln!(self.out, "{line}")?;
        self.records.push(record);
        self.out.flush()
    }

    fn skipped(&mut self, name: &str, reason: &str) -> io::Result<()> {
        self.skipped.push(format!("{name} skipped: {reason}"));
        Ok(())
    }

    fn finish(self: Box<Self>, machine: &Machine, err: &mut dyn Write) -> io::Result<()> {
        let machine = [machine.to_string()];
        for line in self.skipped.iter().chain(&machine).chain(&distances(&self.records)) {
            writeln!(err, "{line}")?;
        }
        Ok(())
    }
}
