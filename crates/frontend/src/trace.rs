//! Tracing: runs a Rust closure over symbolic tensors and keeps the graph it builds.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    panic::Location,
    rc::Rc,
    sync::Arc,
};

use tracelift_ir::{Builder, Graph, NodeId, Provenance, TensorType, Value};

use crate::{Fault, Mistake, MistakeKind, TraceError, Var, nn::ParameterId, scope::Scopes};

/// What made a value, for messages.
#[derive(Clone, Debug)]
struct Producer {
    what: Arc<str>,
    place: Option<&'static Location<'static>>,
}

/// A trace under way.
#[derive(Default, Debug)]
pub(crate) struct State {
    pub(crate) graph: Graph,
    pub(crate) scopes: Scopes,
    pub(crate) parameters: BTreeMap<ParameterId, Value>,
    pub(crate) parameter_names: BTreeSet<String>,
    mistakes: Vec<Mistake>,
    producers: BTreeMap<NodeId, Producer>,
    finished: bool,
}

/// A shared handle on a trace under way.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tracer(pub(crate) Rc<RefCell<State>>);

impl Tracer {
    pub(crate) fn is(&self, other: &Tracer) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.borrow().finished
    }

    /// Records a mistake at the place of the innermost layer, else at `caller`.
    pub(crate) fn record(&self, what: &str, fault: Fault, caller: &'static Location<'static>) {
        let mut state = self.0.borrow_mut();
        let site = state.scopes.site(what, caller);
        let (module, also) = (site.module.to_string(), site.also);
        let (place, message) = (site.place, format!("{}: {}", site.what, fault.message));
        let Fault { kind, found, expected, hint, .. } = fault;
        state.mistakes.push(Mistake { kind, place, also, module, message, found, expected, hint });
    }

    /// Adds nodes; a fault is recorded and gives `None`.
    pub(crate) fn build(
        &self,
        what: &str,
        caller: &'static Location<'static>,
        build: impl FnOnce(&mut Builder<'_>) -> Result<Vec<Value>, Fault>,
    ) -> Option<Vec<Value>> {
        let mut state = self.0.borrow_mut();
        if state.finished {
            return None;
        }
        let site = state.scopes.site(what, caller);
        let place = format!("{}:{}", site.place.file(), site.place.line());
        let from = Provenance::at(&place, &site.module);
        let producer = Producer { what: site.what, place: Some(site.place) };
        match build(&mut Builder::with_provenance(&mut state.graph, from)) {
            Ok(values) => {
                for value in &values {
                    // An operator without effect hands on its operand, which keeps its producer.
                    state.producers.entry(value.node).or_insert_with(|| producer.clone());
                }
                Some(values)
            }
            Err(fault) => {
                drop(state);
                self.record(what, fault, caller);
                None
            }
        }
    }

    /// `f32[1, 4096]  (from Flatten at src/main.rs:41)`.
    pub(crate) fn describe(&self, value: Value, ty: &TensorType) -> String {
        match self.0.borrow().producers.get(&value.node) {
            Some(Producer { what, place: Some(place) }) => {
                format!("{ty}  (from {what} at {}:{})", place.file(), place.line())
            }
            Some(Producer { what, place: None }) => format!("{ty}  ({what})"),
            None => ty.to_string(),
        }
    }

    fn add_input(&self, name: &str, ty: &TensorType, caller: &'static Location<'static>) -> Var {
        let mut state = self.0.borrow_mut();
        let taken = state.graph.inputs().any(|v| *state.graph.node(v.node).names[0] == *name);
        let value = state.graph.add_input(name, ty.clone());
        let producer = Producer { what: format!("input {name}").into(), place: None };
        state.producers.insert(value.node, producer);
        drop(state);
        let word = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
        if taken || !word || name.is_empty() {
            let message = format!("input {name:?} cannot be declared");
            let fault = Fault::new(MistakeKind::Signature, message)
                .expected("different names of letters, digits, '_' and '.'");
            self.record("trace", fault, caller);
        }
        if let Some(extent) = ty.shape.iter().find(|d| d.as_i64().is_some_and(|d| d < 0)) {
            let message = format!("input {name:?} has extent {extent}");
            let fault = Fault::new(MistakeKind::Signature, message).found(ty.to_string());
            self.record("trace", fault.expected("extents from 0"), caller);
        }
        Var::of(self, value)
    }

    fn finish(&self, results: Vec<(String, Var)>) -> Result<Graph, TraceError> {
        for (name, var) in &results {
            let own = var.tracer.is(self);
            match var.value {
                Some(value) if own => self.0.borrow_mut().graph.add_result(name, value),
                _ => {}
            }
        }
        let mut state = self.0.borrow_mut();
        state.finished = true;
        let mistakes = std::mem::take(&mut state.mistakes);
        if !mistakes.is_empty() {
            return Err(TraceError { mistakes });
        }
        let mut graph = std::mem::take(&mut state.graph);
        graph.remove_dead();
        Ok(graph)
    }
}

/// Traces a function: runs `f` once over symbolic tensors of the given types.
///
/// Results are one [`Var`], a tuple, array or `Vec` of them, or `[("name", var)]`.
///
/// ```
/// use tracelift_frontend::{f32, trace};
/// let graph = trace("scale", &[("x", f32(("B", 3)))], |[x]| x * 2.0 + 1.0)?;
/// assert_eq!(graph.results().len(), 1);
/// # Ok::<(), tracelift_frontend::TraceError>(())
/// ```
///
/// # Errors
/// Every independent mistake of the program, each with the line it was made on.
#[track_caller]
pub fn trace<R: Results, const N: usize>(
    name: &str,
    inputs: &[(&str, TensorType); N],
    f: impl FnOnce([Var; N]) -> R,
) -> Result<Graph, TraceError> {
    let inputs = inputs.each_ref().map(|(name, ty)| (*name, ty.clone()));
    trace_list(name, &inputs, |vars| {
        let vars: Result<[Var; N], _> = vars.to_vec().try_into();
        f(vars.expect("one variable per input"))
    })
}

/// As [`trace`], with a number of inputs that is not known when the program is written.
///
/// # Errors
/// As [`trace`].
#[track_caller]
pub fn trace_list<R: Results>(
    name: &str,
    inputs: &[(&str, TensorType)],
    f: impl FnOnce(&[Var]) -> R,
) -> Result<Graph, TraceError> {
    let caller = Location::caller();
    let tracer = Tracer::default();
    tracer.0.borrow_mut().graph.set_name(name);
    let vars: Vec<Var> =
        inputs.iter().map(|(name, ty)| tracer.add_input(name, ty, caller)).collect();
    let results = f(&vars).into_results();
    if results.iter().any(|(_, var)| !var.tracer.is(&tracer)) {
        let message = "a result belongs to another trace";
        tracer.record("trace", Fault::new(MistakeKind::ForeignTrace, message), caller);
    }
    tracer.finish(results)
}

/// A value that a traced function may return in a list: a [`Var`], or one with a name.
pub trait ResultItem {
    /// The name, empty where there is none, and the value.
    fn into_result(self) -> (String, Var);
}

impl ResultItem for Var {
    fn into_result(self) -> (String, Var) {
        (String::new(), self)
    }
}

impl ResultItem for &Var {
    fn into_result(self) -> (String, Var) {
        (String::new(), self.clone())
    }
}

impl<N: Into<String>> ResultItem for (N, Var) {
    fn into_result(self) -> (String, Var) {
        (self.0.into(), self.1)
    }
}

/// What a traced function may return.
pub trait Results {
    /// The results in order with their names, empty where there are none.
    fn into_results(self) -> Vec<(String, Var)>;
}

impl Results for Var {
    fn into_results(self) -> Vec<(String, Var)> {
        vec![self.into_result()]
    }
}

impl Results for &Var {
    fn into_results(self) -> Vec<(String, Var)> {
        vec![self.into_result()]
    }
}

impl<T: ResultItem> Results for Vec<T> {
    fn into_results(self) -> Vec<(String, Var)> {
        self.into_iter().map(T::into_result).collect()
    }
}

impl<T: ResultItem, const N: usize> Results for [T; N] {
    fn into_results(self) -> Vec<(String, Var)> {
        self.into_iter().map(T::into_result).collect()
    }
}

macro_rules! results_of_tuples {
    ($(($($name:ident $field:tt),*))*) => { $(
        impl<$($name: ResultItem),*> Results for ($($name,)*) {
            fn into_results(self) -> Vec<(String, Var)> {
                vec![$(self.$field.into_result()),*]
            }
        }
    )* };
}
results_of_tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
