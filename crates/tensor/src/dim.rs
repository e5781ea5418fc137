//! Symbolic dimensions: normalised integer expressions over symbols.
//!
//! A dimension is a sum of products of atoms with integer coefficients; an atom is a symbol or a
//! floor division that does not simplify. Equal expressions have equal representations.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

/// A factor that does not simplify further.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
enum Atom {
    Symbol(Arc<str>),
    FloorDiv(Box<Dim>, Box<Dim>),
}

/// An extent: an integer expression over symbols such as `B` and `T`.
///
/// Arithmetic saturates at the limits of `i64`; the verifier refuses extents that large.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Dim {
    constant: i64,
    /// Products (sorted atoms) with their non-zero coefficients.
    terms: Vec<(Vec<Atom>, i64)>,
}

/// The values of symbols.
pub type Bindings = BTreeMap<Arc<str>, usize>;

impl Dim {
    /// The dimension named `name`.
    pub fn symbol(name: &str) -> Dim {
        Dim { constant: 0, terms: vec![(vec![Atom::Symbol(name.into())], 1)] }
    }

    /// The value, where no symbol is left and it is not negative.
    pub fn as_const(&self) -> Option<usize> {
        self.terms.is_empty().then(|| usize::try_from(self.constant).ok())?
    }

    /// The value, where no symbol is left; it may be negative.
    pub fn as_i64(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// Whether it is a sum of terms none of which can be negative, symbols being extents.
    ///
    /// An expression for which this is false may still never be negative.
    pub fn has_no_negative_term(&self) -> bool {
        let atom = |atom: &Atom| match atom {
            Atom::Symbol(_) => true,
            Atom::FloorDiv(a, b) => a.has_no_negative_term() && b.has_no_negative_term(),
        };
        self.constant >= 0 && self.terms.iter().all(|(atoms, c)| *c >= 0 && atoms.iter().all(atom))
    }

    /// The name, where this is a single symbol.
    pub fn as_symbol(&self) -> Option<&Arc<str>> {
        match (self.constant, self.terms.as_slice()) {
            (0, [(atoms, 1)]) => match atoms.as_slice() {
                [Atom::Symbol(name)] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// `⌊self / divisor⌋`; `None` when the divisor is the constant 0.
    pub fn floor_div(&self, divisor: &Dim) -> Option<Dim> {
        if let Some(d) = divisor.as_i64() {
            if d == 0 {
                return None;
            }
            if self.terms.iter().all(|(_, c)| c % d == 0) {
                let terms = self.terms.iter().map(|(m, c)| (m.clone(), c / d)).collect();
                return Some(Dim { constant: floor_div(self.constant, d), terms });
            }
        }
        if self == divisor {
            return Some(Dim::from(1));
        }
        if let Some(quotient) = self.divide_monomial(divisor) {
            return Some(quotient);
        }
        let atom = Atom::FloorDiv(Box::new(self.clone()), Box::new(divisor.clone()));
        Some(Dim { constant: 0, terms: vec![(vec![atom], 1)] })
    }

    /// Exact division by a single product, such as `12·B·T / (4·T) = 3·B`.
    fn divide_monomial(&self, divisor: &Dim) -> Option<Dim> {
        let (0, [(by, coefficient)]) = (divisor.constant, divisor.terms.as_slice()) else {
            return None;
        };
        let mut out = Dim::default();
        if self.constant != 0 {
            return None;
        }
        for (atoms, c) in &self.terms {
            let mut rest = atoms.clone();
            for atom in by {
                let at = rest.iter().position(|a| a == atom)?;
                rest.remove(at);
            }
            if c % coefficient != 0 {
                return None;
            }
            out.add_term(rest, c / coefficient);
        }
        Some(out)
    }

    fn add_term(&mut self, atoms: Vec<Atom>, coefficient: i64) {
        if atoms.is_empty() {
            self.constant = self.constant.saturating_add(coefficient);
            return;
        }
        match self.terms.binary_search_by(|(m, _)| m.cmp(&atoms)) {
            Ok(at) => {
                let sum = self.terms[at].1.saturating_add(coefficient);
                if sum == 0 {
                    self.terms.remove(at);
                } else {
                    self.terms[at].1 = sum;
                }
            }
            Err(at) if coefficient != 0 => self.terms.insert(at, (atoms, coefficient)),
            Err(_) => {}
        }
    }

    /// Replaces bound symbols by their values.
    pub fn bind(&self, bindings: &Bindings) -> Dim {
        let mut out = Dim::from(self.constant);
        for (atoms, coefficient) in &self.terms {
            let mut product = Dim::from(*coefficient);
            for atom in atoms {
                product = &product * &atom.bind(bindings);
            }
            out = &out + &product;
        }
        out
    }

    /// Adds the names of all symbols in this expression to `out`.
    pub fn collect_symbols(&self, out: &mut BTreeSet<Arc<str>>) {
        for atom in self.terms.iter().flat_map(|(atoms, _)| atoms) {
            match atom {
                Atom::Symbol(name) => {
                    out.insert(name.clone());
                }
                Atom::FloorDiv(a, b) => {
                    a.collect_symbols(out);
                    b.collect_symbols(out);
                }
            }
        }
    }
}

impl Atom {
    fn bind(&self, bindings: &Bindings) -> Dim {
        match self {
            Atom::Symbol(name) => match bindings.get(name) {
                Some(&value) => Dim::from(value),
                None => Dim::symbol(name),
            },
            Atom::FloorDiv(a, b) => a
                .bind(bindings)
                .floor_div(&b.bind(bindings))
                .unwrap_or_else(|| Dim { constant: 0, terms: vec![(vec![self.clone()], 1)] }),
        }
    }
}

/// `⌊a / b⌋` for any signs; `b` is not 0.
pub fn floor_div(a: i64, b: i64) -> i64 {
    let quotient = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && ((a < 0) != (b < 0)) { quotient - 1 } else { quotient }
}

impl From<i64> for Dim {
    fn from(constant: i64) -> Dim {
        Dim { constant, terms: Vec::new() }
    }
}

impl From<usize> for Dim {
    fn from(constant: usize) -> Dim {
        Dim::from(i64::try_from(constant).unwrap_or(i64::MAX))
    }
}

impl From<i32> for Dim {
    fn from(constant: i32) -> Dim {
        Dim::from(i64::from(constant))
    }
}

impl From<&str> for Dim {
    /// A symbol; for expressions use the text form's parser.
    fn from(name: &str) -> Dim {
        Dim::symbol(name)
    }
}

impl std::ops::Add for &Dim {
    type Output = Dim;
    fn add(self, other: &Dim) -> Dim {
        let mut out = self.clone();
        out.constant = out.constant.saturating_add(other.constant);
        for (atoms, coefficient) in &other.terms {
            out.add_term(atoms.clone(), *coefficient);
        }
        out
    }
}

impl std::ops::Mul for &Dim {
    type Output = Dim;
    fn mul(self, other: &Dim) -> Dim {
        let mut out = Dim::default();
        let parts = |d: &Dim| {
            let constant = (d.constant != 0).then(|| (Vec::new(), d.constant));
            d.terms.iter().cloned().chain(constant).collect::<Vec<_>>()
        };
        for (a, x) in parts(self) {
            for (b, y) in parts(other) {
                let mut atoms = [a.as_slice(), b.as_slice()].concat();
                atoms.sort();
                out.add_term(atoms, x.saturating_mul(y));
            }
        }
        out
    }
}

impl std::ops::Sub for &Dim {
    type Output = Dim;
    fn sub(self, other: &Dim) -> Dim {
        self + &(&Dim::from(-1) * other)
    }
}

macro_rules! by_value {
    ($($trait:ident $method:ident;)*) => { $(
        impl std::ops::$trait for Dim {
            type Output = Dim;
            fn $method(self, other: Dim) -> Dim { (&self).$method(&other) }
        }
    )* };
}
by_value! { Add add; Sub sub; Mul mul; }

impl std::iter::Sum for Dim {
    fn sum<I: Iterator<Item = Dim>>(iter: I) -> Dim {
        iter.fold(Dim::default(), |a, b| &a + &b)
    }
}

impl std::iter::Product for Dim {
    fn product<I: Iterator<Item = Dim>>(iter: I) -> Dim {
        iter.fold(Dim::from(1), |a, b| &a * &b)
    }
}

impl PartialEq<usize> for Dim {
    fn eq(&self, other: &usize) -> bool {
        self.as_const() == Some(*other)
    }
}

impl fmt::Display for Dim {
    /// Writes `2*B*T + 3`, with `floordiv(a, b)` for divisions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (atoms, coefficient) in &self.terms {
            match (first, *coefficient < 0) {
                (true, true) => f.write_str("-")?,
                (true, false) => {}
                (false, true) => f.write_str(" - ")?,
                (false, false) => f.write_str(" + ")?,
            }
            first = false;
            if coefficient.unsigned_abs() != 1 {
                write!(f, "{}*", coefficient.unsigned_abs())?;
            }
            for (k, atom) in atoms.iter().enumerate() {
                if k > 0 {
                    f.write_str("*")?;
                }
                match atom {
                    Atom::Symbol(name) => f.write_str(name)?,
                    Atom::FloorDiv(a, b) => write!(f, "floordiv({a}, {b})")?,
                }
            }
        }
        match (first, self.constant) {
            (true, c) => write!(f, "{c}"),
            (false, 0) => Ok(()),
            (false, c) if c < 0 => write!(f, " - {}", c.unsigned_abs()),
            (false, c) => write!(f, " + {c}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_have_one_form() {
        let (b, t) = (Dim::symbol("B"), Dim::symbol("T"));
        assert_eq!(&(&b + &t) - &b, t);
        assert_eq!(&b * &t, &t * &b);
        assert_eq!((&b - &b).as_const(), Some(0));
    }

    #[test]
    fn division_simplifies_where_exact() {
        let (b, t) = (Dim::symbol("B"), Dim::symbol("T"));
        let product = &(&b * &t) * &Dim::from(12);
        assert_eq!(product.floor_div(&(&t * &Dim::from(4))), Some(&b * &Dim::from(3)));
        let odd = (&b + &Dim::from(1)).floor_div(&Dim::from(2)).unwrap();
        assert_eq!(odd.to_string(), "floordiv(B + 1, 2)");
        assert_eq!(odd.bind(&Bindings::from([("B".into(), 6)])).as_const(), Some(3));
        assert_eq!(Dim::from(7).floor_div(&Dim::from(0)), None);
    }

    #[test]
    fn huge_products_saturate() {
        let huge = Dim::from(i64::MAX);
        assert_eq!((&huge * &huge).as_i64(), Some(i64::MAX));
    }
}
