//! Graphs as JSON, for tools outside.
//!
//! Types, attributes and numbers are written as in the text form; tensors of more than 32 elements
//! and parameters lie beside it, by name and SHA-256 of their bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracelift_tensor::{Bytes, DType, Scalar, Tensor};

use crate::{
    Attribute as _, Constant, ConstantData, Graph, NodeId, NodeKind, Op, Provenance, Shape,
    TensorType, Value,
    text::{DataSource, Names},
    verify::{Violation, verify},
};

/// A JSON text that is no valid graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON of the right form.
    #[error("TL0330: {0}")]
    Form(#[from] serde_json::Error),
    /// A node that says something impossible.
    #[error("TL0331: node {node}: {message}")]
    Node {
        /// The node's position in the list.
        node: usize,
        /// What was found and expected.
        message: String,
    },
    /// A graph that breaks rules.
    #[error("TL0332: {}", list(.0))]
    Invalid(Vec<Violation>),
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(Violation::to_string).collect::<Vec<_>>().join("\n")
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphForm {
    graph: String,
    nodes: Vec<NodeForm>,
    results: Vec<ResultForm>,
}

/// A node; its place in the list is its number.
#[derive(Serialize, Deserialize)]
struct NodeForm {
    #[serde(flatten)]
    kind: KindForm,
    types: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    provenance: Provenance,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum KindForm {
    Input,
    Constant {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameter: Option<String>,
        data: DataForm,
    },
    Op {
        op: String,
        #[serde(default)]
        attributes: BTreeMap<String, String>,
        operands: Vec<ValueForm>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DataForm {
    /// Every element.
    Splat(String),
    /// All elements in row-major order.
    Dense(Vec<String>),
    /// A tensor beside the text.
    Beside { name: String, sha256: String },
}

/// The number of a node and of its result.
type ValueForm = (usize, u32);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultForm {
    #[serde(default)]
    name: String,
    value: ValueForm,
}

/// The bytes of a hash in lowercase hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes a graph without cycles; [`data_beside`](crate::text::data_beside) gives the tensors it refers to.
pub fn to_json(graph: &Graph) -> String {
    let names = Names::of(graph);
    let inputs: Vec<NodeId> = graph.inputs().map(|v| v.node).collect();
    let is_input = |id: &NodeId| matches!(graph.node(*id).kind, NodeKind::Input);
    let rest = graph.topological_order().into_iter().filter(|id| !is_input(id));
    let order: Vec<NodeId> = inputs.into_iter().chain(rest).collect();
    let numbers: BTreeMap<NodeId, usize> = order.iter().copied().zip(0..).collect();
    let form = GraphForm {
        graph: graph.name().to_string(),
        nodes: order.iter().map(|id| node_form(graph, &names, &numbers, *id)).collect(),
        results: graph
            .results()
            .iter()
            .map(|r| ResultForm {
                name: r.name.to_string(),
                value: (numbers[&r.value.node], r.value.result),
            })
            .collect(),
    };
    serde_json::to_string_pretty(&form).expect("names are texts and keys are strings")
}

fn node_form(
    graph: &Graph,
    names: &Names,
    numbers: &BTreeMap<NodeId, usize>,
    id: NodeId,
) -> NodeForm {
    let node = graph.node(id);
    let kind = match &node.kind {
        NodeKind::Input => KindForm::Input,
        NodeKind::Constant(Constant { parameter, data }) => KindForm::Constant {
            parameter: parameter.as_ref().map(ToString::to_string),
            data: match (data, names.data(id)) {
                (ConstantData::Splat(scalar), _) => DataForm::Splat(scalar.to_string()),
                (ConstantData::Dense(tensor), Some(name)) => {
                    DataForm::Beside { name: name.to_string(), sha256: sha256(tensor.bytes()) }
                }
                (ConstantData::Dense(tensor), None) => {
                    DataForm::Dense(tensor.iter().map(|x| x.to_string()).collect())
                }
            },
        },
        NodeKind::Op(op) => KindForm::Op {
            op: op.syntax().name().to_string(),
            attributes: op
                .syntax()
                .attributes()
                .into_iter()
                .map(|(name, text)| (name.to_string(), text))
                .collect(),
            operands: graph.operands(id).iter().map(|v| (numbers[&v.node], v.result)).collect(),
        },
    };
    NodeForm {
        kind,
        types: node.types.iter().map(TensorType::to_string).collect(),
        names: node.names.iter().map(ToString::to_string).collect(),
        provenance: node.provenance.clone(),
    }
}

/// Reads what [`to_json`] writes and verifies it; `data` gives the tensors beside it by name.
///
/// # Errors
/// When the text is malformed, a tensor is missing or another one, or the graph is not valid.
pub fn from_json(json: &str, data: &mut DataSource<'_>) -> Result<Graph, JsonError> {
    let form: GraphForm = serde_json::from_str(json)?;
    let mut graph = Graph::new(&form.graph);
    let mut ids: Vec<NodeId> = Vec::with_capacity(form.nodes.len());
    for node in form.nodes {
        let error = |message| JsonError::Node { node: ids.len(), message };
        let id = add(&mut graph, &ids, node, data).map_err(error)?;
        ids.push(id);
    }
    for ResultForm { name, value } in form.results {
        let error = |message| JsonError::Node { node: value.0, message };
        let value = resolve(&graph, &ids, value).map_err(error)?;
        graph.add_result(&name, value);
    }
    verify(&graph).map_err(JsonError::Invalid)?;
    Ok(graph)
}

fn add(
    graph: &mut Graph,
    ids: &[NodeId],
    form: NodeForm,
    data: &mut DataSource<'_>,
) -> Result<NodeId, String> {
    let types: Vec<TensorType> =
        form.types.iter().map(|ty| parse_type(ty)).collect::<Result<_, _>>()?;
    let (kind, operands) = match form.kind {
        KindForm::Input => {
            let [ty] = <[TensorType; 1]>::try_from(types).map_err(|_| "an input has one type")?;
            let name = form.names.first().map_or("", String::as_str);
            return Ok(graph.add_input(name, ty).node);
        }
        KindForm::Constant { parameter, data: elements } => {
            let [ty] = types.as_slice() else { return Err("a constant has one type".into()) };
            let data = constant(elements, ty, data)?;
            let parameter = parameter.map(Into::into);
            (NodeKind::Constant(Constant { parameter, data }), Vec::new())
        }
        KindForm::Op { op, attributes, operands } => {
            let op = Op::parse(&op, &attributes)
                .ok_or_else(|| format!("unknown operator '{op}'"))?
                .map_err(|error| format!("{op}: {error}"))?;
            let operands = operands.into_iter().map(|v| resolve(graph, ids, v));
            (NodeKind::Op(op), operands.collect::<Result<Vec<Value>, _>>()?)
        }
    };
    let id = graph.add(kind, &operands, types, form.provenance, None);
    graph.set_names(id, form.names);
    Ok(id)
}

fn resolve(graph: &Graph, ids: &[NodeId], (node, result): ValueForm) -> Result<Value, String> {
    let id = *ids.get(node).ok_or_else(|| format!("node {node} does not precede its use"))?;
    let n_results = graph.node(id).types.len();
    if result as usize >= n_results {
        return Err(format!("result {result} of node {node}, which has {n_results}"));
    }
    Ok(Value { node: id, result })
}

fn parse_type(text: &str) -> Result<TensorType, String> {
    let parts = text.find('[').map(|at| text.split_at(at));
    let parsed = parts.and_then(|(dtype, shape)| {
        let dtype: DType = dtype.parse().ok()?;
        Some(TensorType::new(dtype, Shape::parse(shape)?))
    });
    parsed.ok_or_else(|| format!("type '{text}', expected such as f32[2, B]"))
}

fn constant(
    form: DataForm,
    ty: &TensorType,
    data: &mut DataSource<'_>,
) -> Result<ConstantData, String> {
    let scalar = |text: &String| Scalar::parse(ty.dtype, text).map_err(|e| e.to_string());
    match form {
        DataForm::Splat(text) => Ok(ConstantData::Splat(scalar(&text)?)),
        DataForm::Dense(texts) => {
            let size = ty.dtype.size_bytes();
            let mut bytes = Vec::new();
            for text in &texts {
                bytes.extend_from_slice(&scalar(text)?.to_bits().to_le_bytes()[..size]);
            }
            let shape = ty.shape.as_consts().ok_or("elements need a shape without symbols")?;
            let tensor = Tensor::from_bytes(ty.dtype, &shape, Bytes::from(bytes));
            tensor.map(ConstantData::Dense).map_err(|e| e.to_string())
        }
        DataForm::Beside { name, sha256: expected } => {
            let tensor = data(&name).ok_or_else(|| format!("no tensor '{name}'"))?;
            let found = sha256(tensor.bytes());
            if found != expected {
                return Err(format!("tensor '{name}': sha256 {found}, expected {expected}"));
            }
            Ok(ConstantData::Dense(tensor))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Graph, text};

    fn graph() -> Graph {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::new(DType::F32, ["B", "B"]));
        let mut b = Builder::with_provenance(&mut g, Provenance::at("m.rs:3", "layer.0"));
        let w = b.parameter("w", Tensor::new(&[2], &[1.0f32, f32::NAN]));
        let y = b.splat_like(x, -0.0);
        let y = b.add(x, y).unwrap();
        g.add_result("out", y);
        g.add_result("", w);
        g
    }

    #[test]
    fn what_is_written_reads_back() {
        let g = graph();
        let beside = text::data_beside(&g);
        let mut data = |name: &str| beside.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
        let back = from_json(&to_json(&g), &mut data).unwrap();
        assert!(back.same_as(&g));
        assert_eq!(to_json(&back), to_json(&g));
        assert_eq!(
            back.node(back.results()[0].value.node).provenance.to_string(),
            "layer.0 (m.rs:3)"
        );
    }

    #[test]
    fn another_tensor_of_the_name_is_refused() {
        let mut data = |_: &str| Some(Tensor::new(&[2], &[1.0f32, 2.0]));
        let error = from_json(&to_json(&graph()), &mut data).unwrap_err().to_string();
        assert!(error.starts_with("TL0331: node 1: tensor 'w': sha256"), "{error}");
    }

    #[test]
    fn uses_before_definitions_are_refused() {
        let json = r#"{"graph": "g", "nodes": [{"kind": "op", "op": "exp", "operands": [[1, 0]],
            "types": ["f32[2]"]}], "results": []}"#;
        assert!(from_json(json, &mut |_| None).is_err());
    }
}
