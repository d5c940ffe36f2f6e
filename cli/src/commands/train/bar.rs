//! The progress of training, and of its checkpoints.

use hotrow::store::CheckpointProgress;
use indicatif::{ProgressBar, ProgressStyle};

/// Checkpoints below so many bytes are there at once.
const LARGE: u64 = 64 << 20;

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

/// Shows how a large checkpoint is saved or loaded, in the place of the bar of training, which stands still meanwhile.
pub(super) fn checkpoint_bar() -> impl Fn(CheckpointProgress) + Send + Sync + 'static {
    let bar = ProgressBar::hidden();
    if let Ok(style) = ProgressStyle::with_template("checkpoint {bar:30} {bytes}/{total_bytes}  {eta} left") {
        bar.set_style(style);
    }
    move |CheckpointProgress { bytes, total, .. }| {
        if total < LARGE {
            return;
        }
        if bar.length() != Some(total) || bar.is_finished() {
            bar.reset();
            bar.set_length(total);
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        bar.set_position(bytes);
        if bytes == total {
            bar.finish_and_clear();
        }
    }
}
