//! Where a node came from.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// One source of a node.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The place: an ONNX node name, a Rust `file:line`, a checkpoint parameter.
    pub place: Arc<str>,
    /// The module path, such as `encoder.layer.0.attention`; empty where there is none.
    pub module: Arc<str>,
}

impl fmt::Display for Origin {
    /// Writes `module (place)`, or the place alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.module.is_empty() {
            f.write_str(&self.place)
        } else {
            write!(f, "{} ({})", self.module, self.place)
        }
    }
}

/// The sources of a node: one as built, several once rewrites have merged nodes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provenance(SmallVec<[Arc<Origin>; 1]>);

impl Provenance {
    /// A single source.
    pub fn at(place: &str, module: &str) -> Provenance {
        let origin = Origin { place: place.into(), module: module.into() };
        Provenance(SmallVec::from_iter([Arc::new(origin)]))
    }

    /// The sources, oldest first, each once.
    pub fn origins(&self) -> &[Arc<Origin>] {
        &self.0
    }

    /// Adds the sources of another node.
    pub fn merge(&mut self, other: &Provenance) {
        for origin in &other.0 {
            if !self.0.contains(origin) {
                self.0.push(origin.clone());
            }
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.0.iter().map(|o| o.to_string()).collect();
        f.write_str(&places.join(", "))
    }
}
