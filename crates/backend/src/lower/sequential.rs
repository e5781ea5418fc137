//! Scans, scatters and sorts: kernels whose inner loop runs in order.

use tracelift_ir::{NodeId, ScatterKind, Structure};
use tracelift_loops::{Inst, Place, Stmt, ValueId};
use tracelift_scalar::{IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use super::{
    Group, KernelBuilder, Lowering, pointwise::index_position, row::fold_op,
    tile_builder::TileBuilder,
};

/// The columns of a tile, in vectors.
const TILE_VECTORS: usize = 4;

impl Lowering<'_> {
    pub(super) fn lower_scan(&mut self, group: &Group, anchor: NodeId) {
        let Structure::Scan(scan) = self.analysis.structure(anchor).clone() else {
            unreachable!("a scan group is founded by a scan")
        };
        let value = group.outputs[0];
        let to = self.new_storage_for(value);
        let (dims, operand) = (self.extents(value), self.graph.operands(anchor)[0]);
        if dims.contains(&0) {
            return;
        }
        let dtype = self.graph.ty(value).dtype;
        let mut kernel = KernelBuilder::new();
        kernel.kernel.name = "scan".into();
        let last = dims.len() - 1;
        let mut axes = vec![IndexExpr::default(); dims.len()];
        for (a, &extent) in dims.iter().enumerate() {
            if a != scan.axis && a != last {
                axes[a] = IndexExpr::axis(kernel.grid_axis("i", extent));
            }
        }
        // Columns run along the last axis unless that is the one scanned.
        let len = if scan.axis == last { 1 } else { dims[last] };
        let columns = (TILE_VECTORS * self.registers(dtype).bytes / 4).min(len.max(1));
        let mut body = Vec::new();
        for (n, width, start) in
            [(len / columns, columns, 0), (1, len % columns, len / columns * columns)]
        {
            if n == 0 || width == 0 {
                continue;
            }
            let step = kernel.axis("t", n);
            let (row, column) = (kernel.axis("r", 1), kernel.axis("c", width));
            let k = kernel.axis("k", dims[scan.axis]);
            let mut index = axes.clone();
            if scan.axis != last {
                let along = IndexExpr::axis(step).scale(width as i64).add(&IndexExpr::axis(column));
                index[last] = along.offset(start as i64);
            }
            let forward = IndexExpr::axis(k);
            index[scan.axis] = match scan.reverse {
                true => forward.scale(-1).offset(dims[scan.axis] as i64 - 1),
                false => forward,
            };
            let mut b = TileBuilder::new(self, &mut kernel, row, column, &[k]);
            let sum = b.accumulator(scan.kind.identity(dtype));
            let x = b.value(operand, &index, &[]);
            let next = b.apply(fold_op(scan.kind, dtype), &[sum, x]);
            let stored = if scan.exclusive { sum } else { next };
            b.store_at(to, &index_position(&index, &dims), stored);
            b.update(sum, next);
            let tile = Stmt::Tile(b.finish(1));
            body.push(Stmt::For { axis: step, body: vec![tile] });
        }
        kernel.kernel.body = body;
        self.add_step(kernel, &self.graph.node(anchor).provenance.clone());
    }

    pub(super) fn lower_scatter(&mut self, group: &Group, anchor: NodeId) {
        let Structure::Scatter(scatter) = self.analysis.structure(anchor).clone() else {
            unreachable!("a scatter group is founded by a scatter")
        };
        let value = group.outputs[0];
        let to = self.new_storage_for(value);
        let provenance = self.graph.node(anchor).provenance.clone();
        let operands = self.graph.operands(anchor);
        let (dims, dtype) = (self.extents(value), self.graph.ty(value).dtype);
        let copy = self.pointwise(&dims, dtype, &mut |b, index| {
            let x = b.value(operands[0], index, &[]);
            b.store_at(to, &index_position(index, &dims), x);
        });
        self.add_step(copy, &provenance);
        if dims.contains(&0) || self.count(operands[2]) == 0 {
            return;
        }
        let mut kernel = KernelBuilder::new();
        kernel.kernel.name = "scatter".into();
        let (row, column) = (kernel.axis("r", 1), kernel.axis("c", 1));
        let mut loops: Vec<usize> =
            self.extents(operands[2]).iter().map(|&n| kernel.axis("u", n)).collect();
        let index: Vec<IndexExpr> = loops.iter().map(|&a| IndexExpr::axis(a)).collect();
        if loops.is_empty() {
            loops.push(kernel.axis("u", 1));
        }
        let mut b = TileBuilder::new(self, &mut kernel, row, column, &loops);
        let buffer = b.kernel.write(to, &b.lowering.out.storages);
        let (place, inside) =
            b.place(&scatter.coordinates, buffer, &dims, operands[1], &index, &[]);
        let mut update = b.value(operands[2], &index, &[]);
        let dtype = b.lowering.graph.ty(value).dtype;
        if let ScatterKind::Fold(kind) = scatter.kind {
            let old = b.load_written(place.clone());
            update = b.apply(fold_op(kind, dtype), &[old, update]);
        }
        let condition = inside.into_iter().reduce(|x, y| b.apply(Op::And, &[x, y]));
        b.push(Inst::Store { place, guards: Vec::new(), condition, value: update });
        let tile = b.finish(1);
        kernel.kernel.body = vec![Stmt::Tile(tile)];
        self.add_step(kernel, &provenance);
    }

    /// Sorts by counting, for every element, those that come before it; quadratic in the axis.
    pub(super) fn lower_sort(&mut self, group: &Group, anchor: NodeId) {
        let Structure::Sort(sort) = *self.analysis.structure(anchor) else {
            unreachable!("a sort group is founded by a sort")
        };
        let storages: Vec<_> = group.outputs.iter().map(|v| self.new_storage_for(*v)).collect();
        let operand = self.graph.operands(anchor)[0];
        let dims = self.extents(operand);
        let n = dims[sort.axis];
        let stride: usize = dims[sort.axis + 1..].iter().product();
        let mut kernel = KernelBuilder::new();
        kernel.kernel.name = "sort".into();
        let axes: Vec<IndexExpr> =
            dims.iter().map(|&extent| IndexExpr::axis(kernel.grid_axis("i", extent))).collect();
        let (row, column) = (kernel.axis("r", 1), kernel.axis("c", 1));
        let other = kernel.axis("j", n);
        let mut other_index = axes.clone();
        other_index[sort.axis] = IndexExpr::axis(other);
        let mut b = TileBuilder::new(self, &mut kernel, row, column, &[other]);
        let mine = b.value(operand, &axes, &[]);
        let theirs = b.value(operand, &other_index, &[]);
        let (i, j) = (b.index(&axes[sort.axis]), b.index(&IndexExpr::axis(other)));
        let (first, second) = if sort.descending { (theirs, mine) } else { (mine, theirs) };
        let greater = b.greater(first, second);
        let equal = b.equal(mine, theirs);
        let earlier = b.apply(Op::Lt, &[j, i]);
        let tie = b.apply(Op::And, &[equal, earlier]);
        let before = b.apply(Op::Or, &[greater, tie]);
        let rank = b.accumulator(Scalar::zero(DType::I64));
        let one = b.apply(Op::Cast(DType::I64), &[before]);
        let next = b.apply(Op::Add, &[rank, one]);
        b.update(rank, next);
        b.start_finish();
        let [low, high] = [0, n as i64 - 1].map(|x| b.constant(Scalar::Signed(DType::I64, x)));
        let at_least = b.apply(Op::Max, &[rank, low]);
        let rank = b.apply(Op::Min, &[at_least, high]);
        let mut start = axes.clone();
        start[sort.axis] = IndexExpr::default();
        let position = index_position(&start, &dims).simplify(b.extents());
        for (storage, value) in storages.into_iter().zip([mine, i]) {
            let buffer = b.kernel.write(storage, &b.lowering.out.storages);
            let dynamic = vec![(rank, stride as i64)];
            let place = Place { buffer, index: position.clone(), dynamic };
            b.push(Inst::Store { place, guards: Vec::new(), condition: None, value });
        }
        let tile = b.finish(1);
        kernel.kernel.body = vec![Stmt::Tile(tile)];
        self.add_step(kernel, &self.graph.node(anchor).provenance.clone());
    }
}

impl TileBuilder<'_, '_> {
    fn is_float(&self, v: ValueId) -> bool {
        self.dtype_of(v).is_float()
    }

    /// `x > y`, NaN being the greatest.
    fn greater(&mut self, x: ValueId, y: ValueId) -> ValueId {
        let plain = self.apply(Op::Gt, &[x, y]);
        if !self.is_float(x) {
            return plain;
        }
        let [x, y] = [x, y].map(|v| self.apply(Op::IsNan, &[v]));
        let number = self.apply(Op::Not, &[y]);
        let only_x = self.apply(Op::And, &[x, number]);
        self.apply(Op::Or, &[plain, only_x])
    }

    /// `x = y`, NaN being equal to itself.
    fn equal(&mut self, x: ValueId, y: ValueId) -> ValueId {
        let plain = self.apply(Op::Eq, &[x, y]);
        if !self.is_float(x) {
            return plain;
        }
        let [x, y] = [x, y].map(|v| self.apply(Op::IsNan, &[v]));
        let both = self.apply(Op::And, &[x, y]);
        self.apply(Op::Or, &[plain, both])
    }
}
