//! The verifier: what every kernel must obey before anything is made of it.
//!
//! Every violation is reported. Places are proven by interval analysis: an index lies within its
//! buffer for all points that the guards around it leave; where nothing runs, because an axis in
//! scope is empty or the guards contradict each other, there is nothing to prove.

mod disjoint;
mod interval;
mod range;
mod region;
mod tile;

use tracelift_scalar::{Guard, IndexExpr, IndexTerm};
use tracelift_tensor::DType;

pub use disjoint::proves_disjoint_writes;

use crate::{AxisId, Inst, Kernel, Place, Stmt, Tile};
use interval::Interval;
use region::{Linear, Region};

/// What a violation is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Rule {
    /// Numbers of axes, buffers and instructions exist, and sizes can be counted.
    Structure,
    /// An axis is bound once at a time, and used where it is bound.
    Scope,
    /// Index expressions are well formed: positive divisors, no overflow.
    Index,
    /// A value is defined before it is used.
    UseBeforeDefinition,
    /// Operations, fills, stores, places and conditions have the right dtypes.
    Type,
    /// Accumulators begin in `init` and are updated once, in `body`.
    Accumulator,
    /// Columns fold outside `body`, by an operation whose order does not matter.
    Fold,
    /// Prefetches are of one place each, in `body`.
    Prefetch,
    /// Values of `body` are not used after it.
    BodyValue,
    /// Inputs are not written.
    Write,
    /// Every load and store lies within its buffer.
    Bounds,
    /// No two tasks write the same element.
    Overlap,
}

/// One thing wrong with a kernel.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("TL0510: kernel @{kernel}: {place}{message}")]
pub struct Violation {
    /// The kernel's name.
    pub kernel: String,
    /// Where, outermost first, such as `for kb: tile 0: %3: `; empty for the kernel as a whole.
    pub place: String,
    /// What it is about.
    pub rule: Rule,
    /// What was found, and what was expected.
    pub message: String,
}

/// Checks a kernel.
///
/// # Errors
/// Every violation found, in the order of the text.
pub fn verify(kernel: &Kernel) -> Result<(), Vec<Violation>> {
    let mut verifier = Verifier::new(kernel);
    verifier.declarations();
    verifier.grid();
    verifier.stmts(&kernel.body);
    if verifier.violations.is_empty() {
        disjoint::check_overlap(&mut verifier);
    }
    if verifier.violations.is_empty() { Ok(()) } else { Err(verifier.violations) }
}

/// The least and the greatest value of an index over the points of a box of axes where all guards
/// hold (possibly wider, never narrower), as the verifier sees them; `None` where there are no such
/// points.
///
/// # Panics
/// When the index or a guard mentions an axis without an extent.
pub fn bounds_under(extents: &[usize], guards: &[Guard], expr: &IndexExpr) -> Option<(i128, i128)> {
    let region = Region::new(extents.iter().map(|e| Interval::of_extent(*e)).collect(), guards);
    let bounds = region.bounds(&Linear::of(expr));
    (!region.is_empty() && !bounds.is_empty()).then_some((bounds.low, bounds.high))
}

/// A walk over a kernel.
struct Verifier<'k> {
    kernel: &'k Kernel,
    violations: Vec<Violation>,
    place: Vec<String>,
    scope: Vec<AxisId>,
    guards: Vec<Guard>,
    n_tiles: usize,
}

impl<'k> Verifier<'k> {
    fn new(kernel: &'k Kernel) -> Verifier<'k> {
        Verifier {
            kernel,
            violations: Vec::new(),
            place: Vec::new(),
            scope: Vec::new(),
            guards: Vec::new(),
            n_tiles: 0,
        }
    }

    fn require(&mut self, holds: bool, rule: Rule, message: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(Violation {
                kernel: self.kernel.name.clone(),
                place: self.place.iter().map(|p| format!("{p}: ")).collect(),
                rule,
                message: message(),
            });
        }
    }

    fn declarations(&mut self) {
        for buffer in &self.kernel.buffers {
            let n_bytes = buffer.len.checked_mul(buffer.dtype.size_bytes());
            self.require(
                n_bytes.is_some_and(|n| n <= isize::MAX as usize),
                Rule::Structure,
                || {
                    format!(
                        "buffer %{} has {} elements, too many to address",
                        buffer.name, buffer.len
                    )
                },
            );
        }
        for axis in &self.kernel.axes {
            self.require(axis.extent <= isize::MAX as usize, Rule::Structure, || {
                format!("axis {} has {} coordinates, too many to count", axis.name, axis.extent)
            });
        }
    }

    fn grid(&mut self) {
        let mut n_tasks = Some(1usize);
        for &axis in &self.kernel.grid {
            if self.bind(axis) {
                n_tasks = n_tasks.and_then(|n| n.checked_mul(self.kernel.axes[axis].extent));
            }
        }
        self.require(n_tasks.is_some(), Rule::Structure, || "the tasks overflow".to_string());
    }

    /// Brings an axis into scope; whether that could be done.
    fn bind(&mut self, axis: AxisId) -> bool {
        let n_axes = self.kernel.axes.len();
        let (exists, bound) = (axis < n_axes, self.scope.contains(&axis));
        self.require(exists, Rule::Structure, || format!("axis {axis} of {n_axes}"));
        let name = self.axis_name(axis);
        self.require(!bound, Rule::Scope, || format!("axis {name} is bound while it is in scope"));
        if exists && !bound {
            self.scope.push(axis);
        }
        exists && !bound
    }

    fn axis_name(&self, axis: AxisId) -> String {
        self.kernel.axes.get(axis).map_or_else(|| axis.to_string(), |a| a.name.clone())
    }

    fn stmts(&mut self, stmts: &'k [Stmt]) {
        for stmt in stmts {
            let (n_scope, n_guards) = (self.scope.len(), self.guards.len());
            match stmt {
                Stmt::For { axis, body } => {
                    self.place.push(format!("for {}", self.axis_name(*axis)));
                    self.bind(*axis);
                    self.stmts(body);
                }
                Stmt::If { guards, body } => {
                    self.place.push("if".to_string());
                    if self.guards_are_legal(guards) {
                        self.guards.extend(guards.iter().cloned());
                    }
                    self.stmts(body);
                }
                Stmt::Tile(tile) => {
                    self.place.push(format!("tile {}", self.n_tiles));
                    self.n_tiles += 1;
                    self.tile(tile);
                }
            }
            self.place.pop();
            self.scope.truncate(n_scope);
            self.guards.truncate(n_guards);
        }
    }

    fn tile(&mut self, tile: &Tile) {
        let counted = tile.n_init.checked_add(tile.n_body);
        let fits = counted.is_some_and(|n| n <= tile.insts.len());
        self.require(fits, Rule::Structure, || {
            format!("init and body have more than the {} instructions", tile.insts.len())
        });
        if !fits {
            return;
        }
        self.bind(tile.rows);
        self.bind(tile.columns);
        let n_outer = self.scope.len();
        tile.loops.iter().for_each(|axis| {
            self.bind(*axis);
        });
        let n_before = self.violations.len();
        let dtypes = tile::check_values(self, tile);
        let well_typed = n_before == self.violations.len();
        let inner = self.scope.split_off(n_outer);
        // The dtype of an instruction without a value is never asked for.
        let dtypes: Vec<DType> = dtypes.into_iter().map(|d| d.unwrap_or(DType::Bool)).collect();
        self.indices(tile, &inner, well_typed.then_some(&dtypes));
    }

    /// Checks the indices, guards and places of a tile; its dtypes are given if it is well typed.
    fn indices(&mut self, tile: &Tile, inner: &[AxisId], dtypes: Option<&Vec<DType>>) {
        let ranges = dtypes.and_then(|dtypes| {
            let legal =
                tile.insts.iter().all(|i| !matches!(i, Inst::Index(e) if !self.is_sound(e)));
            let region = Region::new(self.axes(), &self.guards);
            legal.then(|| range::value_ranges(tile, dtypes, &region))
        });
        let n_outer = self.scope.len();
        for (k, inst) in tile.insts.iter().enumerate() {
            if tile.body().contains(&k) {
                self.scope.extend(inner);
            }
            self.place.push(format!("%{k}"));
            match inst {
                Inst::Index(e) => {
                    self.index_is_legal(e);
                }
                Inst::Test(guards) => {
                    self.guards_are_legal(guards);
                }
                Inst::Load { place, guards, .. } | Inst::Store { place, guards, .. } => {
                    let legal = self.guards_are_legal(guards) & self.index_is_legal(&place.index);
                    if let (true, Some(ranges)) = (legal, &ranges) {
                        self.bounds(tile, place, guards, ranges);
                    }
                }
                Inst::Prefetch { place } => {
                    self.index_is_legal(&place.index);
                }
                _ => {}
            }
            self.place.pop();
            self.scope.truncate(n_outer);
        }
    }

    /// The interval of every axis; one that is not in scope has a single coordinate.
    fn axes(&self) -> Vec<Interval> {
        let interval = |(axis, a): (usize, &crate::Axis)| match self.scope.contains(&axis) {
            true => Interval::of_extent(a.extent),
            false => Interval::of_extent(a.extent.max(1)),
        };
        self.kernel.axes.iter().enumerate().map(interval).collect()
    }

    fn bounds(&mut self, tile: &Tile, place: &Place, guards: &[Guard], ranges: &[Interval]) {
        let Some(buffer) = self.kernel.buffers.get(place.buffer) else { return };
        let (index, region) =
            place_in_region(tile, place, ranges, self.axes(), self.guards.iter().chain(guards));
        let (found, inside) = (region.bounds(&index), Interval::of_extent(buffer.len));
        // Empty bounds of the index tell, as an empty region does, that the guards never all hold.
        let is_proven = region.is_empty() || found.is_empty() || found.is_within(inside);
        self.require(is_proven, Rule::Bounds, || {
            let Interval { low, high } = found;
            format!("%{}[{low}..={high}], expected within 0..{}", buffer.name, buffer.len)
        });
    }

    fn guards_are_legal(&mut self, guards: &[Guard]) -> bool {
        guards.iter().fold(true, |legal, g| self.index_is_legal(&g.expr) & legal)
    }

    /// Whether an index is well formed and speaks of axes in scope.
    fn index_is_legal(&mut self, expr: &IndexExpr) -> bool {
        let sound = self.is_sound(expr);
        self.require(sound, Rule::Index, || {
            format!("index {expr}, expected axes that exist, positive divisors and no overflow")
        });
        let mut used = Vec::new();
        collect_axes(expr, &mut used);
        used.sort_unstable();
        used.dedup();
        let free: Vec<AxisId> = used.into_iter().filter(|a| !self.scope.contains(a)).collect();
        for axis in &free {
            let name = self.axis_name(*axis);
            self.require(false, Rule::Scope, || format!("axis {name} is not in scope"));
        }
        sound && free.is_empty()
    }

    fn is_sound(&self, expr: &IndexExpr) -> bool {
        magnitude(expr, self.kernel).is_some()
    }
}

/// A place as a sum over axes, where values that are no index become axes of their own, together
/// with the points where the guards hold.
fn place_in_region<'g>(
    tile: &Tile,
    place: &Place,
    ranges: &[Interval],
    mut axes: Vec<Interval>,
    guards: impl IntoIterator<Item = &'g Guard>,
) -> (Linear, Region) {
    let mut index = Linear::of(&place.index);
    for (v, stride) in &place.dynamic {
        let exact = match &tile.insts[v.index()] {
            Inst::Index(e) => index.plus(&Linear::of(e), (*stride).into()),
            _ => None,
        };
        index = exact.unwrap_or_else(|| {
            axes.push(ranges[v.index()]);
            index.add_term(IndexTerm::Axis(axes.len() - 1), (*stride).into());
            index
        });
    }
    (index, Region::new(axes, guards))
}

fn collect_axes(expr: &IndexExpr, out: &mut Vec<AxisId>) {
    for (term, _) in &expr.terms {
        match term {
            IndexTerm::Axis(axis) => out.push(*axis),
            IndexTerm::Div(e, _) | IndexTerm::Rem(e, _) => collect_axes(e, out),
        }
    }
}

/// A bound on all partial sums of a well-formed expression; `None` where there is none within `i64`.
fn magnitude(expr: &IndexExpr, kernel: &Kernel) -> Option<i128> {
    let mut total = i128::from(expr.constant).abs();
    for (term, c) in &expr.terms {
        let most = match term {
            IndexTerm::Axis(axis) => kernel.axes.get(*axis)?.extent as i128,
            IndexTerm::Div(e, d) | IndexTerm::Rem(e, d) => {
                (*d > 0).then_some(())?;
                let inner = magnitude(e, kernel)?;
                if matches!(term, IndexTerm::Rem(..)) { (*d).into() } else { inner }
            }
        };
        total = total.checked_add(most.checked_mul(i128::from(*c).abs())?)?;
    }
    (total <= i64::MAX.into()).then_some(total)
}

#[cfg(test)]
mod tests;
