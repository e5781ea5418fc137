//! The passes there are, by name.

use crate::{Pass, PassError};

/// A pass with its documentation.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The pass.
    pub pass: &'static dyn Pass,
    source: &'static str,
}

impl Entry {
    /// The name in pipelines.
    pub fn name(&self) -> &'static str {
        self.pass.name()
    }

    /// The header of the pass's file, in Markdown: what it does and what it leaves alone.
    pub fn doc(&self) -> String {
        let header = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        header.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }
}

macro_rules! passes {
    ($($module:ident :: $pass:ident),* $(,)?) => {
        /// Every pass, in alphabetical order.
        pub fn all() -> &'static [Entry] {
            &[$(Entry {
                pass: &crate::$module::$pass,
                source: include_str!(concat!(stringify!($module), ".rs")),
            }),*]
        }
    };
}

passes! {
    assign_layouts::AssignLayouts,
    compute_constants::ComputeConstants,
    decompose::Decompose,
    fold_batch_norm::FoldBatchNorm,
    fold_constants::FoldConstants,
    merge_common::MergeCommon,
    recognise::Recognise,
    remove_dead::RemoveDead,
    simplify::Simplify,
    spell_out::SpellOut,
}

/// The pass of that name.
///
/// # Errors
/// When there is none; the message lists those there are.
pub fn find(name: &str) -> Result<&'static dyn Pass, PassError> {
    let found = all().iter().find(|entry| entry.name() == name);
    found.map(|entry| entry.pass).ok_or_else(|| PassError::Unknown {
        found: name.to_string(),
        known: all().iter().map(Entry::name).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_documented() {
        assert!(all().is_sorted_by_key(Entry::name));
        assert!(all().iter().all(|entry| entry.doc().len() > 40));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find("simplfy").err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("simplify"), "{error}");
    }
}
