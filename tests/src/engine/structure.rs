//! The engine that computes what structures say, point by point, as lowering sees them.

use std::{cmp::Ordering, collections::BTreeMap};

use anyhow::Result;
use tracelift::{
    ir::{
        Access, Builder, ConstantData, Coordinate, Fold, Graph, Movement, NodeKind, Op, Role, Scan,
        ScatterKind, Structure, TensorType, Value,
    },
    scalar::Op as ScalarOp,
};
use tracelift_tensor::{DType, Scalar, Tensor, for_each_index, linear};

use super::Engine;

/// Primitives by their structure, composites by their parts.
pub(super) struct ByStructure;

impl Engine for ByStructure {
    fn name(&self) -> &'static str {
        "structure"
    }

    fn run(&self, op: &Op, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let types: Vec<TensorType> =
            inputs.iter().map(|x| TensorType::new(x.dtype(), x.shape())).collect();
        match op.role() {
            Role::Primitive(primitive) => {
                let structure = primitive.structure(&types);
                Ok(evaluate(&structure, &primitive.infer(&types)?, inputs))
            }
            Role::Composite(_) => self.run_parts(op, &types, inputs),
        }
    }
}

impl ByStructure {
    fn run_parts(&self, op: &Op, types: &[TensorType], inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut graph = Graph::new("parts");
        let operands: Vec<Value> = types.iter().map(|ty| graph.add_input("", ty.clone())).collect();
        let results = Builder::new(&mut graph).decomposed(op, &operands)?;
        let mut values: BTreeMap<Value, Tensor> =
            operands.into_iter().zip(inputs.iter().cloned()).collect();
        for id in graph.topological_order() {
            let computed = match &graph.node(id).kind {
                NodeKind::Input => continue,
                NodeKind::Constant(constant) => vec![match &constant.data {
                    ConstantData::Dense(tensor) => tensor.clone(),
                    ConstantData::Splat(scalar) => {
                        Tensor::splat(*scalar, &graph.node(id).types[0].extents())
                    }
                }],
                NodeKind::Op(op) => {
                    let operands = graph.operands(id);
                    let operands: Vec<Tensor> =
                        operands.iter().map(|v| values[v].clone()).collect();
                    self.run(op, &operands)?
                }
            };
            values.extend(graph.values(id).zip(computed));
        }
        Ok(results.iter().map(|v| values[v].clone()).collect())
    }
}

/// The results of a structure.
fn evaluate(structure: &Structure, types: &[TensorType], inputs: &[Tensor]) -> Vec<Tensor> {
    let (dtype, shape) = (types[0].dtype, types[0].extents());
    let point = |f: &mut dyn FnMut(&[usize]) -> Scalar| Tensor::from_fn(dtype, &shape, f);
    vec![match structure {
        Structure::Map(expr) => point(&mut |i| {
            let operands: Vec<Scalar> = inputs.iter().map(|x| x.at(i)).collect();
            expr.eval(&operands, i)
        }),
        Structure::Move(movement) => point(&mut |i| moved(movement, inputs, i)),
        Structure::Reduce(fold) | Structure::Contract(fold) | Structure::Window(fold) => {
            point(&mut |i| folded(fold, dtype, inputs, i))
        }
        Structure::Scan(scan) => point(&mut |i| scanned(scan, &inputs[0], i)),
        Structure::Gather(gather) => point(&mut |i| {
            let at = gather.coordinates.iter().zip(inputs[0].shape()).map(|(c, &extent)| {
                coordinate(c, inputs, i, extent).clamp(0, extent as i64 - 1) as usize
            });
            inputs[0].at(&at.collect::<Vec<_>>())
        }),
        Structure::Scatter(scatter) => scattered(&scatter.coordinates, scatter.kind, inputs),
        Structure::Sort(sort) => return sorted(sort.axis, sort.descending, &inputs[0]),
        Structure::Opaque(name) => unreachable!("no operator is opaque: {name}"),
    }]
}

fn read(access: &Access, inputs: &[Tensor], point: &[usize]) -> Scalar {
    let at: Vec<usize> = access
        .index
        .iter()
        .map(|e| usize::try_from(e.eval(point)).expect("an index is not negative"))
        .collect();
    inputs[access.operand].at(&at)
}

fn moved(movement: &Movement, inputs: &[Tensor], point: &[usize]) -> Scalar {
    let piece = movement.pieces.iter().find(|p| p.guards.iter().all(|g| g.holds(point)));
    match piece {
        Some(piece) => read(&piece.read, inputs, point),
        None => movement.fill.expect("a piece applies where there is no fill"),
    }
}

fn folded(fold: &Fold, dtype: DType, inputs: &[Tensor], index: &[usize]) -> Scalar {
    let mut sum = fold.kind.identity(dtype);
    for_each_index(&fold.domain, |r| {
        let point = [index, r].concat();
        if fold.guards.iter().all(|g| g.holds(&point)) {
            let reads: Vec<Scalar> = fold.reads.iter().map(|a| read(a, inputs, &point)).collect();
            sum = fold.kind.op().eval(&[sum, fold.term.eval(&reads, &point)]);
        }
    });
    sum
}

fn scanned(scan: &Scan, x: &Tensor, index: &[usize]) -> Scalar {
    let (k, extent) = (index[scan.axis], x.shape()[scan.axis]);
    let mut range: Vec<usize> =
        if scan.reverse { (k..extent).rev().collect() } else { (0..=k).collect() };
    if scan.exclusive {
        range.pop();
    }
    range.into_iter().fold(scan.kind.identity(x.dtype()), |sum, j| {
        let mut at = index.to_vec();
        at[scan.axis] = j;
        scan.kind.op().eval(&[sum, x.at(&at)])
    })
}

/// A coordinate, where a negative index counts from the end of an axis.
fn coordinate(coordinate: &Coordinate, inputs: &[Tensor], point: &[usize], extent: usize) -> i64 {
    match coordinate {
        Coordinate::At(e) => e.eval(point),
        Coordinate::Lookup(index) => {
            let access = Access { operand: 1, index: index.clone() };
            let found = read(&access, inputs, point).to_i64();
            if found < 0 { found + extent as i64 } else { found }
        }
    }
}

fn scattered(coordinates: &[Coordinate], kind: ScatterKind, inputs: &[Tensor]) -> Tensor {
    let (x, updates) = (&inputs[0], &inputs[2]);
    let mut elements: Vec<Scalar> = x.iter().collect();
    for_each_index(updates.shape(), |u| {
        let at: Option<Vec<usize>> = coordinates
            .iter()
            .zip(x.shape())
            .map(|(c, &extent)| {
                let at = usize::try_from(coordinate(c, inputs, u, extent)).ok()?;
                (at < extent).then_some(at)
            })
            .collect();
        let Some(at) = at else { return };
        let element = &mut elements[linear(x.shape(), &at)];
        *element = match kind {
            ScatterKind::Replace => updates.at(u),
            ScatterKind::Fold(kind) => kind.op().eval(&[*element, updates.at(u)]),
        };
    });
    let mut elements = elements.into_iter();
    Tensor::from_fn(x.dtype(), x.shape(), |_| elements.next().expect("one value per index"))
}

/// Places every element by counting those that come before it.
fn sorted(axis: usize, descending: bool, x: &Tensor) -> Vec<Tensor> {
    let mut order = vec![0i64; x.count()];
    let along = |index: &[usize], k: usize| {
        let mut at = index.to_vec();
        at[axis] = k;
        at
    };
    for_each_index(x.shape(), |index| {
        let own = index[axis];
        let comes_before = |&k: &usize| {
            let mut order = compare(x.at(&along(index, k)), x.at(index));
            if descending {
                order = order.reverse();
            }
            order.then(k.cmp(&own)) == Ordering::Less
        };
        let place = (0..x.shape()[axis]).filter(comes_before).count();
        order[linear(x.shape(), &along(index, place))] = own as i64;
    });
    let positions = Tensor::new(x.shape(), &order);
    let values = Tensor::from_fn(x.dtype(), x.shape(), |index| {
        x.at(&along(index, positions.at(index).to_i64() as usize))
    });
    vec![values, positions]
}

fn compare(x: Scalar, y: Scalar) -> Ordering {
    let holds = |op: ScalarOp| op.eval(&[x, y]) == Scalar::Bool(true);
    let nan = [x, y].map(|x| x.to_f64().is_nan());
    match nan {
        [false, false] if holds(ScalarOp::Lt) => Ordering::Less,
        [false, false] if holds(ScalarOp::Gt) => Ordering::Greater,
        [a, b] => a.cmp(&b),
    }
}
