//! Passes on small graphs: graph in, graph out, and the interpreter's values before and after.

mod constants;
mod layouts;
mod manager;
mod random_graphs;
mod recognise;
mod simplify;
mod support;
