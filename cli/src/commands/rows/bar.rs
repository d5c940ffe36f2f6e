//! How far the rows are.

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::grouped;

/// Steps of the bar.
const STEPS: u64 = 1000;

/// A bar on standard error, which stays away when that is no terminal.
pub(in crate::commands) struct Bar(ProgressBar);

impl Bar {
    pub(in crate::commands) fn new(action: &'static str) -> Self {
        let bar = ProgressBar::new(STEPS);
        // The template is fixed; were it wrong, the plain bar would do.
        Bar(match ProgressStyle::with_template("{prefix} {bar:30} {percent:>3}%  {msg}  {eta} left") {
            Ok(style) => bar.with_style(style).with_prefix(action),
            Err(_) => bar,
        })
    }

    /// Shows how many rows are done, and which part of all that is, if it is known.
    pub(in crate::commands) fn show(&self, rows: u64, part: Option<f64>) {
        self.0.set_message(format!("{} rows", grouped(usize::try_from(rows).unwrap_or(usize::MAX))));
        match part {
            Some(part) => self.0.set_position((part * STEPS as f64) as u64),
            None => self.0.tick(),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
