//! The kernel language: loop nests, index maps and tile programs, with text form, verifier and interpreter.
