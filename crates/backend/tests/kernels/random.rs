//! Random kernels and data, reproducible from a seed.

use tracelift_loops::{AxisId, BufferKind, Inst, Kernel, Place, Stmt, Tile, ValueId};
use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

/// A generator of numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A number of a dtype; often one where something special happens.
    pub fn scalar(&mut self, dtype: DType) -> Scalar {
        let special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            2.5,
            -3.5,
            0.5,
            1e-40,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -2147483649.0,
            4294967296.0,
            9.3e18,
            -7.0,
            255.5,
        ];
        match (dtype.is_float(), self.below(4)) {
            (true, 0) => Scalar::from_f64(dtype, (self.below(2001) as f64 - 1000.0) / 64.0),
            (true, 1) => Scalar::from_bits(dtype, self.next()),
            (true, _) => Scalar::from_f64(dtype, self.pick(&special)),
            (false, 0) => Scalar::from_bits(dtype, self.next()),
            (false, 1) => self.pick(&[Scalar::lowest(dtype), Scalar::highest(dtype)]),
            (false, _) => Scalar::from_i64(dtype, self.below(9) as i64 - 4),
        }
    }

    pub fn bytes(&mut self, dtype: DType, n: usize) -> Vec<u8> {
        let size = dtype.size_bytes();
        (0..n).flat_map(|_| self.scalar(dtype).to_bits().to_le_bytes()[..size].to_vec()).collect()
    }
}

/// The elements of a buffer that only serves as an index into `TABLE` elements.
pub const TABLE: usize = 7;

/// A kernel being made up.
pub struct Maker<'r> {
    pub random: &'r mut Random,
    pub kernel: Kernel,
    scope: Vec<AxisId>,
    insts: Vec<Inst>,
    dtypes: Vec<DType>,
    choice: Vec<DType>,
    /// Whether every access is contiguous and unconditional, as the tile assembler wants it.
    plain: bool,
}

/// A random kernel whose places are in bounds; buffers named `index` hold `i64` below [`TABLE`].
pub fn kernel(random: &mut Random) -> Kernel {
    let plain = random.chance(40);
    let all: &[&[DType]] = &[
        &[DType::F32, DType::Bool],
        &[DType::F32, DType::I32, DType::U32, DType::Bool],
        &[DType::F64, DType::Bool],
        &[DType::F64, DType::I64, DType::U64, DType::Bool],
        &[DType::I8, DType::U8, DType::I16, DType::U16],
        &DType::ALL,
    ];
    let choice = match plain {
        true => vec![DType::F32, DType::F32, DType::I32, DType::U32, DType::Bool],
        false => random.pick(all).to_vec(),
    };
    let kernel = Kernel { name: "random".into(), ..Kernel::default() };
    let scope = Vec::new();
    let mut m =
        Maker { random, kernel, scope, insts: Vec::new(), dtypes: Vec::new(), choice, plain };
    for k in 0..m.random.below(3) {
        let axis = m.axis(&format!("g{k}"), 4);
        m.kernel.grid.push(axis);
    }
    let outer = m.random.chance(50).then(|| m.axis("f", 4));
    let tile = m.tile();
    let mut body = vec![Stmt::Tile(tile)];
    if m.random.chance(20) && !m.scope.is_empty() {
        let expr = IndexExpr::axis(m.scope[0]).offset(-1);
        body = vec![Stmt::If { guards: vec![Guard { expr, extent: 2 }], body }];
        if outer.is_none() && m.kernel.grid.is_empty() {
            body = match body.pop() {
                Some(Stmt::If { body, .. }) => body,
                _ => unreachable!("the condition was just made"),
            };
        }
    }
    if let Some(axis) = outer {
        body = vec![Stmt::For { axis, body }];
    }
    m.kernel.body = body;
    m.kernel
}

impl Maker<'_> {
    fn axis(&mut self, name: &str, most: usize) -> AxisId {
        let extent = 1 + self.random.below(most);
        let axis = self.kernel.add_axis(name, extent);
        self.scope.push(axis);
        axis
    }

    fn push(&mut self, inst: Inst, dtype: DType) -> ValueId {
        self.insts.push(inst);
        self.dtypes.push(dtype);
        ValueId(self.insts.len() as u32 - 1)
    }

    fn tile(&mut self) -> Tile {
        let outer = self.scope.clone();
        let rows = self.axis("r", 6);
        let columns = self.axis("c", if self.plain { 70 } else { 17 });
        let tile_scope = self.scope.clone();
        for _ in 0..1 + self.random.below(4) {
            self.value();
        }
        let mut accumulators = Vec::new();
        for _ in 0..self.random.below(3) {
            let v = self.any();
            let dtype = self.dtypes[v.index()];
            accumulators.push(self.push(Inst::Accumulator(v), dtype));
        }
        let n_init = self.insts.len();
        let loops: Vec<AxisId> =
            (0..self.random.below(3)).map(|k| self.axis(&format!("l{k}"), 9)).collect();
        for _ in 0..self.random.below(6) {
            self.value();
        }
        for &accumulator in &accumulators {
            self.update(accumulator);
        }
        let n_body = self.insts.len() - n_init;
        let known = self.body_values(n_init, n_init + n_body);
        self.scope = tile_scope;
        for _ in 0..self.random.below(3) {
            self.value_from(&known);
        }
        let mut values: Vec<ValueId> = known.clone();
        values.extend((n_init + n_body..self.insts.len()).map(|k| ValueId(k as u32)));
        if self.random.chance(40) {
            let v = values[self.random.below(values.len())];
            let dtype = self.dtypes[v.index()];
            let op = if dtype.is_float() { Op::Max } else { Op::Add };
            if dtype != DType::Bool {
                values.push(self.push(Inst::FoldColumns(op, v), dtype));
            }
        }
        let unroll = 1 + self.random.below(4);
        if self.plain {
            values.retain(|v| self.dtypes[v.index()] != DType::Bool);
            if values.is_empty() {
                values.push(self.load());
            }
        }
        for k in 0..1 + self.random.below(2) {
            let from_end = values.len() - 1 - self.random.below(values.len().min(2 + k));
            let conditions: Vec<ValueId> =
                values.iter().copied().filter(|v| self.dtypes[v.index()] == DType::Bool).collect();
            self.store(values[from_end], &conditions, k);
        }
        self.scope = outer;
        let insts = std::mem::take(&mut self.insts);
        Tile { rows, columns, loops, unroll, insts, n_init, n_body }
    }

    /// The values that may be used after the body.
    fn body_values(&self, begin: usize, end: usize) -> Vec<ValueId> {
        (0..self.insts.len())
            .filter(|k| !(begin..end).contains(k))
            .map(|k| ValueId(k as u32))
            .collect()
    }

    fn any(&mut self) -> ValueId {
        loop {
            let k = self.random.below(self.insts.len());
            if !matches!(self.insts[k], Inst::Update { .. } | Inst::Store { .. }) {
                return ValueId(k as u32);
            }
        }
    }

    fn value(&mut self) -> ValueId {
        let known: Vec<ValueId> = (0..self.insts.len()).map(|k| ValueId(k as u32)).collect();
        self.value_from(&known)
    }

    fn value_from(&mut self, known: &[ValueId]) -> ValueId {
        let usable: Vec<ValueId> = known
            .iter()
            .copied()
            .filter(|v| !matches!(self.insts[v.index()], Inst::Update { .. } | Inst::Store { .. }))
            .collect();
        match self.random.below(10) {
            0 => {
                let dtype = self.random.pick(&self.choice);
                let scalar = self.random.scalar(dtype);
                self.push(Inst::Const(scalar), dtype)
            }
            1 if self.choice.contains(&DType::I64) => {
                let expr = self.index().0;
                self.push(Inst::Index(expr), DType::I64)
            }
            1 if self.plain => {
                let expr = self.index().0;
                let index = self.push(Inst::Index(expr), DType::I64);
                let to = self.random.pick(&[DType::F32, DType::I32, DType::U32]);
                self.push(Inst::Apply(Op::Cast(to), vec![index]), to)
            }
            2 if self.choice.contains(&DType::Bool) && !self.plain => {
                let guards = self.guards();
                self.push(Inst::Test(guards), DType::Bool)
            }
            3..=6 if !usable.is_empty() => self.apply(&usable),
            _ => self.load(),
        }
    }

    /// An index expression over the axes in scope, at least 0, and its largest value.
    fn index(&mut self) -> (IndexExpr, i64) {
        let extents = self.kernel.extents();
        let mut expr = IndexExpr::constant(self.random.below(3) as i64);
        for axis in self.scope.clone() {
            let is_column = self.kernel.axes[axis].name == "c";
            let by = match is_column && self.plain {
                true => self.random.pick(&[0, 1, 1]),
                false => self.random.pick(&[0, 0, 1, 1, 1, 2, 5, -1]),
            };
            expr = expr.add(&IndexExpr::axis(axis).scale(by));
        }
        expr = match self.random.below(8) {
            _ if self.plain => expr,
            0 => expr.div(3, &extents),
            1 => expr.rem(4, &extents),
            2 => expr.div(2, &extents).add(&expr.rem(8, &extents)),
            _ => expr,
        };
        let (low, _) = expr.bounds(&extents);
        let expr = expr.offset(-low.min(0));
        let high = expr.bounds(&extents).1;
        (expr, high)
    }

    fn guards(&mut self) -> Vec<Guard> {
        (0..1 + self.random.below(2))
            .map(|_| {
                let (expr, high) = self.index();
                let expr = expr.offset(-(self.random.below(3) as i64));
                Guard { expr, extent: 1 + self.random.below(high as usize + 2) as i64 }
            })
            .collect()
    }

    fn load(&mut self) -> ValueId {
        let dtype = match self.random.pick(&self.choice) {
            DType::Bool if self.plain => DType::F32,
            dtype => dtype,
        };
        let fill = self.random.scalar(dtype);
        let (index, high) = self.index();
        let mut len = high as usize + 1;
        let mut guards = Vec::new();
        if !self.plain && self.random.chance(30) && len > 1 {
            // The buffer ends where the guard does.
            len = 1 + self.random.below(len);
            guards.push(Guard { expr: index.clone(), extent: len as i64 });
            if self.random.chance(50) {
                guards.extend(self.guards());
            }
        }
        let mut dynamic = Vec::new();
        if self.choice.contains(&DType::I64) && self.random.chance(30) {
            let (at, high) = self.index();
            let indices =
                self.kernel.add_buffer("index", DType::I64, high as usize + 1, BufferKind::Input);
            let place = Place { buffer: indices, index: at, dynamic: Vec::new() };
            let fill = Scalar::zero(DType::I64);
            let at = self.push(Inst::Load { place, guards: Vec::new(), fill }, DType::I64);
            dynamic.push((at, 3));
            len += 3 * (TABLE - 1);
        }
        let buffer = self.kernel.add_buffer("x", dtype, len, BufferKind::Input);
        let place = Place { buffer, index, dynamic };
        self.push(Inst::Load { place, guards, fill }, dtype)
    }

    fn apply(&mut self, usable: &[ValueId]) -> ValueId {
        let first = usable[self.random.below(usable.len())];
        let dtype = self.dtypes[first.index()];
        let to = self.random.pick(&self.choice);
        let mut ops: Vec<Op> = Op::ALL.iter().copied().filter(|op| op.is_basic(dtype)).collect();
        ops.extend([Op::Cast(to), Op::Cast(to), Op::Bitcast(to)]);
        loop {
            let op = self.random.pick(&ops);
            let like = |v: &&ValueId| self.dtypes[v.index()] == dtype;
            let alike: Vec<ValueId> = usable.iter().filter(like).copied().collect();
            let mut operands = vec![first];
            while operands.len() < op.arity() {
                operands.push(self.random.pick(&alike));
            }
            let bools: Vec<ValueId> =
                usable.iter().filter(|v| self.dtypes[v.index()] == DType::Bool).copied().collect();
            if op == Op::Select && !bools.is_empty() {
                operands[0] = self.random.pick(&bools);
                operands[1] = first;
            }
            let dtypes: Vec<DType> = operands.iter().map(|v| self.dtypes[v.index()]).collect();
            if let Ok(result) = op.result_dtype(&dtypes)
                && self.choice.contains(&result)
            {
                return self.push(Inst::Apply(op, operands), result);
            }
        }
    }

    fn update(&mut self, accumulator: ValueId) {
        let dtype = self.dtypes[accumulator.index()];
        let alike: Vec<ValueId> = (0..self.insts.len() as u32)
            .map(ValueId)
            .filter(|v| self.dtypes[v.index()] == dtype)
            .filter(|v| !matches!(self.insts[v.index()], Inst::Update { .. }))
            .collect();
        let other = self.random.pick(&alike);
        let op = if dtype == DType::Bool { Op::Xor } else { self.random.pick(&[Op::Add, Op::Max]) };
        let value = self.push(Inst::Apply(op, vec![accumulator, other]), dtype);
        self.push(Inst::Update { accumulator, value }, DType::Bool);
    }

    /// Stores a value at the row-major position of all axes in scope.
    fn store(&mut self, value: ValueId, conditions: &[ValueId], k: usize) {
        let (mut value, mut dtype) = (value, self.dtypes[value.index()]);
        if self.plain && dtype == DType::I32 && self.random.chance(30) {
            dtype = DType::I64;
            value = self.push(Inst::Apply(Op::Cast(dtype), vec![value]), dtype);
        }
        let mut index = IndexExpr::default();
        let mut len = 1;
        for &axis in &self.scope {
            let extent = self.kernel.axes[axis].extent;
            index = index.scale(extent as i64).add(&IndexExpr::axis(axis));
            len *= extent;
        }
        let guards = if !self.plain && self.random.chance(30) { self.guards() } else { Vec::new() };
        let buffer = self.kernel.add_buffer(&format!("y{k}"), dtype, len, BufferKind::Output);
        let condition = (!self.plain && self.random.chance(30) && !conditions.is_empty())
            .then(|| self.random.pick(conditions));
        let place = Place { buffer, index, dynamic: Vec::new() };
        self.push(Inst::Store { place, guards, condition, value }, DType::Bool);
    }
}
