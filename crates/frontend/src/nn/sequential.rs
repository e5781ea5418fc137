//! Modules applied one after the other.

use std::{fmt, panic::Location};

use super::{Entered, Forward, Module, Visitor, child};
use crate::Var;

/// Applies modules one after the other; their names are `0`, `1`, ….
///
/// [`sequential!`](crate::sequential) builds one from a list. A mistake inside points at the line
/// where the layer was built, since all of them are applied on one line.
#[derive(Default)]
pub struct Sequential {
    modules: Vec<Box<dyn Forward>>,
}

impl Sequential {
    /// An empty sequence, which passes its input on.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// Adds a module at the end.
    pub fn push(mut self, module: impl Forward + 'static) -> Sequential {
        self.modules.push(Box::new(module));
        self
    }

    /// The number of modules.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether there are no modules.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

/// Builds a [`Sequential`](crate::nn::Sequential) from a list of modules.
#[macro_export]
macro_rules! sequential {
    ($($module:expr),* $(,)?) => {
        $crate::nn::Sequential::new()$(.push($module))*
    };
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.modules.iter().map(|module| module.type_name())).finish()
    }
}

impl Module for Sequential {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (k, module) in self.modules.iter().enumerate() {
            visitor.child(&k.to_string(), &**module);
        }
    }
}

impl Forward for Sequential {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        let container = x.tracer.0.borrow().scopes.container_of(super::key_of(self));
        let applied = container.unwrap_or(Location::caller());
        let _entered = Entered::new(&x.tracer, self, None);
        let mut x = x.clone();
        for (k, module) in self.modules.iter().enumerate() {
            let input = x;
            let forward = || module.forward(&input);
            x = child(&input, &k.to_string(), &**module, applied, forward);
        }
        x
    }
}
