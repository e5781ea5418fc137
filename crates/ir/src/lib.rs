//! The graph language: graph, operators, builder, text form, verifier, reference interpreter.
