//! Which graph operators compute every element by itself.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use tracelift_ir::Op;
use tracelift_scalar::Op as ScalarOp;

static BY_NAME: LazyLock<FxHashMap<&'static str, ScalarOp>> =
    LazyLock::new(|| ScalarOp::ALL.iter().map(|&op| (op.name(), op)).collect());

/// The scalar operation that an elementwise operator applies; operators and scalar operations of
/// one name mean the same.
pub(crate) fn scalar_op(op: &Op) -> Option<ScalarOp> {
    match op {
        Op::Cast(cast) => Some(ScalarOp::Cast(cast.to)),
        _ => BY_NAME.get(op.syntax().name()).copied(),
    }
}
