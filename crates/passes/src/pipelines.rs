//! The pipelines: lists of pass names.

/// Makes a graph small and fast, and says it in primitives only.
pub const DEFAULT: &[&str] = &[
    "spell_out",
    "simplify",
    "fold_constants",
    "merge_common",
    "remove_dead",
    "recognise",
    "fold_batch_norm",
    "decompose",
    "assign_layouts",
    "simplify",
    "fold_constants",
    "compute_constants",
    "merge_common",
    "remove_dead",
];

/// Says a graph in primitives, which is all that lowering needs.
pub const MINIMAL: &[&str] = &["decompose"];
