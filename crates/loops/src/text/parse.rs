//! Reads kernels.

use std::collections::HashMap;

use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use super::cursor::{Cursor, MAX_DEPTH};
use crate::{AxisId, Buffer, BufferKind, Inst, Kernel, ParseError, Place, Stmt, Tile, ValueId};

/// Reads a kernel from its text form.
///
/// The kernel is not verified.
///
/// # Errors
/// The first place where the text is none.
pub fn parse(text: &str) -> Result<Kernel, ParseError> {
    let mut parser = Parser {
        cursor: Cursor::new(text),
        kernel: Kernel::default(),
        axes: HashMap::new(),
        buffers: HashMap::new(),
    };
    parser.kernel()?;
    if !parser.cursor.is_at_end() {
        return parser.cursor.error("the end of the text");
    }
    Ok(parser.kernel)
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    kernel: Kernel,
    axes: HashMap<&'t str, AxisId>,
    buffers: HashMap<&'t str, usize>,
}

/// The values of a tile by name, and their dtypes by number.
#[derive(Default)]
struct Values<'t> {
    names: HashMap<&'t str, ValueId>,
    dtypes: Vec<Option<DType>>,
}

type Parsed<T> = Result<T, ParseError>;

impl<'t> Parser<'t> {
    fn kernel(&mut self) -> Parsed<()> {
        self.cursor.expect_word("kernel")?;
        self.kernel.name = self.cursor.marked('@', "a kernel")?.1.to_string();
        self.cursor.expect("(")?;
        while !self.cursor.eat(")") {
            if !self.kernel.buffers.is_empty() {
                self.cursor.expect(",")?;
            }
            self.buffer()?;
        }
        self.cursor.expect("{")?;
        if self.cursor.eat_word("axes") {
            self.axis_list()?;
        }
        if self.cursor.eat_word("grid") {
            self.kernel.grid = self.axis_list()?;
        }
        self.kernel.body = self.stmts(MAX_DEPTH)?;
        Ok(())
    }

    fn buffer(&mut self) -> Parsed<()> {
        let (at, name) = self.cursor.marked('%', "a buffer")?;
        self.cursor.expect(":")?;
        let dtype = self.dtype()?;
        self.cursor.expect("[")?;
        let len = self.cursor.integer("a number of elements")?;
        self.cursor.expect("]")?;
        let kinds = [BufferKind::Input, BufferKind::Output, BufferKind::Scratch];
        let Some(kind) = kinds.into_iter().find(|k| self.cursor.eat_word(k.name())) else {
            return self.cursor.error("input, output or scratch");
        };
        if self.buffers.insert(name, self.kernel.buffers.len()).is_some() {
            return Err(self.cursor.error_at(at, "a name that no other buffer has"));
        }
        self.kernel.buffers.push(Buffer { name: name.to_string(), dtype, len, kind });
        Ok(())
    }

    fn dtype(&mut self) -> Parsed<DType> {
        let at = self.cursor.next_at();
        let word = self.cursor.word("a dtype")?;
        word.parse().map_err(|_| self.cursor.error_at(at, "a dtype"))
    }

    /// `(m: 2, n: 3)`.
    fn axis_list(&mut self) -> Parsed<Vec<AxisId>> {
        self.cursor.expect("(")?;
        let mut out = Vec::new();
        while !self.cursor.eat(")") {
            if !out.is_empty() {
                self.cursor.expect(",")?;
            }
            out.push(self.axis(":")?);
        }
        Ok(out)
    }

    /// `k: 5` or `k in 0..5`: an axis that is new, or known with this extent.
    fn axis(&mut self, separator: &str) -> Parsed<AxisId> {
        let at = self.cursor.next_at();
        let name = self.cursor.word("an axis")?;
        if name.starts_with(|c: char| c.is_ascii_digit()) || name.contains('.') {
            return Err(self.cursor.error_at(at, "the name of an axis"));
        }
        if separator == ":" {
            self.cursor.expect(":")?;
        } else {
            self.cursor.expect_word("in")?;
            self.cursor.expect("0")?;
            self.cursor.expect("..")?;
        }
        let extent_at = self.cursor.next_at();
        let extent: usize = self.cursor.integer("an extent")?;
        let Some(&known) = self.axes.get(name) else {
            let id = self.kernel.add_axis(name, extent);
            self.axes.insert(name, id);
            return Ok(id);
        };
        let declared = self.kernel.axes[known].extent;
        if declared != extent {
            let expected = format!("extent {declared} as where axis {name} was declared");
            return Err(self.cursor.error_at(extent_at, &expected));
        }
        Ok(known)
    }

    /// Statements up to the closing brace.
    fn stmts(&mut self, depth: usize) -> Parsed<Vec<Stmt>> {
        let mut out = Vec::new();
        while !self.cursor.eat("}") {
            if depth == 0 {
                return self.cursor.error(&format!("at most {MAX_DEPTH} levels of statements"));
            }
            out.push(self.stmt(depth)?);
        }
        Ok(out)
    }

    fn stmt(&mut self, depth: usize) -> Parsed<Stmt> {
        if self.cursor.eat_word("for") {
            let axis = self.axis("in")?;
            self.cursor.expect("{")?;
            return Ok(Stmt::For { axis, body: self.stmts(depth - 1)? });
        }
        if self.cursor.eat_word("if") {
            let guards = if self.cursor.eat_word("true") { Vec::new() } else { self.guards()? };
            self.cursor.expect("{")?;
            return Ok(Stmt::If { guards, body: self.stmts(depth - 1)? });
        }
        if self.cursor.eat_word("tile") {
            return Ok(Stmt::Tile(self.tile()?));
        }
        self.cursor.error("for, if, tile or '}'")
    }

    fn tile(&mut self) -> Parsed<Tile> {
        self.cursor.expect("(")?;
        let rows = self.axis(":")?;
        self.cursor.expect(",")?;
        let columns = self.axis(":")?;
        self.cursor.expect(")")?;
        self.cursor.expect("{")?;
        let mut tile =
            Tile { rows, columns, loops: vec![], unroll: 1, insts: vec![], n_init: 0, n_body: 0 };
        let mut values = Values::default();
        let mut had_loop = false;
        while !self.cursor.eat("}") {
            if !had_loop && self.cursor.eat_word("loop") {
                had_loop = true;
                tile.n_init = tile.insts.len();
                self.inner_loop(&mut tile, &mut values)?;
                tile.n_body = tile.insts.len() - tile.n_init;
            } else {
                self.inst(&mut tile, &mut values)?;
            }
        }
        if !had_loop {
            tile.n_init = tile.insts.len();
        }
        Ok(tile)
    }

    /// `k in 0..5, j in 0..3 unroll 4 { … }`, each part perhaps missing.
    fn inner_loop(&mut self, tile: &mut Tile, values: &mut Values<'t>) -> Parsed<()> {
        let mut has_unroll = self.cursor.eat_word("unroll");
        let mut is_open = !has_unroll && self.cursor.eat("{");
        while !has_unroll && !is_open {
            tile.loops.push(self.axis("in")?);
            has_unroll = self.cursor.eat_word("unroll");
            is_open = !has_unroll && self.cursor.eat("{");
            if !has_unroll && !is_open && !self.cursor.eat(",") {
                return self.cursor.error("',', unroll or '{'");
            }
        }
        if has_unroll {
            tile.unroll = self.cursor.integer("a number of iterations")?;
            self.cursor.expect("{")?;
        }
        while !self.cursor.eat("}") {
            self.inst(tile, values)?;
        }
        Ok(())
    }

    fn inst(&mut self, tile: &mut Tile, values: &mut Values<'t>) -> Parsed<()> {
        if self.cursor.eat_word("update") {
            let accumulator = self.value(values)?;
            self.cursor.expect("=")?;
            let value = self.value(values)?;
            tile.insts.push(Inst::Update { accumulator, value });
            values.dtypes.push(None);
            return Ok(());
        }
        if self.cursor.eat_word("store") {
            let store = self.store(values)?;
            tile.insts.push(store);
            values.dtypes.push(None);
            return Ok(());
        }
        if self.cursor.eat_word("prefetch") {
            let place = self.place(values)?;
            tile.insts.push(Inst::Prefetch { place });
            values.dtypes.push(None);
            return Ok(());
        }
        let (at, name) = self.cursor.marked('%', "update, store, prefetch, '}' or a value")?;
        let stated = if self.cursor.eat(":") { Some(self.dtype()?) } else { None };
        self.cursor.expect("=")?;
        let text_at = self.cursor.next_at();
        let (inst, dtype) = self.definition(stated, values)?;
        if let (Some(stated), Some(found)) = (stated, dtype)
            && stated != found
        {
            let expected = format!("one of dtype {stated}");
            return Err(self.cursor.error_for(text_at, format!("a value of {found}"), &expected));
        }
        if values.names.insert(name, ValueId(tile.insts.len() as u32)).is_some() {
            return Err(self.cursor.error_at(at, "a name that no other value has"));
        }
        tile.insts.push(inst);
        values.dtypes.push(dtype);
        Ok(())
    }

    /// What stands behind `=`, with its dtype where it has one.
    fn definition(
        &mut self,
        stated: Option<DType>,
        values: &Values<'t>,
    ) -> Parsed<(Inst, Option<DType>)> {
        if self.cursor.eat_word("load") {
            return self.load(values);
        }
        let at = self.cursor.next_at();
        let word = self.cursor.literal();
        if !self.cursor.eat("(") {
            let Some(dtype) = stated else {
                return Err(self.cursor.error_at(at, "an operation, or a dtype before a literal"));
            };
            let expected = format!("an operation or a literal of dtype {dtype}");
            let scalar = Scalar::parse(dtype, word);
            let scalar = scalar.map_err(|_| self.cursor.error_at(at, &expected))?;
            return Ok((Inst::Const(scalar), Some(dtype)));
        }
        let inst = match word {
            "index" => (Inst::Index(self.expr()?), Some(DType::I64)),
            "test" if self.cursor.eat(")") => {
                return Ok((Inst::Test(Vec::new()), Some(DType::Bool)));
            }
            "test" => (Inst::Test(self.guards()?), Some(DType::Bool)),
            "accumulator" => {
                let v = self.value(values)?;
                (Inst::Accumulator(v), values.dtypes[v.index()])
            }
            "fold_columns" => {
                let op = self.op()?;
                self.cursor.expect(",")?;
                let v = self.value(values)?;
                (Inst::FoldColumns(op, v), values.result(op, &[v, v]))
            }
            _ => {
                let op = find_op(word);
                let op = op.ok_or_else(|| self.cursor.error_at(at, "an operation"))?;
                let operands = self.operands(values)?;
                let dtype = values.result(op, &operands);
                return Ok((Inst::Apply(op, operands), dtype));
            }
        };
        self.cursor.expect(")")?;
        Ok(inst)
    }

    fn op(&mut self) -> Parsed<Op> {
        let at = self.cursor.next_at();
        let word = self.cursor.word("an operation")?;
        find_op(word).ok_or_else(|| self.cursor.error_at(at, "an operation"))
    }

    /// Values up to the closing parenthesis.
    fn operands(&mut self, values: &Values<'t>) -> Parsed<Vec<ValueId>> {
        self.cursor.list(")", |cursor| value(cursor, values))
    }

    fn value(&mut self, values: &Values<'t>) -> Parsed<ValueId> {
        value(&mut self.cursor, values)
    }

    fn load(&mut self, values: &Values<'t>) -> Parsed<(Inst, Option<DType>)> {
        let place = self.place(values)?;
        let dtype = self.kernel.buffers[place.buffer].dtype;
        let guards = if self.cursor.eat_word("if") { self.guards()? } else { Vec::new() };
        let mut fill = Scalar::zero(dtype);
        if self.cursor.eat_word("else") {
            let at = self.cursor.next_at();
            let parsed = Scalar::parse(dtype, self.cursor.literal());
            let expected = format!("a literal of dtype {dtype}");
            fill = parsed.map_err(|_| self.cursor.error_at(at, &expected))?;
        } else if !guards.is_empty() {
            return self.cursor.error("',' or else and what is read where a guard fails");
        }
        Ok((Inst::Load { place, guards, fill }, Some(dtype)))
    }

    fn store(&mut self, values: &Values<'t>) -> Parsed<Inst> {
        let place = self.place(values)?;
        self.cursor.expect("=")?;
        let value = self.value(values)?;
        let guards = if self.cursor.eat_word("if") { self.guards()? } else { Vec::new() };
        let condition = if self.cursor.eat_word("when") { Some(self.value(values)?) } else { None };
        Ok(Inst::Store { place, guards, condition, value })
    }

    /// `%x[4*r + c; %3 * 128]`.
    fn place(&mut self, values: &Values<'t>) -> Parsed<Place> {
        let (at, name) = self.cursor.marked('%', "a buffer")?;
        let Some(&buffer) = self.buffers.get(name) else {
            return Err(self.cursor.error_at(at, "a buffer of the kernel"));
        };
        self.cursor.expect("[")?;
        let index = self.expr()?;
        let mut dynamic = Vec::new();
        if self.cursor.eat(";") {
            dynamic = self.cursor.list("]", |cursor| {
                let v = value(cursor, values)?;
                cursor.expect("*")?;
                Ok((v, cursor.integer("a stride")?))
            })?;
        } else {
            self.cursor.expect("]")?;
        }
        Ok(Place { buffer, index, dynamic })
    }

    /// `0 <= r < 4, 0 <= c < 7`, at least one.
    fn guards(&mut self) -> Parsed<Vec<Guard>> {
        let mut out = Vec::new();
        loop {
            self.cursor.expect("0")?;
            self.cursor.expect("<=")?;
            let expr = self.expr()?;
            self.cursor.expect("<")?;
            out.push(Guard { expr, extent: self.cursor.integer("an extent")? });
            if !self.cursor.eat(",") {
                return Ok(out);
            }
        }
    }

    fn expr(&mut self) -> Parsed<IndexExpr> {
        let axes = &self.axes;
        self.cursor.expr(&|name| axes.get(name).copied(), MAX_DEPTH)
    }
}

impl Values<'_> {
    /// The dtype of an operation's result where the operands fit; the verifier finds the others.
    fn result(&self, op: Op, operands: &[ValueId]) -> Option<DType> {
        let dtypes: Option<Vec<DType>> = operands.iter().map(|v| self.dtypes[v.index()]).collect();
        op.result_dtype(&dtypes?).ok()
    }
}

fn value<'t>(cursor: &mut Cursor<'t>, values: &Values<'t>) -> Parsed<ValueId> {
    let (at, name) = cursor.marked('%', "a value")?;
    let known = values.names.get(name).copied();
    known.ok_or_else(|| cursor.error_at(at, "a value defined above"))
}

/// The operation of a name such as `fma` or `cast.f32`.
fn find_op(text: &str) -> Option<Op> {
    match text.split_once('.') {
        None => Op::ALL.iter().copied().find(|op| op.name() == text),
        Some(("cast", dtype)) => dtype.parse().ok().map(Op::Cast),
        Some(("bitcast", dtype)) => dtype.parse().ok().map(Op::Bitcast),
        Some(_) => None,
    }
}
