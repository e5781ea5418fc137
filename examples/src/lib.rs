//! Programs to read, one idea each.
