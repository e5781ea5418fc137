//! Statements on their own, so that equal ones of different kernels can be told.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;
use tracelift_loops::{Axis, AxisId, Buffer, BufferId, BufferKind, Inst, Kernel, Place, Stmt};
use tracelift_scalar::{Guard, IndexExpr, IndexTerm};

use super::Stream;

/// A statement with the axes and buffers that it mentions.
pub(super) struct Piece {
    /// The statement as the body of a kernel without names, whose axes and buffers are those
    /// mentioned, in their old order: so index expressions keep the order of their terms.
    pub(super) kernel: Kernel,
    /// The old number of each axis.
    axes: Vec<AxisId>,
    /// The old number of each buffer.
    buffers: Vec<BufferId>,
}

impl Piece {
    pub(super) fn of(kernel: &Kernel, stmt: &Stmt) -> Piece {
        let mut stmt = stmt.clone();
        let mut axes = Numbers::new(kernel.axes.len());
        let mut buffers = Numbers::new(kernel.buffers.len());
        visit_stmt(&mut stmt, &mut |a| axes.meet(*a), &mut |b| buffers.meet(*b));
        let (axes, new_axes) = axes.finish();
        let (buffers, new_buffers) = buffers.finish();
        visit_stmt(&mut stmt, &mut |a| *a = new_axes[*a], &mut |b| *b = new_buffers[*b]);
        let axis = |&a: &AxisId| Axis { name: String::new(), extent: kernel.axes[a].extent };
        let buffer = |&b: &BufferId| Buffer {
            name: String::new(),
            dtype: kernel.buffers[b].dtype,
            len: kernel.buffers[b].len,
            // Code does not depend on it.
            kind: BufferKind::Scratch,
        };
        let kernel = Kernel {
            name: String::new(),
            buffers: buffers.iter().map(buffer).collect(),
            axes: axes.iter().map(axis).collect(),
            grid: Vec::new(),
            body: vec![stmt],
        };
        Piece { kernel, axes, buffers }
    }

    /// Streams of an equal piece as the kernel of this one numbers axes and buffers.
    pub(super) fn adopt(&self, other: &Piece, streams: &[Stream]) -> Vec<Stream> {
        let number = |list: &[usize], from: &[usize], k: usize| {
            list[from.iter().position(|&x| x == k).expect("streams are of the piece")]
        };
        let mut axis = |a: &mut AxisId| *a = number(&self.axes, &other.axes, *a);
        let mut streams = streams.to_vec();
        for stream in &mut streams {
            stream.buffer = stream.buffer.map(|b| number(&self.buffers, &other.buffers, b));
            stream.outside.iter_mut().for_each(|(term, _)| visit_term(term, &mut axis));
        }
        streams
    }
}

/// A hash of a statement that does not depend on how axes and buffers are numbered.
pub(super) fn hash(kernel: &Kernel, stmt: &Stmt) -> u64 {
    let mut state = FxHasher::default();
    hash_stmt(kernel, stmt, &mut state);
    state.finish()
}

fn hash_stmt(kernel: &Kernel, stmt: &Stmt, state: &mut FxHasher) {
    let extent = |axis: &AxisId| kernel.axes[*axis].extent;
    match stmt {
        Stmt::For { axis, body } => {
            (extent(axis), body.len()).hash(state);
            body.iter().for_each(|stmt| hash_stmt(kernel, stmt, state));
        }
        Stmt::If { body, .. } => body.iter().for_each(|stmt| hash_stmt(kernel, stmt, state)),
        Stmt::Tile(tile) => {
            [tile.rows, tile.columns].iter().chain(&tile.loops).map(extent).for_each(|n| {
                n.hash(state);
            });
            (tile.unroll, tile.n_init, tile.n_body).hash(state);
            tile.insts.iter().for_each(|inst| hash_inst(kernel, inst, state));
        }
    }
}

fn hash_inst(kernel: &Kernel, inst: &Inst, state: &mut FxHasher) {
    match inst {
        Inst::Load { place, .. } | Inst::Prefetch { place } | Inst::Store { place, .. } => {
            (kernel.buffers[place.buffer].len, place.index.constant).hash(state);
            place.index.terms.iter().for_each(|(_, factor)| factor.hash(state));
        }
        Inst::Index(index) => index.constant.hash(state),
        Inst::Test(guards) => guards.len().hash(state),
        Inst::Const(_)
        | Inst::Apply(..)
        | Inst::Accumulator(_)
        | Inst::Update { .. }
        | Inst::FoldColumns(..) => inst.hash(state),
    }
}

/// Which numbers occur.
struct Numbers(Vec<bool>);

impl Numbers {
    fn new(n: usize) -> Numbers {
        Numbers(vec![false; n])
    }

    fn meet(&mut self, number: usize) {
        self.0[number] = true;
    }

    /// The numbers met in ascending order, and for each number its place among them.
    fn finish(self) -> (Vec<usize>, Vec<usize>) {
        let mut met = Vec::new();
        let places = self.0.into_iter().enumerate().map(|(number, is_met)| {
            if is_met {
                met.push(number);
            }
            met.len().saturating_sub(1)
        });
        let places = places.collect();
        (met, places)
    }
}

type OnAxis<'f> = dyn FnMut(&mut AxisId) + 'f;
type OnBuffer<'f> = dyn FnMut(&mut BufferId) + 'f;

/// Visits every axis and buffer that a statement mentions.
fn visit_stmt(stmt: &mut Stmt, axis: &mut OnAxis<'_>, buffer: &mut OnBuffer<'_>) {
    match stmt {
        Stmt::For { axis: a, body } => {
            axis(a);
            body.iter_mut().for_each(|stmt| visit_stmt(stmt, axis, buffer));
        }
        Stmt::If { guards, body } => {
            visit_guards(guards, axis);
            body.iter_mut().for_each(|stmt| visit_stmt(stmt, axis, buffer));
        }
        Stmt::Tile(tile) => {
            let own = [&mut tile.rows, &mut tile.columns];
            own.into_iter().chain(&mut tile.loops).for_each(&mut *axis);
            tile.insts.iter_mut().for_each(|inst| visit_inst(inst, axis, buffer));
        }
    }
}

fn visit_inst(inst: &mut Inst, axis: &mut OnAxis<'_>, buffer: &mut OnBuffer<'_>) {
    match inst {
        Inst::Index(index) => visit_index(index, axis),
        Inst::Test(guards) => visit_guards(guards, axis),
        Inst::Load { place, guards, .. } | Inst::Store { place, guards, .. } => {
            visit_place(place, axis, buffer);
            visit_guards(guards, axis);
        }
        Inst::Prefetch { place } => visit_place(place, axis, buffer),
        Inst::Const(_)
        | Inst::Apply(..)
        | Inst::Accumulator(_)
        | Inst::Update { .. }
        | Inst::FoldColumns(..) => {}
    }
}

fn visit_place(place: &mut Place, axis: &mut OnAxis<'_>, buffer: &mut OnBuffer<'_>) {
    buffer(&mut place.buffer);
    visit_index(&mut place.index, axis);
}

fn visit_guards(guards: &mut [Guard], axis: &mut OnAxis<'_>) {
    guards.iter_mut().for_each(|guard| visit_index(&mut guard.expr, axis));
}

fn visit_index(index: &mut IndexExpr, axis: &mut OnAxis<'_>) {
    index.terms.iter_mut().for_each(|(term, _)| visit_term(term, axis));
}

fn visit_term(term: &mut IndexTerm, axis: &mut OnAxis<'_>) {
    match term {
        IndexTerm::Axis(a) => axis(a),
        IndexTerm::Div(index, _) | IndexTerm::Rem(index, _) => visit_index(index, axis),
    }
}
