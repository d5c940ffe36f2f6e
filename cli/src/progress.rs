//! The progress of reading a file.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of bytes on standard error, which stays away when that is no terminal.
pub(crate) struct Bytes(ProgressBar);

impl Bytes {
    /// A bar for so many bytes, or for as many as come.
    pub(crate) fn new(total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{msg} {bar:30} {percent:>3}%  {bytes}  {eta} left",
            None => "{msg} {spinner} {bytes}",
        };
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        // The template is fixed; were it wrong, the plain bar would do.
        Bytes(match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// Says what the bar is about.
    pub(crate) fn about(self, message: String) -> Self {
        self.0.set_message(message);
        self
    }

    /// So many of so many.
    pub(crate) fn show(&self, bytes: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(bytes);
    }

    /// So many more.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bytes {
    /// Takes the bar away.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
