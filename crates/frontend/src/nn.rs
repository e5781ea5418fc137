//! Layers with PyTorch's names, defaults, parameter names and shapes.
//!
//! A layer is built by its constructor and builder-style settings, as in
//! `Conv2d::new(3, 64, 7).stride(2).padding(3).bias(false)`, and applied by
//! [`Forward::forward`]. Layers compute what PyTorch computes in evaluation mode; images are
//! channels-first.

mod activation;
mod attention;
mod convolution;
mod embedding;
mod image;
mod linear;
mod normalisation;
mod parameter;
mod pooling;
mod random;
mod sequential;
mod state_dict;
mod structural;

use std::{collections::BTreeSet, panic::Location, sync::Arc};

pub use activation::{GELU, GeluApproximation, ReLU, SiLU, Sigmoid, Softmax, Tanh};
pub use attention::{Attention, MultiheadAttention};
pub use convolution::{Conv2d, Pair};
pub use embedding::Embedding;
pub use linear::Linear;
pub use normalisation::{BatchNorm2d, LayerNorm, NormalisedShape};
pub(crate) use parameter::ParameterId;
pub use parameter::{Init, Parameter};
pub use pooling::{AvgPool2d, MaxPool2d};
pub use random::manual_seed;
pub use sequential::Sequential;
pub use state_dict::{StateDict, StateDictError};
pub use structural::{Dropout, Flatten};

pub use crate::sequential;
use tracelift_ir::{Builder, Value};
use tracelift_tensor::DType;

use crate::{
    Fault, MistakeKind, Var,
    scope::{Layer, ModuleKey, Scope},
    trace::Tracer,
};

/// A part of a model: a tree of modules with named parameters at its nodes.
pub trait Module {
    /// Shows the children and the parameters, by the names PyTorch gives them.
    fn visit(&self, visitor: &mut Visitor<'_>);

    /// The name of the type, which tells a module from its first field.
    fn type_name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// Every parameter and buffer of the tree with its path, such as `features.0.weight`.
    ///
    /// A parameter used in two places has both names.
    fn named_parameters(&self) -> Vec<(String, Parameter)> {
        let mut out = Vec::new();
        let mut note = |path: &str, item: Item<'_>| {
            if let Item::Parameter(parameter) = item {
                out.push((path.to_string(), parameter.clone()));
            }
        };
        self.visit(&mut Visitor { prefix: String::new(), note: &mut note });
        out
    }

    /// The elements of every parameter and buffer by name.
    fn state_dict(&self) -> StateDict {
        self.named_parameters().into_iter().map(|(name, p)| (name, p.tensor())).collect()
    }

    /// Replaces every parameter by the entry of its name.
    ///
    /// # Errors
    /// When names are missing or unexpected, or shapes or dtypes differ; the error lists them all
    /// and nothing is changed.
    fn load_state_dict(&self, dict: &StateDict) -> Result<(), StateDictError> {
        state_dict::load(&self.named_parameters(), dict)
    }
}

/// A module that maps one tensor to one tensor.
pub trait Forward: Module {
    /// Applies the module.
    ///
    /// Mistakes in a model's `forward` are reported at their own lines there. `#[track_caller]`
    /// on an implementation reports them where the module is applied instead, as this library's
    /// layers do.
    fn forward(&self, x: &Var) -> Var;

    /// Applies the module and names its parts: the layers inside find their paths, such as
    /// `encoder.layer.0`, from here, and the operators written in `forward` carry this module's.
    ///
    /// Models are applied by this; the library's own layers do the same in `forward`.
    #[track_caller]
    fn call(&self, x: &Var) -> Var {
        // Not by `scoped`: a closure would hide the caller's line.
        let _entered = Entered::new(&x.tracer, self, None);
        self.forward(x)
    }
}

/// Runs `f` inside a module, for modules that do not map one tensor to one; see [`Forward::call`].
pub fn scoped<M: Module + ?Sized, R>(module: &M, x: &Var, f: impl FnOnce() -> R) -> R {
    let _scope = Entered::new(&x.tracer, module, None);
    f()
}

/// What a tree of modules consists of.
enum Item<'a> {
    Module(ModuleKey),
    Parameter(&'a Parameter),
}

/// Walks a tree of modules; handed to [`Module::visit`].
pub struct Visitor<'a> {
    prefix: String,
    note: &'a mut dyn FnMut(&str, Item<'_>),
}

impl Visitor<'_> {
    /// Shows a child.
    pub fn child(&mut self, name: &str, child: &dyn Module) -> &mut Self {
        let path = self.path(name);
        (self.note)(&path, Item::Module(key_of(child)));
        child.visit(&mut Visitor { prefix: path, note: self.note });
        self
    }

    /// Shows a parameter or a buffer.
    pub fn parameter(&mut self, name: &str, parameter: &Parameter) -> &mut Self {
        let path = self.path(name);
        (self.note)(&path, Item::Parameter(parameter));
        self
    }

    fn path(&self, name: &str) -> String {
        join(&self.prefix, name)
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") }
}

fn key_of<M: Module + ?Sized>(module: &M) -> ModuleKey {
    (std::ptr::from_ref(module).cast::<()>() as usize, module.type_name())
}

/// A module being applied; ends when dropped.
struct Entered {
    tracer: Tracer,
    modules: Vec<ModuleKey>,
    parameters: Vec<ParameterId>,
}

/// A layer of this library at its application.
struct Site {
    what: &'static str,
    built: &'static Location<'static>,
    caller: &'static Location<'static>,
}

impl Entered {
    fn new<M: Module + ?Sized>(tracer: &Tracer, module: &M, site: Option<Site>) -> Entered {
        let key = key_of(module);
        let mut entered =
            Entered { tracer: tracer.clone(), modules: Vec::new(), parameters: Vec::new() };
        let mut state = tracer.0.borrow_mut();
        let container = state.scopes.container_of(key);
        let path = match (container, state.scopes.modules.get(&key)) {
            (Some(_), _) => state.scopes.path(),
            (None, Some(path)) => path.clone(),
            (None, None) => {
                let base = state.scopes.path();
                entered.register(&mut state.scopes, &base, module);
                base
            }
        };
        let layer = site.map(|site| {
            let (place, also) = match container {
                Some(applied) => (site.built, ("applied", applied)),
                None => (site.caller, ("built", site.built)),
            };
            let also = (also.1 != place).then_some(also);
            Layer { what: site.what, place, also }
        });
        state.scopes.push(Scope { path, layer, child: None });
        drop(state);
        entered
    }

    /// Notes the paths of everything below a module; its borrow outlives this scope, so that
    /// addresses stay what they are.
    fn register<M: Module + ?Sized>(
        &mut self,
        scopes: &mut crate::scope::Scopes,
        base: &str,
        module: &M,
    ) {
        let mut note = |path: &str, item: Item<'_>| match item {
            Item::Module(key) => {
                scopes.modules.entry(key).or_insert_with(|| path.into());
                self.modules.push(key);
            }
            Item::Parameter(parameter) => {
                scopes.parameters.entry(parameter.id()).or_insert_with(|| path.into());
                self.parameters.push(parameter.id());
            }
        };
        let key = key_of(module);
        note(base, Item::Module(key));
        module.visit(&mut Visitor { prefix: base.to_string(), note: &mut note });
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut state = self.tracer.0.borrow_mut();
        state.scopes.pop();
        for key in &self.modules {
            state.scopes.modules.remove(key);
        }
        for id in &self.parameters {
            state.scopes.parameters.remove(id);
        }
    }
}

/// Applies one of this library's layers: operators and mistakes inside speak in its name.
#[track_caller]
fn layer<M: Module>(
    module: &M,
    what: &'static str,
    built: &'static Location<'static>,
    x: &Var,
    f: impl FnOnce(&Var) -> Var,
) -> Var {
    let site = Site { what, built, caller: Location::caller() };
    let _entered = Entered::new(&x.tracer, module, Some(site));
    f(x)
}

/// Applies a container's child under its name.
fn child<R>(
    x: &Var,
    name: &str,
    module: &(impl Module + ?Sized),
    applied: &'static Location<'static>,
    f: impl FnOnce() -> R,
) -> R {
    let tracer = x.tracer.clone();
    {
        let mut state = tracer.0.borrow_mut();
        let path: Arc<str> = join(&state.scopes.path(), name).into();
        let child = Some((key_of(module), applied));
        state.scopes.push(Scope { path, layer: None, child });
    }
    let result = f();
    tracer.0.borrow_mut().scopes.pop();
    result
}

/// Refuses operands that are not floats of one dtype, for which parameters exist.
fn same_floats(b: &Builder<'_>, values: &[Value]) -> Result<(), Fault> {
    let dtypes: Vec<DType> = values.iter().map(|v| b.ty(*v).dtype).collect();
    let Some(&parameter) = dtypes.get(1) else { return Ok(()) };
    if dtypes.iter().all(|&d| d == parameter) {
        return Ok(());
    }
    let message = format!("input has dtype {}, the parameters {parameter}", dtypes[0]);
    let fault = Fault::new(MistakeKind::DType, message).found(b.ty(values[0]).to_string());
    Err(fault.hint(format!("convert the input with .to(DType::{parameter:?})")))
}

impl Var {
    /// The value of a parameter in this tensor's trace, under the parameter's path in the model.
    #[track_caller]
    pub fn parameter(&self, parameter: &Parameter) -> Var {
        self.parameter_named(parameter, "parameter")
    }

    /// As [`Var::parameter`], with the name to use outside any model.
    #[track_caller]
    pub(crate) fn parameter_named(&self, parameter: &Parameter, local: &str) -> Var {
        let id = parameter.id();
        let known = self.tracer.0.borrow().parameters.get(&id).copied();
        if let Some(value) = known {
            return Var::of(&self.tracer, value);
        }
        let fits = parameter.check();
        let name = {
            let mut state = self.tracer.0.borrow_mut();
            let path = state.scopes.parameters.get(&id).map(|path| path.to_string());
            let path = path.unwrap_or_else(|| join(&state.scopes.path(), local));
            unused(&mut state.parameter_names, path)
        };
        let var = self.tracer.one("parameter", |b| {
            fits?;
            Ok(b.parameter(&name, parameter.tensor()))
        });
        if let Some(value) = var.value {
            self.tracer.0.borrow_mut().parameters.insert(id, value);
        }
        var
    }
}

impl Var {
    /// The name of the parameter this is; empty where it is none.
    fn parameter_name(&self) -> String {
        let state = self.tracer.0.borrow();
        let constant = self.value.and_then(|value| state.graph.constant(value));
        constant.and_then(|c| c.parameter.as_deref()).unwrap_or_default().to_string()
    }
}

/// A name not taken yet: the one asked for, or one with a number after it.
fn unused(taken: &mut BTreeSet<String>, name: String) -> String {
    let numbered = (1..).map(|k| format!("{name}.{k}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|n| !taken.contains(n));
    let free = free.expect("the numbers do not end");
    taken.insert(free.clone());
    free
}

/// Refuses an input whose rank is none of the given ones.
fn require_rank(x: &Var, ranks: &[usize], expected: &str) -> Result<(), Fault> {
    if x.is_poisoned() || ranks.contains(&x.rank()) {
        return Ok(());
    }
    let message = format!("input has {} axes", x.rank());
    Err(Fault::new(MistakeKind::Rank, message).found(x.described()).expected(expected))
}
