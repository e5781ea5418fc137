//! Random kernels, for tests of whatever compiles or rewrites kernels.
//!
//! Every kernel verifies, and its tasks provably write apart. By default it uses only operations
//! that every engine computes to the same bits, so that an engine can be compared with
//! [`interpret`](crate::interpret) exactly, NaN counting as equal to NaN.

mod random;
mod tile;

use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::DType;

pub use random::Random;

use crate::{AxisId, BufferId, BufferKind, Kernel, Stmt};
use tile::TileGen;

/// What random kernels may contain.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// The dtypes of buffers and values; index values need `i64`, conditions `bool`.
    pub dtypes: Vec<DType>,
    /// Whether an operation may be applied to a last operand of this dtype.
    pub allow: fn(Op, DType) -> bool,
    /// Whether places depend on values, for loads and stores.
    pub has_dynamic_places: bool,
    /// Whether points of a tile may write the same element.
    pub has_shared_places: bool,
    /// Whether floats are added and multiplied over columns without being small integers first.
    pub has_inexact_folds: bool,
}

impl Default for KernelOptions {
    fn default() -> Self {
        KernelOptions {
            dtypes: DType::ALL.to_vec(),
            allow: is_exact,
            has_dynamic_places: true,
            has_shared_places: true,
            has_inexact_folds: false,
        }
    }
}

/// Whether every engine gives the same bits, but for those of NaN, for a last operand of this dtype.
pub fn is_exact(op: Op, dtype: DType) -> bool {
    use Op::*;
    let is_rounded = matches!(
        op,
        Neg | Abs
            | Sign
            | Floor
            | Ceil
            | Round
            | Trunc
            | Sqrt
            | IsNan
            | Add
            | Sub
            | Mul
            | Div
            | Rem
            | Min
            | Max
            | Eq
            | Ne
            | Lt
            | Le
            | Gt
            | Ge
            | Select
            | Fma
            | Cast(_)
    );
    is_rounded || !dtype.is_float()
}

/// A random kernel, the same for the same seed.
pub fn random_kernel(seed: u64, options: &KernelOptions) -> Kernel {
    let mut generator = KernelGen {
        random: Random::new(seed),
        options,
        kernel: Kernel { name: format!("random_{seed}"), ..Kernel::default() },
        scope: Vec::new(),
        guards: Vec::new(),
        scratch: None,
        last_tile: None,
    };
    generator.kernel();
    generator.kernel
}

/// Random contents for every buffer of a kernel that is not scratch, as [`interpret`] takes them.
///
/// [`interpret`]: crate::interpret
pub fn random_buffers(kernel: &Kernel, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    let operands = kernel.buffers.iter().filter(|b| b.kind != BufferKind::Scratch);
    operands
        .map(|b| {
            let mut bytes = Vec::with_capacity(b.len * b.dtype.size_bytes());
            for _ in 0..b.len {
                let bits = random.scalar(b.dtype).to_bits().to_le_bytes();
                bytes.extend_from_slice(&bits[..b.dtype.size_bytes()]);
            }
            bytes
        })
        .collect()
}

/// The most elements of a random buffer.
const MAX_ELEMENTS: i128 = 1 << 14;

/// A kernel on its way.
struct KernelGen<'o> {
    random: Random,
    options: &'o KernelOptions,
    kernel: Kernel,
    /// Axes of grid and loops around.
    scope: Vec<AxisId>,
    /// Guards of the statements around.
    guards: Vec<Guard>,
    scratch: Option<BufferId>,
    /// Rows and columns of the tile before.
    last_tile: Option<(AxisId, AxisId)>,
}

impl KernelGen<'_> {
    fn kernel(&mut self) {
        if self.random.chance(10) {
            self.kernel.add_axis("unused", 3);
        }
        for k in 0..self.random.below(3) {
            let extent = self.random.extent(4, 3);
            let axis = self.kernel.add_axis(&format!("g{k}"), extent);
            self.kernel.grid.push(axis);
        }
        self.scope = self.kernel.grid.clone();
        let mut body = Vec::new();
        if self.random.chance(40) {
            body.push(Stmt::Tile(TileGen::new(self).scratch_tile()));
        }
        for _ in 0..self.random.between(1, 2) {
            body.push(self.stmt(2));
        }
        self.kernel.body = body;
        self.order_buffers();
    }

    /// Moves scratch behind the operands, where [`Kernel::buffers`] wants it.
    fn order_buffers(&mut self) {
        let Some(scratch) = self.scratch else { return };
        let last = self.kernel.buffers.len() - 1;
        let moved = self.kernel.buffers.remove(scratch);
        self.kernel.buffers.push(moved);
        let rename = |b: &mut BufferId| {
            *b = match (*b).cmp(&scratch) {
                std::cmp::Ordering::Less => *b,
                std::cmp::Ordering::Equal => last,
                std::cmp::Ordering::Greater => *b - 1,
            }
        };
        for_each_buffer(&mut self.kernel.body, &rename);
    }

    fn stmt(&mut self, depth: usize) -> Stmt {
        let (n_scope, n_guards) = (self.scope.len(), self.guards.len());
        let choice = if depth == 0 { 9 } else { self.random.below(10) };
        let stmt = match choice {
            0..=2 => {
                let extent = self.random.extent(3, 5);
                let axis = self.kernel.add_axis(&format!("i{}", self.kernel.axes.len()), extent);
                self.scope.push(axis);
                Stmt::For { axis, body: vec![self.stmt(depth - 1)] }
            }
            3..=4 => {
                let scope = self.scope.clone();
                let guards: Vec<Guard> =
                    (0..self.random.below(3)).map(|_| self.guard(&scope)).collect();
                self.guards.extend(guards.iter().cloned());
                let n_body = self.random.between(1, 2);
                Stmt::If { guards, body: (0..n_body).map(|_| self.stmt(depth - 1)).collect() }
            }
            _ => Stmt::Tile(TileGen::new(self).tile()),
        };
        self.scope.truncate(n_scope);
        self.guards.truncate(n_guards);
        stmt
    }

    /// An index over some axes.
    fn expr(&mut self, scope: &[AxisId]) -> IndexExpr {
        let mut out = IndexExpr::constant(self.random.between(0, 3) as i64);
        for _ in 0..self.random.below(4) {
            let Some(axis) = self.random.pick(scope) else { break };
            let factor = self.random.pick(&[1, 1, 1, 2, 3, 4, 8, 17, -1, -2]).expect("not empty");
            out = out.add(&IndexExpr::axis(axis).scale(factor));
        }
        let (extents, divisor) = (self.kernel.extents(), self.random.between(2, 7) as i64);
        match self.random.below(12) {
            0 => out.div(divisor, &extents),
            1 => out.rem(divisor, &extents),
            _ => out,
        }
    }

    /// A guard over some axes that mostly holds for some points and not for others.
    fn guard(&mut self, scope: &[AxisId]) -> Guard {
        let mut expr = self.expr(scope);
        if let Some(axis) = self.random.pick(scope) {
            expr = expr.add(&IndexExpr::axis(axis));
        }
        let (low, high) = expr.bounds(&self.kernel.extents());
        let extent = self.random.between(1, (high - low) as usize + 1) as i64;
        let shift = self.random.below(3) as i64;
        Guard { expr: expr.offset(-low - shift), extent }
    }

    /// Where an index lies for the points at hand; (0, 0) where there are none.
    fn bounds(&self, scope: &[AxisId], guards: &[Guard], expr: &IndexExpr) -> (i128, i128) {
        let extent = |(id, a): (usize, &crate::Axis)| match scope.contains(&id) {
            true => a.extent,
            false => a.extent.max(1),
        };
        let extents: Vec<usize> = self.kernel.axes.iter().enumerate().map(extent).collect();
        let all: Vec<Guard> = self.guards.iter().chain(guards).cloned().collect();
        crate::bounds_under(&extents, &all, expr).unwrap_or((0, 0))
    }
}

/// Renames every buffer that a body mentions.
fn for_each_buffer(stmts: &mut [Stmt], rename: &dyn Fn(&mut BufferId)) {
    for stmt in stmts {
        match stmt {
            Stmt::For { body, .. } | Stmt::If { body, .. } => for_each_buffer(body, rename),
            Stmt::Tile(tile) => {
                for inst in &mut tile.insts {
                    if let crate::Inst::Load { place, .. } | crate::Inst::Store { place, .. } = inst
                    {
                        rename(&mut place.buffer);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
