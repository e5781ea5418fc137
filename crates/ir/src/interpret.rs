//! The reference interpreter: evaluates a graph node by node.

use tracelift_tensor::{Bindings, DType, Tensor};

use crate::{
    Builder, ConstantData, EvalError, Graph, NodeKind, Op, Role, TensorType, TypeError, Value,
};

/// Evaluates a graph on inputs; symbols take the extents of the inputs.
///
/// # Errors
/// When the inputs do not fit the graph's signature.
pub fn interpret(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
    let bindings = bind_inputs(graph, inputs)?;
    let bound;
    let graph = if graph.symbols().is_empty() {
        graph
    } else {
        bound = graph.bind(&bindings).map_err(|error| EvalError::InputType {
            name: graph.name().to_string(),
            expected: "extents that fit the graph".into(),
            found: error.to_string(),
        })?;
        &bound
    };
    let mut values: std::collections::BTreeMap<Value, Tensor> =
        graph.inputs().zip(inputs.iter().cloned()).collect();
    for id in graph.topological_order() {
        let results = match &graph.node(id).kind {
            NodeKind::Input => continue,
            NodeKind::Constant(constant) => vec![match &constant.data {
                ConstantData::Dense(tensor) => tensor.clone(),
                ConstantData::Splat(scalar) => {
                    Tensor::splat(*scalar, &graph.node(id).types[0].extents())
                }
            }],
            NodeKind::Op(op) => {
                let operands: Vec<&Tensor> =
                    graph.operands(id).iter().map(|v| &values[v]).collect();
                op.eval(&operands)
            }
        };
        values.extend(graph.values(id).zip(results));
    }
    Ok(graph.results().iter().map(|r| values[&r.value].clone()).collect())
}

/// The values of symbols that inputs of these types imply.
///
/// # Errors
/// When the number of inputs, a dtype or a shape does not fit, or two inputs disagree.
pub fn bind_inputs(graph: &Graph, inputs: &[Tensor]) -> Result<Bindings, EvalError> {
    if graph.inputs().len() != inputs.len() {
        return Err(EvalError::InputCount {
            graph: graph.name().to_string(),
            expected: graph.inputs().len(),
            found: inputs.len(),
        });
    }
    let mut bindings = Bindings::new();
    for (value, tensor) in graph.inputs().zip(inputs) {
        for (dim, &extent) in graph.ty(value).shape.iter().zip(tensor.shape()) {
            if let Some(name) = dim.as_symbol() {
                bindings.entry(name.clone()).or_insert(extent);
            }
        }
    }
    for (value, tensor) in graph.inputs().zip(inputs) {
        let declared = graph.ty(value);
        let found = TensorType::new(tensor.dtype(), tensor.shape());
        if declared.with_shape(declared.shape.bind(&bindings)) != found {
            return Err(EvalError::InputType {
                name: graph.node(value.node).names.first().map_or("", |n| n).to_string(),
                expected: declared.to_string(),
                found: found.to_string(),
            });
        }
    }
    Ok(bindings)
}

impl Op {
    /// The types of the results.
    ///
    /// # Errors
    /// When the operands do not fit; the message names the violated constraint.
    pub fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        match self.role() {
            Role::Primitive(primitive) => primitive.infer(operands),
            Role::Composite(_) => {
                let (graph, results) = self.as_graph(operands)?;
                Ok(results.iter().map(|v| graph.ty(*v).clone()).collect())
            }
        }
    }

    /// The reference meaning.
    ///
    /// # Panics
    /// When the operands do not pass [`Op::infer`].
    pub fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        match self.role() {
            Role::Primitive(primitive) => primitive.eval(operands),
            Role::Composite(_) => {
                let types: Vec<TensorType> =
                    operands.iter().map(|x| TensorType::new(x.dtype(), x.shape())).collect();
                let (mut graph, results) = self.as_graph(&types).expect("operands passed infer");
                results.into_iter().for_each(|v| graph.add_result("", v));
                let inputs: Vec<Tensor> = operands.iter().map(|x| (*x).clone()).collect();
                interpret(&graph, &inputs).expect("inputs have the operands' types")
            }
        }
    }

    /// What a composite stands for, as a graph of its operands.
    fn as_graph(&self, operands: &[TensorType]) -> Result<(Graph, Vec<Value>), TypeError> {
        let mut graph = Graph::new("");
        let inputs: Vec<Value> = operands
            .iter()
            .enumerate()
            .map(|(k, ty)| graph.add_input(&format!("x{k}"), ty.clone()))
            .collect();
        let results = Builder::new(&mut graph).decomposed(self, &inputs)?;
        Ok((graph, results))
    }
}

/// Builds the replacement of a node over the replacements of its operands.
pub type Replace<'f> =
    dyn FnMut(&crate::Node, &mut Builder<'_>, &[Value]) -> Result<Vec<Value>, TypeError> + 'f;

/// Copies a graph node by node, letting `f` build the replacement of each.
///
/// # Errors
/// When `f` fails.
pub fn rebuild(graph: &Graph, f: &mut Replace<'_>) -> Result<Graph, TypeError> {
    let mut out = Graph::new(graph.name());
    let mut map = std::collections::BTreeMap::new();
    let inputs = graph.inputs().map(|v| v.node);
    let rest = graph.topological_order().into_iter();
    let rest = rest.filter(|id| !matches!(graph.node(*id).kind, NodeKind::Input));
    for id in inputs.chain(rest).collect::<Vec<_>>() {
        let node = graph.node(id);
        let operands: Vec<Value> = graph.operands(id).iter().map(|v| map[v]).collect();
        let mut b = Builder::with_provenance(&mut out, node.provenance.clone());
        let results = f(node, &mut b, &operands)?;
        if let Some(first) = results.first()
            && out.node(first.node).types.len() == node.names.len()
        {
            out.set_names(first.node, &node.names);
        }
        map.extend(graph.values(id).zip(results));
    }
    for result in graph.results() {
        out.add_result(&result.name, map[&result.value]);
    }
    Ok(out)
}

impl Graph {
    /// The same graph with every `f32` made `f64`: the reference for floating-point error.
    ///
    /// # Errors
    /// When an operator does not exist in `f64`.
    pub fn widened(&self) -> Result<Graph, TypeError> {
        let widen = |ty: &TensorType| match ty.dtype {
            DType::F32 => ty.with_dtype(DType::F64),
            _ => ty.clone(),
        };
        rebuild(self, &mut |node, b, operands| match &node.kind {
            NodeKind::Op(op) => b.op(op.widened(), operands),
            NodeKind::Input => {
                Ok(vec![b.graph_mut().add_input(&node.names[0], widen(&node.types[0]))])
            }
            NodeKind::Constant(constant) => {
                let ty = widen(&node.types[0]);
                let mut constant = constant.clone();
                constant.data = match constant.data {
                    ConstantData::Splat(scalar) => ConstantData::Splat(scalar.cast(ty.dtype)),
                    ConstantData::Dense(tensor) => ConstantData::Dense(tensor.cast(ty.dtype)),
                };
                let from = node.provenance.clone();
                Ok(vec![b.graph_mut().add_constant(constant, ty, from)])
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conv, ConvLayout, Graph, Softmax};

    #[test]
    fn composites_evaluate_by_their_parts() {
        let x = Tensor::new(&[2, 2], &[0.0f32, 0.0, 1.0, 1.0]);
        let y = Op::from(Softmax { axis: 1 }).eval(&[&x]);
        assert_eq!(y[0].to_vec::<f32>(), [0.5; 4]);
    }

    #[test]
    fn symbols_take_the_extents_of_the_inputs() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::new(DType::F32, ["B"]));
        let mut b = Builder::new(&mut g);
        let y = b.splat_like(x, 2.0);
        let y = b.mul(x, y).unwrap();
        g.add_result("", y);
        let out = interpret(&g, &[Tensor::new(&[3], &[1.0f32, 2.0, 3.0])]).unwrap();
        assert_eq!(out[0].to_vec::<f32>(), [2.0, 4.0, 6.0]);
        assert!(interpret(&g, &[Tensor::new(&[3, 1], &[1.0f32, 2.0, 3.0])]).is_err());
    }

    #[test]
    fn convolution_pads_with_zeros() {
        let x = Tensor::new(&[1, 1, 3], &[1.0f32, 2.0, 3.0]);
        let w = Tensor::new(&[1, 1, 3], &[1.0f32, 10.0, 100.0]);
        let op = Conv {
            strides: vec![1],
            pads: vec![[1, 1]],
            dilations: vec![1],
            groups: 1,
            layout: ConvLayout::ChannelsFirst,
        };
        assert_eq!(Op::from(op).eval(&[&x, &w])[0].to_vec::<f32>(), [210.0, 321.0, 32.0]);
    }
}
