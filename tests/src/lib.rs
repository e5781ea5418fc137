//! Tests that cross crates: filetests, operator conformance, models, random graphs.
