//! Where in the model a trace is: the stack of modules, and the paths of those it has met.

use std::{collections::HashMap, panic::Location, sync::Arc};

use crate::nn::ParameterId;

/// Tells modules of one tree apart while they are borrowed: address and type.
///
/// The type matters because a struct and its first field share an address.
pub(crate) type ModuleKey = (usize, &'static str);

/// A module being applied.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The module path, such as `features.0`.
    pub(crate) path: Arc<str>,
    /// Set in the library's own layers, whose operators speak in the layer's name.
    pub(crate) layer: Option<Layer>,
    /// Set while a container applies this child: where the container was applied.
    pub(crate) child: Option<(ModuleKey, &'static Location<'static>)>,
}

/// A layer being applied.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) what: &'static str,
    pub(crate) place: &'static Location<'static>,
    pub(crate) also: Option<(&'static str, &'static Location<'static>)>,
}

/// The place of a node or a mistake.
pub(crate) struct Site {
    pub(crate) what: Arc<str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) also: Option<(&'static str, &'static Location<'static>)>,
    pub(crate) module: Arc<str>,
}

/// The stack of modules, and the paths of all modules and parameters of the trees entered.
#[derive(Default, Debug)]
pub(crate) struct Scopes {
    stack: Vec<Scope>,
    pub(crate) modules: HashMap<ModuleKey, Arc<str>>,
    pub(crate) parameters: HashMap<ParameterId, Arc<str>>,
}

impl Scopes {
    pub(crate) fn push(&mut self, scope: Scope) {
        self.stack.push(scope);
    }

    pub(crate) fn pop(&mut self) {
        self.stack.pop();
    }

    /// The path of the innermost module; empty outside.
    pub(crate) fn path(&self) -> Arc<str> {
        self.stack.last().map_or_else(|| Arc::from(""), |scope| scope.path.clone())
    }

    /// Where the container was applied, when the innermost scope is its call of this very child.
    pub(crate) fn container_of(&self, key: ModuleKey) -> Option<&'static Location<'static>> {
        let (child, place) = self.stack.last()?.child?;
        (child == key).then_some(place)
    }

    /// The place of something done by operator `what` called from `caller`.
    pub(crate) fn site(&self, what: &str, caller: &'static Location<'static>) -> Site {
        let module = self.path();
        match self.stack.last().and_then(|scope| scope.layer.as_ref()) {
            Some(layer) => {
                Site { what: layer.what.into(), place: layer.place, also: layer.also, module }
            }
            None => Site { what: what.into(), place: caller, also: None, module },
        }
    }
}
