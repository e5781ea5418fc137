//! What a kernel computes and touches, counted from its loops.
//!
//! In: a verified kernel.  Out: its floating-point operations and the bytes of its operands that it
//! needs at least once, which together place it on a roofline.

use tracelift_scalar::{ExprNode, Guard, Op, expansion_of};
use tracelift_tensor::DType;

use crate::{AxisId, BufferKind, Inst, Kernel, Place, Stmt, Tile};

/// The most points over which guards are counted one by one; over more they count as holding.
const MOST_POINTS: usize = 1 << 18;

/// The work of one run of a kernel over its whole grid.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Additions, subtractions, products, quotients, roots, minima and maxima of floats; a fused
    /// multiply-add is two, a transcendental function as many as its expansion has.
    pub flops: u64,
    /// The distinct bytes read from inputs.
    pub read_bytes: u64,
    /// The distinct bytes written to outputs.
    pub written_bytes: u64,
    /// The distinct bytes of each operand: the buffers that are no scratch, in order.
    pub operand_bytes: Vec<u64>,
}

impl Cost {
    /// The distinct bytes read and written.
    pub fn bytes(&self) -> u64 {
        self.read_bytes + self.written_bytes
    }

    /// Floating-point operations per byte.
    pub fn intensity(&self) -> f64 {
        self.flops as f64 / self.bytes().max(1) as f64
    }
}

/// Counts the work of a kernel.
///
/// Operations on points that no store of a tile keeps do not count, nor do those that only a
/// condition on coordinates takes, where it fails; those on fill values do. A value that does not vary over an axis of its tile is computed once for it. Elements count once
/// however often they are accessed; where an index depends on values, every access counts, up to
/// the buffer's size.
///
/// # Panics
/// When the kernel is not well typed; the verifier finds that.
pub fn cost(kernel: &Kernel) -> Cost {
    let counter = Counter::of(kernel, MOST_POINTS);
    let mut cost = Cost { flops: counter.flops, ..Cost::default() };
    for (buffer, accessed) in kernel.buffers.iter().zip(counter.accessed) {
        let bytes = accessed.min(buffer.len as u64) * buffer.dtype.size_bytes() as u64;
        match buffer.kind {
            BufferKind::Input => cost.read_bytes += bytes,
            BufferKind::Output => cost.written_bytes += bytes,
            BufferKind::Scratch => continue,
        }
        cost.operand_bytes.push(bytes);
    }
    cost
}

/// An upper bound on a kernel's operations that takes next to no time: conditions count as holding.
///
/// # Panics
/// As [`cost`].
pub fn flops_at_most(kernel: &Kernel) -> u64 {
    Counter::of(kernel, 0).flops
}

struct Counter<'k> {
    dtypes: Vec<DType>,
    extents: Vec<usize>,
    /// The most points over which guards are counted one by one.
    most_points: usize,
    flops: u64,
    /// For each buffer, the elements loaded from an input or stored to an output.
    accessed: Vec<u64>,
    /// The axes of the grid and of the loops around the current statement.
    axes: Vec<AxisId>,
    /// The conditions around the current statement.
    guards: Vec<&'k Guard>,
}

impl<'k> Counter<'k> {
    fn of(kernel: &'k Kernel, most_points: usize) -> Counter<'k> {
        let mut counter = Counter {
            dtypes: kernel.buffers.iter().map(|b| b.dtype).collect(),
            extents: kernel.extents(),
            most_points,
            flops: 0,
            accessed: vec![0; kernel.buffers.len()],
            axes: kernel.grid.clone(),
            guards: Vec::new(),
        };
        counter.walk(&kernel.body);
        counter
    }

    fn walk(&mut self, stmts: &'k [Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::For { axis, body } => {
                    self.axes.push(*axis);
                    self.walk(body);
                    self.axes.pop();
                }
                Stmt::If { guards, body } => {
                    let n_before = self.guards.len();
                    self.guards.extend(guards);
                    self.walk(body);
                    self.guards.truncate(n_before);
                }
                Stmt::Tile(tile) => self.tile(tile),
            }
        }
    }

    fn tile(&mut self, tile: &'k Tile) {
        let dtypes = tile.dtypes(&self.dtypes);
        let variances = tile.variances();
        let kept = kept_guards(tile);
        let chosen = chosen_guards(tile);
        for (k, inst) in tile.insts.iter().enumerate() {
            let mut axes = self.axes.clone();
            if tile.body().contains(&k) {
                axes.extend(&tile.loops);
            }
            if variances[k].rows {
                axes.push(tile.rows);
            }
            if variances[k].columns {
                axes.push(tile.columns);
            }
            match inst {
                Inst::Apply(op, _) if dtypes[k].is_float() => {
                    let mut guards = kept.clone();
                    guards.extend(chosen[k]);
                    let n_points = self.points(&axes, &guards);
                    let flops = flops_of(*op, dtypes[k]).saturating_mul(n_points);
                    self.flops = self.flops.saturating_add(flops);
                }
                Inst::FoldColumns(_, value) if variances[value.index()].columns => {
                    let n_steps = self.extents[tile.columns].saturating_sub(1) as u64;
                    let flops = n_steps.saturating_mul(self.points(&axes, &kept));
                    self.flops = self.flops.saturating_add(flops);
                }
                Inst::Load { place, guards, .. } | Inst::Store { place, guards, .. } => {
                    self.access(&axes, place, guards);
                }
                _ => {}
            }
        }
    }

    /// Counts the elements that one instruction accesses over these axes.
    fn access(&mut self, axes: &[AxisId], place: &'k Place, guards: &'k [Guard]) {
        let is_used = |axis: &&AxisId| !place.dynamic.is_empty() || place.index.mentions(**axis);
        let axes: Vec<AxisId> = axes.iter().filter(is_used).copied().collect();
        let guards: Vec<&Guard> = guards.iter().collect();
        let n = self.points(&axes, &guards);
        let sum = &mut self.accessed[place.buffer];
        *sum = sum.saturating_add(n);
    }

    /// The number of points of some axes where the conditions around the statement and some more
    /// hold, as far as they speak of these axes only.
    fn points(&self, axes: &[AxisId], more: &[&Guard]) -> u64 {
        let speaks_of = |guard: &&&Guard| {
            (0..self.extents.len()).all(|a| axes.contains(&a) || !guard.expr.mentions(a))
        };
        let is_open = |guard: &&&Guard| guard.decide(&self.extents) != Some(true);
        let mut open: Vec<&Guard> = self.guards.iter().chain(more).copied().collect();
        open = open.iter().filter(speaks_of).filter(is_open).copied().collect();
        let mut free: Vec<AxisId> = axes.to_vec();
        let mut n = 1u64;
        while let Some(guard) = open.pop() {
            let group = connected(guard, &mut open, &mut free);
            n = n.saturating_mul(self.points_where(&group.0, &group.1));
        }
        free.iter().fold(n, |n, &axis| n.saturating_mul(self.extents[axis] as u64))
    }

    /// The number of points of some axes where all guards hold.
    fn points_where(&self, axes: &[AxisId], guards: &[&Guard]) -> u64 {
        let box_ = axes.iter().fold(1usize, |n, &a| n.saturating_mul(self.extents[a]));
        if box_ > self.most_points {
            return box_ as u64;
        }
        let mut point = vec![0; self.extents.len()];
        let mut n = 0;
        for position in 0..box_ {
            let mut rest = position;
            for &axis in axes {
                point[axis] = rest % self.extents[axis];
                rest /= self.extents[axis];
            }
            n += u64::from(guards.iter().all(|guard| guard.holds(&point)));
        }
        n
    }
}

/// The guards that share axes with one guard, directly or through others, and those axes; both are
/// taken from where they were.
fn connected<'g>(
    first: &'g Guard,
    open: &mut Vec<&'g Guard>,
    free: &mut Vec<AxisId>,
) -> (Vec<AxisId>, Vec<&'g Guard>) {
    let (mut axes, mut guards, mut next) = (Vec::new(), Vec::new(), vec![first]);
    while let Some(guard) = next.pop() {
        let (own, others) = free.iter().partition(|a| guard.expr.mentions(**a));
        *free = others;
        let own: Vec<AxisId> = own;
        let (near, far) = open.iter().partition(|g| own.iter().any(|a| g.expr.mentions(*a)));
        *open = far;
        let near: Vec<&Guard> = near;
        next.extend(near);
        axes.extend(own);
        guards.push(guard);
    }
    (axes, guards)
}

/// The guards that every store of a tile has: where they fail, nothing the tile computes is kept.
fn kept_guards(tile: &Tile) -> Vec<&Guard> {
    let mut stores = tile.insts.iter().filter_map(|inst| match inst {
        Inst::Store { guards, .. } => Some(guards),
        _ => None,
    });
    let Some(first) = stores.next() else { return Vec::new() };
    let others: Vec<_> = stores.collect();
    first.iter().filter(|guard| others.iter().all(|o| o.contains(guard))).collect()
}

/// For each value, the guards of the condition that alone uses it, and takes it where they hold.
fn chosen_guards(tile: &Tile) -> Vec<&[Guard]> {
    let mut n_uses = vec![0; tile.insts.len()];
    let mut chosen: Vec<&[Guard]> = vec![&[]; tile.insts.len()];
    for inst in &tile.insts {
        inst.operands().iter().for_each(|v| n_uses[v.index()] += 1);
        if let Inst::Apply(Op::Select, operands) = inst
            && let Inst::Test(guards) = &tile.insts[operands[0].index()]
        {
            chosen[operands[1].index()] = guards;
        }
    }
    chosen.iter().zip(n_uses).map(|(guards, n)| if n == 1 { *guards } else { &[] }).collect()
}

/// The floating-point operations of one operation on floats.
fn flops_of(op: Op, dtype: DType) -> u64 {
    match op {
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Sqrt | Op::Min | Op::Max => 1,
        Op::Fma => 2,
        _ => expansion_of(op, dtype).map_or(0, |expansion| {
            let nodes = expansion.nodes().iter().zip(expansion.dtypes());
            let in_floats = nodes.filter(|(_, dtype)| dtype.is_float());
            in_floats
                .map(|(node, dtype)| match node {
                    // An expansion holds basic operations only.
                    ExprNode::Apply(op, _) if op.is_basic(*dtype) => flops_of(*op, *dtype),
                    _ => 0,
                })
                .sum()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse, samples};

    #[test]
    fn a_product_counts_its_kept_points() {
        // 4 × 6 outputs of 5 fused multiply-adds and one maximum; the last tile is cut from 8 columns
        // to 6.
        let cost = cost(&samples::gemm());
        assert_eq!(cost.flops, 4 * 6 * 5 * 2 + 4 * 6);
        assert_eq!((cost.read_bytes, cost.written_bytes), (4 * (20 + 30), 4 * 24));
        assert_eq!(flops_at_most(&samples::gemm()), 4 * 8 * 5 * 2 + 4 * 8);
        assert!((cost.intensity() - 264.0 / 296.0).abs() < 1e-12);
    }

    #[test]
    fn a_softmax_counts_folds_and_expansions() {
        // Rows of 10 in columns of 4: what is folded runs over the fill values too, 3 · 4 points and
        // 3 steps of the fold; the quotients over the 10 points that are stored.
        let exp = flops_of(Op::Exp, DType::F32);
        assert!((10..40).contains(&exp), "{exp}");
        let row = (12 + 3) + (12 * (1 + exp + 1) + 3) + 10;
        let cost = cost(&samples::softmax());
        assert_eq!(cost.flops, 3 * row);
        assert_eq!((cost.read_bytes, cost.written_bytes), (120, 120));
    }

    #[test]
    fn conditions_and_loops_around_a_tile_bound_the_count() {
        let text = "kernel @add(%x: f32[100] input, %y: f32[10] input, %out: f32[100] output) {
  grid (t: 4)
  for i in 0..3 {
    if 0 <= 3*t + i < 10 {
      tile (r: 2, c: 4) {
        %0: f32 = load %x[24*t + 8*i + 4*r + c]
        %1: f32 = load %y[3*t + i]
        %2: f32 = mul(%1, %1)
        %3: f32 = sub(%0, %2)
        store %out[24*t + 8*i + 4*r + c] = %3
      }
    }
  }
}
";
        let cost = cost(&parse(text).unwrap());
        // The square does not vary over the tile: once for each of the ten pairs.
        assert_eq!(cost.flops, 10 * 8 + 10);
        assert_eq!((cost.read_bytes, cost.written_bytes), (4 * (80 + 10), 4 * 80));
    }

    #[test]
    fn a_gather_reads_what_it_takes_not_the_whole_table() {
        let text = "kernel @take(%x: f32[1000] input, %i: i64[3] input, %out: f32[30] output) {
  grid (row: 3)
  tile (r: 1, c: 10) {
    %0: i64 = load %i[row]
    %1: i64 = 0
    %2: i64 = max(%0, %1)
    %3: i64 = 99
    %4: i64 = min(%2, %3)
    %5: f32 = load %x[c; %4 * 10]
    store %out[10*row + c] = %5
  }
}
";
        let cost = cost(&parse(text).unwrap());
        assert_eq!((cost.flops, cost.operand_bytes), (0, vec![30 * 4, 3 * 8, 120]));
    }

    #[test]
    fn what_a_condition_leaves_out_does_not_count() {
        let text = "kernel @sum(%x: f32[5] input, %out: f32[5] output) {
  grid ()
  tile (r: 5, c: 1) {
    %0: f32 = 0.0
    %1: f32 = accumulator(%0)
    loop i in 0..3 {
      %2: f32 = load %x[r + i - 1] if 0 <= r + i - 1 < 5 else 0.0
      %3: f32 = fma(%2, %2, %1)
      %4: bool = test(0 <= r + i - 1 < 5)
      %5: f32 = select(%4, %3, %1)
      update %1 = %5
    }
    store %out[r] = %1
  }
}
";
        assert_eq!(cost(&parse(text).unwrap()).flops, 2 * (4 + 5 + 4));
    }

    #[test]
    fn guards_over_separate_axes_multiply() {
        // The windows 3 × 3 of an image 4 × 5 with a border of one: 10 · 13 taps inside.
        let text = "kernel @sum(%x: f32[20] input, %out: f32[20] output) {
  grid (y: 4)
  tile (r: 1, c: 5) {
    %0: f32 = 0.0
    %1: f32 = accumulator(%0)
    loop i in 0..3, j in 0..3 {
      %2: f32 = load %x[5*y + c + 5*i + j - 6] if 0 <= y + i - 1 < 4, 0 <= c + j - 1 < 5 else 0.0
      %3: f32 = add(%1, %2)
      update %1 = %3
    }
    store %out[5*y + c] = %1
  }
}
";
        let kernel = parse(text).unwrap();
        assert_eq!((cost(&kernel).flops, cost(&kernel).bytes()), (180, 160));
        let Stmt::Tile(tile) = &kernel.body[0] else { panic!("the kernel is one tile") };
        let guards = tile.insts.iter().find_map(|inst| match inst {
            Inst::Load { guards, .. } => Some(guards.iter().collect::<Vec<_>>()),
            _ => None,
        });
        let counter = Counter { guards: vec![], ..Counter::of(&kernel, MOST_POINTS) };
        let all: Vec<AxisId> = (0..kernel.axes.len()).collect();
        assert_eq!(counter.points(&all, &guards.unwrap()), 10 * 13);
    }
}
