//! Virtual instructions: those of the machine over unlimited registers.

use tracelift_loops::AxisId;

/// A virtual register.
pub(super) type V = u32;

/// The kind of register a value needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Vector,
    /// A mask register of AVX-512; AVX2 keeps masks in vectors.
    Mask,
}

/// A place in memory: so many bytes after a stream's pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) stream: usize,
    pub(super) offset: i32,
}

/// The operand of an instruction that may lie in memory.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Source {
    Register(V),
    /// A whole vector.
    Vector(Address),
    /// One element for all lanes.
    Splat(Address),
    /// A 32-bit literal in all lanes.
    Literal(u32),
    /// A 64-bit literal in all pairs of lanes.
    WideLiteral(u64),
}

/// Operations of one operand; those named wide are over lanes of 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum One {
    Sqrt,
    /// Rounds by the immediate of `vroundps`: 0 to nearest, 1 down, 2 up, 3 towards zero.
    Round(u8),
    AbsInt,
    ToInt,
    FromInt,
    FromUnsigned,
    ShiftLeft(u8),
    ShiftRight(u8),
    ShiftRightSigned(u8),
    SqrtWide,
    RoundWide(u8),
    ShiftLeftWide(u8),
    ShiftRightWide(u8),
}

/// Operations of two operands; those named wide are over lanes of 64 bits, those named long over
/// integers in such lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Two {
    Add,
    Sub,
    Mul,
    Div,
    /// The second where the operands are equal or either is NaN.
    Min,
    /// The second where the operands are equal or either is NaN.
    Max,
    And,
    Or,
    Xor,
    AddInt,
    SubInt,
    MulInt,
    MinInt,
    MaxInt,
    MinUnsigned,
    MaxUnsigned,
    AddWide,
    SubWide,
    MulWide,
    DivWide,
    MinWide,
    MaxWide,
    AndWide,
    OrWide,
    XorWide,
    AddLong,
    SubLong,
}

impl Two {
    pub(super) fn commutes(self) -> bool {
        !matches!(
            self,
            Two::Sub | Two::SubInt | Two::Div | Two::Min | Two::Max | Two::SubWide | Two::SubLong
        ) && !matches!(self, Two::DivWide | Two::MinWide | Two::MaxWide)
    }
}

/// Ways of putting lanes of two vectors together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shuffle {
    /// In each 128 bits, the two low lanes of both vectors in turn.
    UnpackLow,
    /// The two high lanes.
    UnpackHigh,
    /// In each 128 bits, the low pair of lanes of each vector.
    UnpackLowPairs,
    /// The high pairs.
    UnpackHighPairs,
    /// The even ones of the first vector's parts of 128 bits, then those of the second.
    EvenParts,
    /// The odd ones.
    OddParts,
    /// The lower half of each vector.
    Halves,
}

/// Operations over masks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MaskTwo {
    And,
    Or,
    Xor,
}

/// What a comparison compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compared {
    Float,
    Signed,
    Unsigned,
    WideFloat,
    WideInteger,
}

/// What lanes hold that become twice as wide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    Signed,
    Float,
}

/// Comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Either is NaN.
    Unordered,
}

/// The lower or upper lanes of a vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Half {
    Low,
    High,
}

/// Why a line is fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fetch {
    /// It is about to be read.
    Read,
    /// It is about to be written.
    Write,
    /// It will be read later, and is to lie in the second-level cache until then.
    Ahead,
}

/// One virtual instruction.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum VInst {
    One {
        op: One,
        to: V,
        a: Source,
    },
    Two {
        op: Two,
        to: V,
        a: V,
        b: Source,
    },
    /// `x · y + z`; at most one of `y` and `z` is no register.
    Fma {
        to: V,
        x: V,
        y: Source,
        z: Source,
        is_wide: bool,
    },
    Compare {
        what: Compared,
        relation: Relation,
        to: V,
        a: V,
        b: Source,
    },
    /// `x` where the mask is set, else `y`.
    Choose {
        to: V,
        mask: V,
        x: Source,
        y: V,
        is_wide: bool,
    },
    MaskTwo {
        op: MaskTwo,
        to: V,
        a: V,
        b: V,
    },
    Shuffle {
        how: Shuffle,
        to: V,
        a: V,
        b: V,
    },
    MaskNot {
        to: V,
        a: V,
    },
    Move {
        to: V,
        from: V,
    },
    /// The vector whose lanes are `distance` apart, exchanged.
    Exchange {
        to: V,
        a: V,
        distance: usize,
    },
    Load {
        to: V,
        from: Address,
        mask: Option<V>,
    },
    Splat {
        to: V,
        from: Address,
    },
    /// So many bytes, each as a number of 32 bits; 0 in other lanes.
    LoadBytes {
        to: V,
        from: Address,
        lanes: usize,
        /// The lanes as a mask, where they are not all.
        mask: Option<V>,
    },
    /// A byte in all bytes of all lanes.
    SplatByte {
        to: V,
        from: Address,
    },
    /// The low 32 bits of an address itself in all lanes.
    Coordinate {
        to: V,
        of: Address,
    },
    Literal {
        to: V,
        bits: u32,
    },
    WideLiteral {
        to: V,
        bits: u64,
    },
    /// `first + k · step` in lane `k`.
    Ramp {
        to: V,
        first: i32,
        step: i32,
    },
    /// A half of the lanes, each in 64 bits.
    Widen {
        to: V,
        a: V,
        half: Half,
        number: Number,
    },
    /// Floats of 64 bits as such of 32, in the lower half.
    Narrow {
        to: V,
        a: V,
    },
    /// The mask of the first lanes.
    Tail {
        to: V,
        lanes: usize,
    },
    Store {
        to: Address,
        from: V,
        mask: Option<V>,
    },
    /// Stores the first lane, of 32 bits or of 64.
    StoreOne {
        to: Address,
        from: V,
        is_wide: bool,
    },
    /// Fetches the cache line of a place.
    Prefetch {
        at: Address,
        kind: Fetch,
    },
    /// Starts a loop over an axis.
    LoopStart {
        axis: AxisId,
        trips: usize,
    },
    /// Ends the innermost loop open; each trip moves the axis by `step`.
    LoopEnd {
        axis: AxisId,
        step: usize,
    },
    /// Moves the streams of an axis back to its start after so many steps.
    Rewind {
        axis: AxisId,
        steps: usize,
    },
}

impl VInst {
    /// The register written.
    pub(super) fn def(&self) -> Option<V> {
        use VInst::*;
        match self {
            One { to, .. } | Two { to, .. } | Fma { to, .. } | Compare { to, .. } => Some(*to),
            Choose { to, .. } | MaskTwo { to, .. } | MaskNot { to, .. } => Some(*to),
            Move { to, .. } | Exchange { to, .. } | Shuffle { to, .. } | Load { to, .. } => {
                Some(*to)
            }
            Splat { to, .. } | Literal { to, .. } | Tail { to, .. } => Some(*to),
            LoadBytes { to, .. } | SplatByte { to, .. } => Some(*to),
            Coordinate { to, .. } | Ramp { to, .. } | Widen { to, .. } => Some(*to),
            WideLiteral { to, .. } | Narrow { to, .. } => Some(*to),
            Store { .. } | StoreOne { .. } | Prefetch { .. } => None,
            LoopStart { .. } | LoopEnd { .. } | Rewind { .. } => None,
        }
    }

    /// Calls `f` on every register.
    pub(super) fn registers(&mut self, f: &mut dyn FnMut(&mut V)) {
        use VInst::*;
        fn source(s: &mut Source, f: &mut dyn FnMut(&mut V)) {
            if let Source::Register(v) = s {
                f(v);
            }
        }
        match self {
            One { a, .. } => source(a, f),
            Two { a, b, .. } | Compare { a, b, .. } => {
                f(a);
                source(b, f);
            }
            Fma { x, y, z, .. } => {
                f(x);
                source(y, f);
                source(z, f);
            }
            Choose { mask, x, y, .. } => {
                f(mask);
                source(x, f);
                f(y);
            }
            MaskTwo { a, b, .. } => {
                f(a);
                f(b);
            }
            Shuffle { a, b, .. } => {
                f(a);
                f(b);
            }
            MaskNot { a, .. } | Exchange { a, .. } => f(a),
            Widen { a, .. } | Narrow { a, .. } => f(a),
            Move { from, .. } => f(from),
            Load { mask, .. } | LoadBytes { mask, .. } => mask.iter_mut().for_each(&mut *f),
            Store { from, mask, .. } => {
                f(from);
                mask.iter_mut().for_each(&mut *f);
            }
            StoreOne { from, .. } => f(from),
            Splat { .. } | Literal { .. } | Tail { .. } | Prefetch { .. } => {}
            Coordinate { .. } | Ramp { .. } | WideLiteral { .. } | SplatByte { .. } => {}
            LoopStart { .. } | LoopEnd { .. } | Rewind { .. } => {}
        }
        match self {
            One { to, .. } | Two { to, .. } | Fma { to, .. } | Compare { to, .. } => {
                f(to);
            }
            Choose { to, .. } | MaskTwo { to, .. } | MaskNot { to, .. } => f(to),
            Move { to, .. } | Exchange { to, .. } | Shuffle { to, .. } | Load { to, .. } => f(to),
            Splat { to, .. } | Literal { to, .. } | Tail { to, .. } => f(to),
            LoadBytes { to, .. } | SplatByte { to, .. } => f(to),
            Coordinate { to, .. } | Ramp { to, .. } | Widen { to, .. } => f(to),
            WideLiteral { to, .. } | Narrow { to, .. } => f(to),
            Store { .. } | StoreOne { .. } | Prefetch { .. } => {}
            LoopStart { .. } | LoopEnd { .. } | Rewind { .. } => {}
        }
    }

    /// The registers read.
    pub(super) fn reads(&self) -> impl Iterator<Item = V> + use<> {
        use VInst::*;
        let source = |s: &Source| match s {
            Source::Register(v) => Some(*v),
            _ => None,
        };
        let list = match self {
            One { a, .. } => [source(a), None, None],
            Two { a, b, .. } | Compare { a, b, .. } => [Some(*a), source(b), None],
            Fma { x, y, z, .. } => [Some(*x), source(y), source(z)],
            Choose { mask, x, y, .. } => [Some(*mask), source(x), Some(*y)],
            MaskTwo { a, b, .. } => [Some(*a), Some(*b), None],
            Shuffle { a, b, .. } => [Some(*a), Some(*b), None],
            MaskNot { a, .. } | Exchange { a, .. } => [Some(*a), None, None],
            Widen { a, .. } | Narrow { a, .. } => [Some(*a), None, None],
            Move { from, .. } | StoreOne { from, .. } => [Some(*from), None, None],
            Load { mask, .. } | LoadBytes { mask, .. } => [*mask, None, None],
            Store { from, mask, .. } => [Some(*from), *mask, None],
            Splat { .. } | Literal { .. } | Tail { .. } | Prefetch { .. } => [None; 3],
            Coordinate { .. } | Ramp { .. } | WideLiteral { .. } | SplatByte { .. } => [None; 3],
            LoopStart { .. } | LoopEnd { .. } | Rewind { .. } => [None; 3],
        };
        list.into_iter().flatten()
    }
}

/// The program of one tile.
#[derive(Default)]
pub(super) struct VProgram {
    pub(super) insts: Vec<VInst>,
    /// The class of each register.
    pub(super) classes: Vec<Class>,
}

impl VProgram {
    pub(super) fn register(&mut self, class: Class) -> V {
        self.classes.push(class);
        self.classes.len() as V - 1
    }
}
