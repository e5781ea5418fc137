//! What a converter sees of its node: operands, attributes, operator set, and the emitter.

use std::ops::{Deref, DerefMut};

use tracelift_ir::Value;
use tracelift_tensor::{DType, Dim, Tensor};

use super::{
    attributes::Attributes,
    emitter::Emitter,
    failure::{Converted, Failure, ensure},
};
use crate::{
    external::External,
    wire::{DataType, NodeProto, TensorProto, tensor_of},
};

/// One node under conversion.
pub(crate) struct NodeCx<'a, 'm> {
    /// The graph under construction.
    pub emitter: &'a mut Emitter,
    /// The node in the file.
    pub node: &'m NodeProto,
    /// Its attributes.
    pub attributes: &'a Attributes<'m>,
    /// Its operands; `None` where an optional one is left out.
    pub operands: Vec<Option<Value>>,
    /// The version of its domain's operator set.
    pub opset: i64,
    /// The files beside the model.
    pub external: &'m External,
}

impl Deref for NodeCx<'_, '_> {
    type Target = Emitter;
    fn deref(&self) -> &Emitter {
        self.emitter
    }
}

impl DerefMut for NodeCx<'_, '_> {
    fn deref_mut(&mut self) -> &mut Emitter {
        self.emitter
    }
}

impl NodeCx<'_, '_> {
    /// Operand `k`, which the operator requires.
    ///
    /// # Errors
    /// When it is left out.
    pub fn operand(&self, k: usize) -> Converted<Value> {
        self.optional(k).ok_or_else(|| Failure::new(format!("operand {k} is missing")))
    }

    /// Operand `k`, where it is there.
    pub fn optional(&self, k: usize) -> Option<Value> {
        self.operands.get(k).copied().flatten()
    }

    /// Every operand, none of which may be left out.
    ///
    /// # Errors
    /// When one is, or there are none.
    pub fn all_operands(&self) -> Converted<Vec<Value>> {
        ensure!(!self.operands.is_empty(), "found no operands, expected at least 1");
        (0..self.operands.len()).map(|k| self.operand(k)).collect()
    }

    /// Whether result `k` is used by name.
    pub fn wants(&self, k: usize) -> bool {
        self.node.output.get(k).is_some_and(|name| !name.is_empty())
    }

    /// The failure of operand `k` that has to be known at compile time.
    pub fn not_known(&self, k: usize) -> Failure {
        let Some(value) = self.optional(k) else {
            return Failure::new(format!("operand {k} is missing"));
        };
        let name = crate::error::Shown(&self.node.input[k]).to_string();
        let inputs = self.inputs_of(value);
        let mut failure = Failure::new(format!("operand '{name}' is not known at compile time"));
        if !inputs.is_empty() {
            let list: Vec<String> =
                inputs.iter().map(|i| format!("--set {}=…", crate::error::Shown(i))).collect();
            failure.hint = format!("give {}", list.join(" "));
        }
        failure.inputs = inputs;
        failure
    }

    /// The elements of the integer operand `k` as expressions.
    ///
    /// # Errors
    /// When they are not known.
    pub fn dims_of(&self, k: usize) -> Converted<Vec<Dim>> {
        let value = self.operand(k)?;
        self.known(value).ok_or_else(|| self.not_known(k))
    }

    /// The elements of the integer operand `k`.
    ///
    /// # Errors
    /// When they are not known as numbers.
    pub fn ints_of(&self, k: usize) -> Converted<Vec<i64>> {
        let dims = self.dims_of(k)?;
        let ints: Option<Vec<i64>> = dims.iter().map(Dim::as_i64).collect();
        ints.ok_or_else(|| self.not_known(k).with_hint("bind the symbols with --set"))
    }

    /// The integers of operand `k`, where it is there.
    ///
    /// # Errors
    /// When they are not known as numbers.
    pub fn optional_ints(&self, k: usize) -> Converted<Option<Vec<i64>>> {
        self.optional(k).map(|_| self.ints_of(k)).transpose()
    }

    /// The single integer of operand `k`.
    ///
    /// # Errors
    /// When it is not known or not single.
    pub fn int_of(&self, k: usize) -> Converted<i64> {
        match self.ints_of(k)?.as_slice() {
            [single] => Ok(*single),
            other => {
                Err(Failure::new(format!("operand {k} has {} elements, expected 1", other.len())))
            }
        }
    }

    /// The elements of operand `k`, a constant.
    ///
    /// # Errors
    /// When it is none.
    pub fn tensor_of(&self, k: usize) -> Converted<Tensor> {
        self.constant_of(self.operand(k)?).ok_or_else(|| self.not_known(k))
    }

    /// The single number of operand `k`, a constant, where it is there.
    ///
    /// # Errors
    /// When it is no constant or has other than one element.
    pub fn optional_number(&self, k: usize) -> Converted<Option<f64>> {
        if self.optional(k).is_none() {
            return Ok(None);
        }
        let tensor = self.tensor_of(k)?;
        ensure!(tensor.count() == 1, "operand {k} has {} elements, expected 1", tensor.count());
        Ok(Some(tensor.get(0).to_f64()))
    }

    /// An axis that may count from the end.
    ///
    /// # Errors
    /// When it lies outside the rank.
    pub fn axis(&self, axis: i64, rank: usize) -> Converted<usize> {
        resolve_axis(axis, rank)
    }

    /// The axis attribute, resolved within a rank.
    ///
    /// # Errors
    /// When it lies outside the rank.
    pub fn axis_attribute(&self, default: i64, rank: usize) -> Converted<usize> {
        resolve_axis(self.attributes.int_or("axis", default)?, rank)
    }

    /// A tensor stored in an attribute.
    ///
    /// # Errors
    /// When its elements cannot be read.
    pub fn stored(&self, proto: &TensorProto) -> Converted<Tensor> {
        tensor_of(proto, self.external).map_err(|p| Failure::new(p.what).with_hint(p.hint))
    }

    /// The dtype of a number of the format's element types.
    ///
    /// # Errors
    /// When there is no such dtype.
    pub fn dtype_of(&self, number: i64) -> Converted<DType> {
        let known = i32::try_from(number).ok().and_then(|n| DataType::try_from(n).ok());
        known.and_then(DataType::dtype).ok_or_else(|| {
            let name = known.map_or(format!("number {number}"), |d| d.name().to_string());
            Failure::new(format!("dtype {name} is not supported"))
                .with_hint("supported: BOOL, INT8 to INT64, UINT8 to UINT64, FLOAT, DOUBLE")
        })
    }
}

/// An axis that may count from the end, as a position.
///
/// # Errors
/// When it lies outside the rank.
pub(crate) fn resolve_axis(axis: i64, rank: usize) -> Converted<usize> {
    let signed = rank as i64;
    ensure!((-signed..signed).contains(&axis), "axis {axis} lies outside rank {rank}");
    Ok(if axis < 0 { axis + signed } else { axis } as usize)
}

/// Axes that may count from the end, ascending.
///
/// # Errors
/// When one lies outside the rank or occurs twice.
pub(crate) fn resolve_axes(axes: &[i64], rank: usize) -> Converted<Vec<usize>> {
    let mut out: Vec<usize> =
        axes.iter().map(|&a| resolve_axis(a, rank)).collect::<Converted<_>>()?;
    out.sort_unstable();
    ensure!(out.windows(2).all(|w| w[0] < w[1]), "axes {axes:?} name an axis twice");
    Ok(out)
}
