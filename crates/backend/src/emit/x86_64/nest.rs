//! The loops around tile programs: which pointers and counters get registers, and the order of code.

use iced_x86::Register;
use rustc_hash::FxHashMap;
use tracelift_loops::{AxisId, Inst, Kernel, Stmt, Tile};

use super::{
    Assembled, Unsupported, Width,
    allocate::{Allocation, allocate, without_spills},
    encode::{Encoder, GENERAL, GeneralHomes},
    peephole::{fold_memory, share_literals},
    program::{Source, VInst, VProgram},
    select::Selector,
    split::split_after_loops,
    stream::Streams,
};

/// A statement with its tiles selected.
enum Node {
    For { axis: AxisId, body: Vec<Node> },
    Tile { program: VProgram, allocation: Allocation },
}

/// How registers are saved where a tile wants more than there are, at the price of more loads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Thrift {
    None,
    /// One update of all points after the other, so that only what one of them reads is live.
    Turns,
    /// Two vectors of all rows at a time, so that each element is loaded once for two vectors.
    Pairs,
    /// Elements are memory operands, loaded for each vector.
    Operands,
}

/// A unit being assembled.
pub(super) struct Nest<'k> {
    kernel: &'k Kernel,
    width: Width,
    streams: Streams<'k>,
}

/// What wants a general register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Wish {
    Pointer(usize),
    Counter(AxisId),
}

impl<'k> Nest<'k> {
    pub(super) fn new(kernel: &'k Kernel, width: Width) -> Nest<'k> {
        Nest { kernel, width, streams: Streams::new(kernel) }
    }

    pub(super) fn assemble(mut self, stmt: &Stmt) -> Result<Assembled, Unsupported> {
        self.enter(stmt)?;
        let nodes = self.select(std::slice::from_ref(stmt))?;
        let mut wishes = FxHashMap::default();
        self.count(&nodes, 1.0, &mut wishes);
        let general = self.general(&wishes);
        let axes = general.counters.keys();
        let moving = axes.map(|&axis| (axis, self.streams.moving(axis))).collect();
        let mut encoder = Encoder::new(self.width, general, moving);
        self.encode(&nodes, &mut encoder)?;
        let (code, n_code) = encoder.finish()?;
        Ok(Assembled { code: code.into(), n_code, streams: self.streams.list })
    }

    /// Declares the axes that run inside.
    fn enter(&mut self, stmt: &Stmt) -> Result<(), Unsupported> {
        match stmt {
            Stmt::For { axis, body } => {
                self.streams.enter(*axis);
                body.iter().try_for_each(|s| self.enter(s))
            }
            Stmt::If { .. } => Err(Unsupported("a condition")),
            Stmt::Tile(tile) => {
                tile.loops.iter().for_each(|&axis| self.streams.enter(axis));
                Ok(())
            }
        }
    }

    fn select(&mut self, stmts: &[Stmt]) -> Result<Vec<Node>, Unsupported> {
        let mut out = Vec::with_capacity(stmts.len());
        for stmt in stmts {
            match stmt {
                Stmt::For { axis, body } => match self.kernel.axes[*axis].extent {
                    0 => {}
                    1 => out.extend(self.select(body)?),
                    _ => out.push(Node::For { axis: *axis, body: self.select(body)? }),
                },
                Stmt::If { .. } => return Err(Unsupported("a condition")),
                Stmt::Tile(tile) => {
                    let node = self.tile(tile)?;
                    out.push(node);
                }
            }
        }
        Ok(out)
    }

    /// A tile with homes for its registers: with literals in registers if there are enough, else
    /// in the first way that leaves nothing in memory where loops are deepest, or as little as any.
    fn tile(&mut self, tile: &Tile) -> Result<Node, Unsupported> {
        let node = |program: VProgram, allocation| Ok(Node::Tile { program, allocation });
        if self.is_full(tile) {
            let pairs = self.program(tile, Thrift::Pairs)?;
            if let Some(allocation) = without_spills(&pairs, self.width) {
                return node(pairs, allocation);
            }
        }
        let program = self.program(tile, Thrift::None)?;
        if let Some(program) = share_literals(&program)
            && let Some(allocation) = without_spills(&program, self.width)
        {
            return node(program, allocation);
        }
        if let Some(allocation) = without_spills(&program, self.width) {
            return node(program, allocation);
        }
        let pairs = self.program(tile, Thrift::Pairs)?;
        if let Some(allocation) = without_spills(&pairs, self.width) {
            return node(pairs, allocation);
        }
        // Without loops it does not matter where something is spilled.
        let has_loop = program.insts.iter().any(|inst| matches!(inst, VInst::LoopStart { .. }));
        let program = if has_loop { split_after_loops(&program) } else { program };
        let mut best = (allocate(&program, self.width), program);
        for thrift in [Thrift::Turns, Thrift::Pairs, Thrift::Operands] {
            if best.0.n_hot == 0 {
                break;
            }
            if thrift == Thrift::Turns && !has_loop {
                continue;
            }
            let program = self.program(tile, thrift)?;
            let program = if has_loop { split_after_loops(&program) } else { program };
            let allocation = allocate(&program, self.width);
            if allocation.n_hot < best.0.n_hot {
                best = (allocation, program);
            }
        }
        let (allocation, program) = best;
        node(program, allocation)
    }

    /// Whether the sums of a tile, and one more vector of each of its columns, take all registers.
    fn is_full(&self, tile: &Tile) -> bool {
        let [rows, columns] = [tile.rows, tile.columns].map(|axis| self.kernel.axes[axis].extent);
        let vectors = columns.div_ceil(self.width.lanes());
        let is_sum = |inst: &&Inst| matches!(inst, Inst::Accumulator(_));
        let n_sums = tile.insts[tile.init()].iter().filter(is_sum).count();
        rows > 1 && vectors > 1 && (n_sums * rows + 1) * vectors >= self.width.n_registers()
    }

    /// The instructions of a tile with memory operands folded in.
    fn program(&mut self, tile: &Tile, thrift: Thrift) -> Result<VProgram, Unsupported> {
        let selector = Selector::new(self.kernel, self.width, tile, &mut self.streams)?;
        let selector = match thrift {
            Thrift::None | Thrift::Operands => selector,
            Thrift::Turns => selector.in_turns(),
            Thrift::Pairs => selector.side_by_side(2),
        };
        let mut program = selector.select()?;
        fold_memory(&mut program, self.width, thrift == Thrift::Operands);
        Ok(program)
    }

    /// Counts how often each pointer and counter is used, those in inner loops more.
    fn count(&self, nodes: &[Node], weight: f32, wishes: &mut FxHashMap<Wish, f32>) {
        let mut add = |wish, weight| *wishes.entry(wish).or_insert(0.0) += weight;
        for node in nodes {
            match node {
                Node::For { axis, .. } => add(Wish::Counter(*axis), 20.0 * weight),
                Node::Tile { program, .. } => {
                    let mut weight = weight;
                    for inst in &program.insts {
                        match inst {
                            VInst::LoopStart { axis, .. } => {
                                weight *= 10.0;
                                add(Wish::Counter(*axis), 2.0 * weight);
                            }
                            VInst::LoopEnd { .. } => weight /= 10.0,
                            _ => {}
                        }
                        for stream in streams_of(inst) {
                            add(Wish::Pointer(stream), weight);
                        }
                    }
                }
            }
        }
        for node in nodes {
            if let Node::For { body, .. } = node {
                self.count(body, weight * 10.0, wishes);
            }
        }
    }

    fn general(&self, wishes: &FxHashMap<Wish, f32>) -> GeneralHomes {
        let mut order: Vec<(Wish, f32)> = wishes.iter().map(|(w, n)| (*w, *n)).collect();
        let key = |wish: &Wish| match wish {
            Wish::Pointer(stream) => (0, *stream),
            Wish::Counter(axis) => (1, *axis),
        };
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(key(&a.0).cmp(&key(&b.0))));
        let mut homes = GeneralHomes {
            pointers: vec![None; self.streams.list.len()],
            ..GeneralHomes::default()
        };
        for (k, (wish, _)) in order.into_iter().enumerate() {
            let register: Option<Register> = GENERAL.get(k).copied();
            match wish {
                Wish::Pointer(stream) => homes.pointers[stream] = register,
                Wish::Counter(axis) => {
                    homes.counters.insert(axis, register);
                }
            }
        }
        homes
    }

    fn encode(&self, nodes: &[Node], encoder: &mut Encoder) -> Result<(), Unsupported> {
        for node in nodes {
            match node {
                Node::For { axis, body } => {
                    let extent = self.kernel.axes[*axis].extent;
                    encoder.loop_start(*axis, extent);
                    self.encode(body, encoder)?;
                    encoder.loop_end(*axis, 1)?;
                    encoder.advance(*axis, -(extent as i64))?;
                }
                Node::Tile { program, allocation } => encoder.program(program, allocation)?,
            }
        }
        Ok(())
    }
}

/// The streams an instruction reaches memory through.
fn streams_of(inst: &VInst) -> impl Iterator<Item = usize> + use<> {
    let source = |s: &Source| match s {
        Source::Vector(address) | Source::Splat(address) => Some(address.stream),
        Source::Register(_) | Source::Literal(_) | Source::WideLiteral(_) => None,
    };
    let list = match inst {
        VInst::One { a, .. } => [source(a), None],
        VInst::Two { b, .. } | VInst::Compare { b, .. } => [source(b), None],
        VInst::Fma { y, z, .. } => [source(y), source(z)],
        VInst::Choose { x, .. } => [source(x), None],
        VInst::Load { from, .. } | VInst::Splat { from, .. } => [Some(from.stream), None],
        VInst::LoadBytes { from, .. } | VInst::SplatByte { from, .. } => [Some(from.stream), None],
        VInst::Coordinate { of, .. } => [Some(of.stream), None],
        VInst::Store { to, .. } | VInst::StoreOne { to, .. } => [Some(to.stream), None],
        VInst::Prefetch { at, .. } => [Some(at.stream), None],
        _ => [None; 2],
    };
    list.into_iter().flatten()
}
