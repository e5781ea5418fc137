//! The line protocol by which a harness measures several engines in turns.
//!
//! Out: `{"event":"load",…}` at once; then for each line `measure SECONDS` an
//! `{"event":"measure",…}`; for `finish` a `{"event":"final",…}`, which ends it.

use std::io::{BufRead, Write};

use anyhow::bail;
use serde_json::{Value, json};

use super::{extend, measure::measure, parse_seconds, runner::Runner};
use crate::process::peak_rss_mb;

/// Answers lines until `finish` or the end of the input.
///
/// # Errors
/// When a line is no command, or a run is refused.
pub fn serve(runner: &mut Runner, lines: impl BufRead, out: &mut dyn Write) -> anyhow::Result<()> {
    say(out, "load", runner.describe())?;
    for line in lines.lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["measure", seconds] => {
                let seconds = parse_seconds(seconds).map_err(anyhow::Error::msg)?;
                say(out, "measure", measure(runner, seconds)?.to_json())?;
            }
            ["finish"] => {
                let mut last = json!({ "peak_rss_mb": peak_rss_mb() });
                if let Some(errors) = runner.errors()? {
                    extend(&mut last, errors.to_json());
                }
                return say(out, "final", last);
            }
            _ => bail!("found line '{}', expected measure SECONDS or finish", line.escape_debug()),
        }
    }
    Ok(())
}

fn say(out: &mut dyn Write, event: &str, content: Value) -> anyhow::Result<()> {
    let mut line = json!({ "event": event });
    extend(&mut line, content);
    writeln!(out, "{line}")?;
    // The harness waits for the line.
    Ok(out.flush()?)
}
