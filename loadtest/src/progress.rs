//! The line on the terminal that shows how far a run is; silent when standard error is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// One phase of a run, from 0 to its length.
pub struct Progress(ProgressBar);

impl Progress {
    /// Shows phase `name`, which ends at `length`.
    pub fn begin(name: &'static str, length: u64) -> Self {
        let bar = ProgressBar::new(length);
        let style = ProgressStyle::with_template("{msg:>10} [{bar:40}] {pos}/{len} {elapsed}")
            .expect("the template is a constant that parses");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(name);
        Self(bar)
    }

    /// Shows a phase that lasts `duration`, in tenths of a second.
    pub fn begin_for(name: &'static str, duration: Duration) -> Self {
        Self::begin(name, (duration.as_secs_f64() * 10.0) as u64)
    }

    /// Shows that the phase is at `position`.
    pub fn show(&self, position: u64) {
        self.0.set_position(position);
    }

    /// Shows that `elapsed` of a phase begun by [`Self::begin_for`] is over.
    pub fn show_elapsed(&self, elapsed: Duration) {
        self.show((elapsed.as_secs_f64() * 10.0) as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
