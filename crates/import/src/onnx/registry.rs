//! The table of operators: which converter imports which operator of which operator sets.

use std::{collections::HashMap, sync::LazyLock};

use tracelift_ir::Value;

use super::{failure::Converted, node_cx::NodeCx};

/// Imports one node; gives its results in order.
pub(super) type Converter = fn(&mut NodeCx<'_, '_>) -> Converted<Vec<Value>>;

/// One operator of the table.
pub(super) struct Row {
    /// The domain; ONNX's own is the empty text.
    pub domain: &'static str,
    /// The operator.
    pub op_type: &'static str,
    /// The first and last operator set in which it may occur.
    pub opsets: (i64, i64),
    /// The fewest and the most operands it takes.
    pub operands: (usize, usize),
    /// The converter.
    pub convert: Converter,
    /// What is not supported, for the reader of the documentation.
    pub notes: &'static str,
}

/// The last operator set of an operator that is still there.
pub(super) const NEWEST: i64 = crate::wire::MAX_OPSET;

/// The most operands of a variadic operator.
pub(super) const ANY: usize = usize::MAX;

/// A row of ONNX's own domain without restrictions.
pub(super) const fn row(
    op_type: &'static str,
    since: i64,
    operands: (usize, usize),
    convert: Converter,
) -> Row {
    Row { domain: "", op_type, opsets: (since, NEWEST), operands, convert, notes: "" }
}

impl Row {
    /// The row with a note.
    pub const fn note(self, notes: &'static str) -> Row {
        Row { notes, ..self }
    }

    /// The row of an operator that later operator sets no longer have.
    pub const fn until(self, last: i64) -> Row {
        Row { opsets: (self.opsets.0, last), ..self }
    }
}

/// Every row, family by family.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    super::FAMILIES.iter().flat_map(|rows| rows.iter())
}

/// The row of an operator.
pub(super) fn find(domain: &str, op_type: &str) -> Option<&'static Row> {
    static TABLE: LazyLock<HashMap<(&str, &str), &Row>> =
        LazyLock::new(|| rows().map(|row| ((row.domain, row.op_type), row)).collect());
    TABLE.get(&(domain, op_type)).copied()
}

/// One operator that can be imported, as the documentation lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupportedOperator {
    /// The domain; ONNX's own is the empty text.
    pub domain: &'static str,
    /// The operator.
    pub name: &'static str,
    /// The first and last operator set in which it may occur.
    pub opsets: (i64, i64),
    /// What is not supported of it; empty where everything is.
    pub notes: &'static str,
}

/// Every operator that can be imported, by name.
pub fn supported_operators() -> Vec<SupportedOperator> {
    let mut list: Vec<SupportedOperator> = rows()
        .map(|row| SupportedOperator {
            domain: row.domain,
            name: row.op_type,
            opsets: row.opsets,
            notes: row.notes,
        })
        .collect();
    list.sort_by_key(|operator| (operator.domain, operator.name));
    list
}
