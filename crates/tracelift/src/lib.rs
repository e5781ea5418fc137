//! Tracelift: a static-graph compiler for neural networks.
