//! The names that nodes see: those of the graph, of a function's body, or of a branch.

use std::collections::{BTreeMap, HashMap, HashSet};

use tracelift_ir::Value;

use crate::{
    error::Shown,
    wire::{AttributeProto, NodeProto, TensorProto},
};

/// What a name stands for.
#[derive(Clone, Copy)]
pub(super) enum Entry<'m> {
    /// A value of the graph under construction.
    Value(Value),
    /// An initializer that nothing has used yet.
    Initializer(&'m TensorProto),
    /// An initializer of 16-bit floats, widened.
    Widened(Value),
    /// The result of a node that could not be imported.
    Unknown,
    /// An optional operand of a function that its caller leaves out.
    Absent,
}

/// The names that nodes see.
pub(super) struct Scope<'m> {
    /// What each name defined so far stands for.
    pub entries: HashMap<&'m str, Entry<'m>>,
    /// Every name that some node of this scope defines, now or later.
    pub outputs: HashSet<&'m str>,
    /// The version of each operator set.
    pub opsets: BTreeMap<&'m str, i64>,
    /// The attributes of the function call, for those of the body that refer to them.
    pub attributes: BTreeMap<&'m str, &'m AttributeProto>,
    /// The place of the call, which precedes the places of the body's nodes; empty outside.
    pub place: String,
    /// The module path of the call.
    pub module: String,
    /// The number of calls around this scope.
    pub depth: usize,
}

impl<'m> Scope<'m> {
    /// The scope of a list of nodes in which nothing is defined yet.
    pub fn new(nodes: &'m [NodeProto], opsets: BTreeMap<&'m str, i64>) -> Scope<'m> {
        let outputs = nodes.iter().flat_map(|n| &n.output).map(String::as_str);
        Scope {
            entries: HashMap::new(),
            outputs: outputs.collect(),
            opsets,
            attributes: BTreeMap::new(),
            place: String::new(),
            module: String::new(),
            depth: 0,
        }
    }
}

/// Where a node comes from: its place and its module path, of bounded lengths.
pub(super) fn origin(scope: &Scope<'_>, node: &NodeProto, index: usize) -> (String, String) {
    let name = match node.name.as_str() {
        "" => format!("{}_{index}", Shown(&node.op_type)),
        name => Shown(name).to_string(),
    };
    let module = module_of(node).unwrap_or_else(|| scope.module.clone());
    let module = Shown(&module).to_string();
    match scope.place.as_str() {
        "" => (name, module),
        place => (Shown(&format!("{place}/{name}")).to_string(), module),
    }
}

/// The module path of a node, where its exporter left one.
///
/// PyTorch's newer exporter stores a list of scopes whose last is the node itself; the older one
/// names nodes by path: `/encoder/layer.0/attention/MatMul`.
fn module_of(node: &NodeProto) -> Option<String> {
    let scopes = node.metadata_props.iter().find(|p| p.key == "pkg.torch.onnx.name_scopes");
    if let Some(scopes) = scopes {
        let list: Vec<&str> = scopes
            .value
            .trim_matches(['[', ']'])
            .split(',')
            .map(|part| part.trim().trim_matches(['\'', '"']))
            .collect();
        return list.len().checked_sub(2).map(|k| list[k].to_string());
    }
    let path = node.name.strip_prefix('/')?;
    let (module, _) = path.rsplit_once('/')?;
    Some(module.replace('/', "."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::StringStringEntryProto;

    #[test]
    fn module_paths_come_from_names_and_metadata() {
        let name = "/encoder/layer.0/attention/MatMul_1".to_string();
        let node = NodeProto { name, ..NodeProto::default() };
        assert_eq!(module_of(&node).as_deref(), Some("encoder.layer.0.attention"));
        let scopes = StringStringEntryProto {
            key: "pkg.torch.onnx.name_scopes".into(),
            value: "['', 'encoder', 'encoder.layer.0', 'linear']".into(),
        };
        let node = NodeProto { metadata_props: vec![scopes], ..NodeProto::default() };
        assert_eq!(module_of(&node).as_deref(), Some("encoder.layer.0"));
        assert_eq!(module_of(&NodeProto::default()), None);
    }
}
