//! Writes kernels.

use std::{
    collections::HashSet,
    fmt::{self, Write},
};

use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use crate::{AxisId, BufferKind, Inst, Kernel, Place, Stmt, Tile, ValueId};

impl fmt::Display for Kernel {
    /// Writes the text form, which [`parse`](crate::parse) reads; a kernel that does not verify is
    /// written too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer::new(self);
        printer.kernel();
        f.write_str(&printer.out)
    }
}

impl BufferKind {
    /// The name in text form.
    pub(super) fn name(self) -> &'static str {
        match self {
            BufferKind::Input => "input",
            BufferKind::Output => "output",
            BufferKind::Scratch => "scratch",
        }
    }
}

/// The name of an operation in text form, such as `fma` or `cast.f32`.
pub(super) fn op_name(op: Op) -> String {
    match op {
        Op::Cast(to) | Op::Bitcast(to) => format!("{}.{to}", op.name()),
        _ => op.name().to_string(),
    }
}

struct Printer<'k> {
    kernel: &'k Kernel,
    axes: Vec<String>,
    buffers: Vec<String>,
    depth: usize,
    out: String,
}

/// Names fit for the text: only letters, digits and `_`, none twice.
fn unique<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut taken = HashSet::new();
    names
        .map(|name| {
            let stem = identifier(name);
            let numbered = (2..).map(|k| format!("{stem}_{k}"));
            let free = std::iter::once(stem.clone()).chain(numbered).find(|n| !taken.contains(n));
            let free = free.expect("there are more names than axes");
            taken.insert(free.clone());
            free
        })
        .collect()
}

fn identifier(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let out: String = name.chars().map(legal).collect();
    match out.chars().next() {
        Some(first) if !first.is_ascii_digit() => out,
        _ => format!("_{out}"),
    }
}

/// Axes in the order in which the text binds them.
fn binding_order(kernel: &Kernel) -> Vec<AxisId> {
    fn walk(stmts: &[Stmt], out: &mut Vec<AxisId>) {
        for stmt in stmts {
            match stmt {
                Stmt::For { axis, body } => {
                    out.push(*axis);
                    walk(body, out);
                }
                Stmt::If { body, .. } => walk(body, out),
                Stmt::Tile(tile) => {
                    out.extend([tile.rows, tile.columns]);
                    out.extend(&tile.loops);
                }
            }
        }
    }
    let mut out = kernel.grid.clone();
    walk(&kernel.body, &mut out);
    let mut seen = HashSet::new();
    out.retain(|axis| seen.insert(*axis));
    out
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn values(ids: &[ValueId]) -> String {
    list(ids, |v| format!("%{}", v.index()))
}

impl<'k> Printer<'k> {
    fn new(kernel: &'k Kernel) -> Printer<'k> {
        Printer {
            kernel,
            axes: unique(kernel.axes.iter().map(|a| a.name.as_str())),
            buffers: unique(kernel.buffers.iter().map(|b| b.name.as_str())),
            depth: 0,
            out: String::new(),
        }
    }

    fn line(&mut self, text: &str) {
        let width = 2 * self.depth;
        writeln!(self.out, "{:width$}{text}", "").expect("a string takes any text");
    }

    /// Writes a block: its head, then what `inside` writes, then its end.
    fn block(&mut self, head: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line("}");
    }

    fn kernel(&mut self) {
        let kernel = self.kernel;
        let buffers: Vec<String> = (kernel.buffers.iter().zip(&self.buffers))
            .map(|(b, name)| format!("%{name}: {}[{}] {}", b.dtype, b.len, b.kind.name()))
            .collect();
        let name = identifier(&kernel.name);
        self.block(&format!("kernel @{name}({})", buffers.join(", ")), |p| {
            if !binding_order(kernel).into_iter().eq(0..kernel.axes.len()) {
                let all: Vec<AxisId> = (0..kernel.axes.len()).collect();
                p.line(&format!("axes ({})", list(&all, |a| p.sized(*a))));
            }
            if !kernel.grid.is_empty() {
                p.line(&format!("grid ({})", list(&kernel.grid, |a| p.sized(*a))));
            }
            p.stmts(&kernel.body);
        });
    }

    fn axis(&self, axis: AxisId) -> String {
        self.axes.get(axis).cloned().unwrap_or_else(|| format!("?{axis}"))
    }

    fn extent(&self, axis: AxisId) -> String {
        self.kernel.axes.get(axis).map_or_else(|| "?".to_string(), |a| a.extent.to_string())
    }

    fn sized(&self, axis: AxisId) -> String {
        format!("{}: {}", self.axis(axis), self.extent(axis))
    }

    fn ranged(&self, axis: AxisId) -> String {
        format!("{} in 0..{}", self.axis(axis), self.extent(axis))
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::For { axis, body } => {
                    let head = format!("for {}", self.ranged(*axis));
                    self.block(&head, |p| p.stmts(body));
                }
                Stmt::If { guards, body } => {
                    let guards = match guards.is_empty() {
                        true => "true".to_string(),
                        false => self.guards(guards),
                    };
                    self.block(&format!("if {guards}"), |p| p.stmts(body));
                }
                Stmt::Tile(tile) => self.tile(tile),
            }
        }
    }

    fn tile(&mut self, tile: &Tile) {
        let dtypes = known_dtypes(self.kernel, tile);
        let head = format!("tile ({}, {})", self.sized(tile.rows), self.sized(tile.columns));
        let n_insts = tile.insts.len();
        let init_end = tile.n_init.min(n_insts);
        let body_end = tile.n_init.saturating_add(tile.n_body).min(n_insts);
        let is_plain = tile.loops.is_empty() && tile.unroll == 1 && init_end == n_insts;
        self.block(&head, |p| {
            p.insts(tile, &dtypes, 0..init_end);
            if !is_plain {
                let axes = list(&tile.loops, |a| p.ranged(*a));
                let space = if axes.is_empty() { "" } else { " " };
                let unroll = match tile.unroll {
                    1 => String::new(),
                    n => format!(" unroll {n}"),
                };
                p.block(&format!("loop{space}{axes}{unroll}"), |p| {
                    p.insts(tile, &dtypes, init_end..body_end);
                });
                p.insts(tile, &dtypes, body_end..n_insts);
            }
        });
    }

    fn insts(&mut self, tile: &Tile, dtypes: &[Option<DType>], range: std::ops::Range<usize>) {
        for k in range {
            let text = self.inst(&tile.insts[k]);
            match dtypes[k] {
                _ if !tile.insts[k].has_value() => self.line(&text),
                Some(dtype) => self.line(&format!("%{k}: {dtype} = {text}")),
                None => self.line(&format!("%{k} = {text}")),
            }
        }
    }

    fn inst(&self, inst: &Inst) -> String {
        match inst {
            Inst::Const(scalar) => scalar.to_string(),
            Inst::Index(e) => format!("index({})", self.expr(e)),
            Inst::Test(guards) => format!("test({})", self.guards(guards)),
            Inst::Apply(op, operands) => format!("{}({})", op_name(*op), values(operands)),
            Inst::Load { place, guards, fill } => self.load(place, guards, *fill),
            Inst::Accumulator(v) => format!("accumulator({})", values(&[*v])),
            Inst::Update { accumulator, value } => {
                format!("update {} = {}", values(&[*accumulator]), values(&[*value]))
            }
            Inst::Prefetch { place } => format!("prefetch {}", self.place(place)),
            Inst::FoldColumns(op, v) => {
                format!("fold_columns({}, {})", op_name(*op), values(&[*v]))
            }
            Inst::Store { place, guards, condition, value } => {
                let mut out = format!("store {} = {}", self.place(place), values(&[*value]));
                if !guards.is_empty() {
                    out += &format!(" if {}", self.guards(guards));
                }
                if let Some(v) = condition {
                    out += &format!(" when {}", values(&[*v]));
                }
                out
            }
        }
    }

    fn load(&self, place: &Place, guards: &[Guard], fill: Scalar) -> String {
        let mut out = format!("load {}", self.place(place));
        if !guards.is_empty() {
            out += &format!(" if {}", self.guards(guards));
        }
        // A fill that no guard asks for is left out where it is the one that reading supplies.
        if !guards.is_empty() || fill != Scalar::zero(fill.dtype()) {
            out += &format!(" else {fill}");
        }
        out
    }

    fn place(&self, place: &Place) -> String {
        let buffer = self.buffers.get(place.buffer).map_or("?", String::as_str);
        let dynamic: String = match place.dynamic.is_empty() {
            true => String::new(),
            false => {
                let parts =
                    list(&place.dynamic, |(v, stride)| format!("%{} * {stride}", v.index()));
                format!("; {parts}")
            }
        };
        format!("%{buffer}[{}{dynamic}]", self.expr(&place.index))
    }

    fn guards(&self, guards: &[Guard]) -> String {
        list(guards, |g| format!("0 <= {} < {}", self.expr(&g.expr), g.extent))
    }

    fn expr(&self, expr: &IndexExpr) -> String {
        expr.display_with(&|axis| self.axis(axis))
    }
}

/// The dtype of every value as far as the tile is well typed.
fn known_dtypes(kernel: &Kernel, tile: &Tile) -> Vec<Option<DType>> {
    let mut out: Vec<Option<DType>> = Vec::new();
    for inst in &tile.insts {
        let of = |v: &ValueId| out.get(v.index()).copied().flatten();
        let applied = |op: Op, operands: &[ValueId]| {
            let dtypes: Option<Vec<DType>> = operands.iter().map(of).collect();
            op.result_dtype(&dtypes?).ok()
        };
        out.push(match inst {
            Inst::Const(scalar) => Some(scalar.dtype()),
            Inst::Index(_) => Some(DType::I64),
            Inst::Test(_) => Some(DType::Bool),
            Inst::Apply(op, operands) => applied(*op, operands),
            Inst::Load { place, .. } => kernel.buffers.get(place.buffer).map(|b| b.dtype),
            Inst::Accumulator(v) => of(v),
            Inst::FoldColumns(op, v) => applied(*op, &[*v, *v]),
            Inst::Update { .. } | Inst::Prefetch { .. } | Inst::Store { .. } => None,
        });
    }
    out
}
