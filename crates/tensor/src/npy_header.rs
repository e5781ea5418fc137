//! The header of one `.npy` array: its text form, read and written.
//!
//! Format: numpy's `numpy/lib/_format_impl.py`, versions 1.0 to 3.0.

use std::fmt::Write;

use crate::{DType, MAX_RANK, checked_count};

/// What a header says about the elements after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NpyHeader {
    pub dtype: DType,
    /// The extents in the order of the array's axes, whatever the storage order.
    pub shape: Vec<usize>,
    /// Whether the first axis varies fastest.
    pub is_fortran: bool,
}

/// Why a header is refused; the caller adds the file and the array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderError {
    DType(String),
    Malformed { found: String, expected: &'static str },
}

pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The bytes before the header's length field.
pub(crate) const PREFIX_BYTES: usize = 8;

/// The longest header text read; numpy itself refuses more than 10 000 bytes by default.
pub(crate) const MAX_HEADER_BYTES: usize = 1 << 16;

fn malformed(found: impl Into<String>, expected: &'static str) -> HeaderError {
    HeaderError::Malformed { found: found.into(), expected }
}

/// The size of the length field that follows a prefix.
pub(crate) fn length_field_bytes(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, HeaderError> {
    if &prefix[..6] != MAGIC {
        return Err(malformed(format!("bytes {:02x?}", &prefix[..6]), "the magic of a .npy array"));
    }
    match prefix[6] {
        1 => Ok(2),
        2 | 3 => Ok(4),
        major => Err(malformed(format!("version {major}"), "version 1, 2 or 3")),
    }
}

impl NpyHeader {
    /// The bytes the elements take, where a machine word holds it.
    pub fn data_bytes(&self) -> Option<usize> {
        checked_count(&self.shape)?.checked_mul(self.dtype.size_bytes())
    }

    /// Reads the Python dictionary of a header.
    pub fn parse(text: &str) -> Result<NpyHeader, HeaderError> {
        let mut reader = Reader { rest: text.trim() };
        let (mut descr, mut order, mut shape) = (None, None, None);
        reader.expect("{")?;
        while !reader.accept("}") {
            let key = reader.string()?;
            reader.expect(":")?;
            let is_new = match key {
                "descr" => descr.replace(reader.descr()?).is_none(),
                "fortran_order" => order.replace(reader.truth()?).is_none(),
                "shape" => shape.replace(reader.extents()?).is_none(),
                _ => return Err(malformed(quoted(key), "descr, fortran_order or shape")),
            };
            if !is_new {
                return Err(malformed(format!("{key} twice"), "each key once"));
            }
            if !reader.accept(",") {
                reader.expect("}")?;
                break;
            }
        }
        if !reader.rest.is_empty() {
            return Err(malformed(quoted(reader.rest), "the end of the header"));
        }
        let missing = || malformed("a missing key", "descr, fortran_order and shape");
        Ok(NpyHeader {
            dtype: dtype_of(descr.ok_or_else(missing)?)?,
            shape: shape.ok_or_else(missing)?,
            is_fortran: order.ok_or_else(missing)?,
        })
    }

    /// The bytes of a version 1.0 header in C order, prefix included, padded to 64 bytes.
    pub fn encode(dtype: DType, shape: &[usize]) -> Vec<u8> {
        let mut text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': (", descr(dtype));
        for extent in shape {
            write!(text, "{extent}, ").expect("writing to a string succeeds");
        }
        if shape.len() > 1 {
            text.truncate(text.len() - 2);
        }
        text.push_str("), }");
        let unpadded = PREFIX_BYTES + 2 + text.len() + 1;
        text.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
        text.push('\n');
        let length = u16::try_from(text.len()).expect("the rank is bounded");
        [MAGIC.as_slice(), &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
    }
}

/// Numpy's name of a dtype.
fn descr(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "|b1",
        DType::U8 => "|u1",
        DType::U16 => "<u2",
        DType::U32 => "<u4",
        DType::U64 => "<u8",
        DType::I8 => "|i1",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
    }
}

fn dtype_of(found: &str) -> Result<DType, HeaderError> {
    // Byte order has no meaning for one byte, and numpy accepts any mark there.
    let has_name = |dtype: &DType| {
        let name = descr(*dtype);
        found == name || (dtype.size_bytes() == 1 && found.get(1..) == name.get(1..))
    };
    DType::ALL.into_iter().find(has_name).ok_or_else(|| HeaderError::DType(shortened(found)))
}

/// At most 60 characters of a hostile text, without control characters.
fn shortened(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", shortened(text))
}

/// Reads tokens from the front of a text, skipping blanks.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn accept(&mut self, token: &str) -> bool {
        match self.rest.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &'static str) -> Result<(), HeaderError> {
        if self.accept(token) { Ok(()) } else { Err(malformed(quoted(self.rest), token)) }
    }

    fn string(&mut self) -> Result<&'a str, HeaderError> {
        let text = self.rest.trim_start();
        for quote in ['\'', '"'] {
            if let Some((inside, rest)) = text.strip_prefix(quote).and_then(|t| t.split_once(quote))
            {
                self.rest = rest;
                return Ok(inside);
            }
        }
        Err(malformed(quoted(text), "a string"))
    }

    /// A dtype string; the list of a structured dtype is refused as a dtype.
    fn descr(&mut self) -> Result<&'a str, HeaderError> {
        let text = self.rest.trim_start();
        if text.starts_with(['[', '(']) {
            return Err(HeaderError::DType(shortened(text)));
        }
        self.string()
    }

    fn truth(&mut self) -> Result<bool, HeaderError> {
        if self.accept("True") {
            return Ok(true);
        }
        self.expect("False").map(|()| false)
    }

    fn extents(&mut self) -> Result<Vec<usize>, HeaderError> {
        self.expect("(")?;
        let mut shape = Vec::new();
        while !self.accept(")") {
            if shape.len() == MAX_RANK {
                return Err(malformed("more axes", "at most 64 axes"));
            }
            let text = self.rest.trim_start();
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = text.split_at(digits);
            let extent = number.parse();
            shape
                .push(extent.map_err(|_| malformed(quoted(text), "an extent of at most 64 bits"))?);
            self.rest = rest;
            if !self.accept(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> HeaderError {
        NpyHeader::parse(text).unwrap_err()
    }

    #[test]
    fn what_is_written_reads_back() {
        for dtype in DType::ALL {
            for shape in [vec![], vec![3], vec![2, 0, 5]] {
                let bytes = NpyHeader::encode(dtype, &shape);
                assert_eq!(bytes.len() % 64, 0);
                let text = str::from_utf8(&bytes[10..]).unwrap();
                let header = NpyHeader { dtype, shape, is_fortran: false };
                assert_eq!(NpyHeader::parse(text), Ok(header));
            }
        }
    }

    #[test]
    fn dtypes_without_a_counterpart_are_named() {
        for descr in ["<f2", ">f4", "|O", "<U5", "<c8", "|S3", "<M8[ns]"] {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ()}}");
            assert_eq!(refusal(&text), HeaderError::DType(descr.into()));
        }
        let structured = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}";
        assert!(matches!(refusal(structured), HeaderError::DType(_)));
    }

    #[test]
    fn hostile_headers_are_refused() {
        let axes = "1, ".repeat(1000);
        for shape in ["(-1,)", "(99999999999999999999,)", "(1", "3", &format!("({axes})")] {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
            assert!(matches!(refusal(&text), HeaderError::Malformed { .. }), "{shape}");
        }
        for text in
            ["", "{", "{'descr': '<f4'}", "{'shape': (), 'shape': ()}", "{'a': 1}", "{'\u{e9}"]
        {
            assert!(matches!(refusal(text), HeaderError::Malformed { .. }), "{text}");
        }
    }
}
