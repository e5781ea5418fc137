//! Runs a compiled program: arena, launches, threads, weights.
