//! Graph-to-graph passes and their manager.
