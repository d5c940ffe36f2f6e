//! The progress of training.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, which stays away when that is no terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(epochs: usize) -> Self {
        let style =
            ProgressStyle::with_template(&format!("epoch {{prefix}}/{epochs} {{bar:30}} {{percent:>3}}%  {{msg}}  {{eta}} left"));
        let bar = ProgressBar::new(0);
        // The template is fixed; were it wrong, the plain bar would do.
        Bar(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// Shows that so many of all samples are learnt.
    pub(super) fn show(&self, epoch: usize, samples: usize, total: usize, message: String) {
        self.0.set_length(total as u64);
        self.0.set_prefix(epoch.to_string());
        self.0.set_message(message);
        self.0.set_position(samples as u64);
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
