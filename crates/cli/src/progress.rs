//! A line on the terminal that says what is being done.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The line; it vanishes when dropped, and is never shown where standard error is no terminal.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows a line; no thread redraws it, so that measurements are not disturbed.
    pub fn start(message: String) -> Progress {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(message);
        bar.tick();
        Progress { bar }
    }

    /// Shows another message.
    pub fn say(&self, message: String) {
        self.bar.set_message(message);
        self.bar.tick();
    }

    /// Shows the line with an animated mark, drawn by a thread of its own.
    pub fn animated(message: String) -> Progress {
        let progress = Progress::start(message);
        progress.bar.enable_steady_tick(Duration::from_millis(100));
        progress
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
