//! Numpy's `.npy` arrays and `.npz` archives of them.
//!
//! Numbers are little-endian. Refused by name: big-endian arrays, f16, complex, strings, objects.
//! Source: numpy's `numpy/lib/_format_impl.py`.

use std::{
    collections::BTreeSet,
    io::{Cursor, Read, Write},
    path::Path,
};

use bytes::Bytes;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::{
    FileError, MAX_INFLATED_BYTES, Tensor, map_file,
    npy_header::{HeaderError, MAX_HEADER_BYTES, NpyHeader, PREFIX_BYTES, length_field_bytes},
    replaced_file::replace_file,
};

/// The dtypes named in messages.
const SUPPORTED: &str = "b1, u1, u2, u4, u8, i1, i2, i4, i8, f4, f8; little-endian";

/// Reads one array.
///
/// # Errors
/// When the file cannot be read, is not a `.npy` array, or holds another dtype than ours.
pub fn read_npy(path: &Path) -> Result<Tensor, FileError> {
    parse_npy(map_file(path)?, path)
}

/// Reads one array from the bytes of a `.npy` file, sharing them where the order is C.
///
/// # Errors
/// As [`read_npy`]; `path` serves messages only.
pub fn parse_npy(bytes: Bytes, path: &Path) -> Result<Tensor, FileError> {
    let place = Place { path, what: "the array".into() };
    let mut cursor = Cursor::new(&bytes[..]);
    let (header, header_bytes) = place.header(&mut cursor)?;
    let data = bytes.slice(header_bytes..);
    place.check_length(&header, data.len() as u64)?;
    place.tensor(&header, data)
}

/// Reads every array of an archive in archive order, named without `.npy`.
///
/// # Errors
/// When the file cannot be read, an entry is not a `.npy` array of our dtypes, two entries share a
/// name, or the entries inflate to more than [`MAX_INFLATED_BYTES`].
pub fn read_npz(path: &Path) -> Result<Vec<(String, Tensor)>, FileError> {
    parse_npz(map_file(path)?, path)
}

/// Reads every array from the bytes of a `.npz` file.
///
/// # Errors
/// As [`read_npz`]; `path` serves messages only.
pub fn parse_npz(bytes: Bytes, path: &Path) -> Result<Vec<(String, Tensor)>, FileError> {
    let whole = Place { path, what: "the archive".into() };
    let mut archive = ZipArchive::new(Cursor::new(&bytes[..])).map_err(|e| whole.broken(&e))?;
    let mut budget = Budget { stored: bytes.len() as u64, inflated: MAX_INFLATED_BYTES };
    let (mut arrays, mut names) = (Vec::new(), BTreeSet::new());
    for entry_idx in 0..archive.len() {
        let place = Place { path, what: format!("entry {entry_idx}") };
        let mut entry = archive.by_index(entry_idx).map_err(|e| place.broken(&e))?;
        let file_name = entry.name().map_err(|e| place.broken(&e))?.into_owned();
        let Some(name) = file_name.strip_suffix(".npy").map(str::to_string) else {
            return Err(place.malformed(format!("file '{}'", file_name.escape_debug()), "a .npy"));
        };
        if !names.insert(name.clone()) {
            return Err(FileError::DuplicateName { path: path.to_path_buf(), name });
        }
        let place = Place { path, what: format!("array '{}'", name.escape_debug()) };
        budget.charge(&place, entry.compression(), entry.size())?;
        let size = entry.size();
        arrays.push((name, read_entry(&place, &mut entry, size)?));
    }
    Ok(arrays)
}

/// What the entries of one archive may still take.
struct Budget {
    stored: u64,
    inflated: u64,
}

impl Budget {
    /// Takes `bytes` from the budget of the entry's kind.
    ///
    /// Stored entries together are no larger than the file, unless they overlap to multiply it.
    fn charge(&mut self, at: &Place, kind: CompressionMethod, bytes: u64) -> Result<(), FileError> {
        let left =
            if kind == CompressionMethod::Stored { &mut self.stored } else { &mut self.inflated };
        *left = left.checked_sub(bytes).ok_or_else(|| FileError::TooLarge {
            path: at.path.to_path_buf(),
            what: at.what.clone(),
            found: format!("{bytes} bytes"),
            limit: format!("{left} bytes left for this archive"),
        })?;
        Ok(())
    }
}

/// Reads one array whose entry claims `size` bytes in all.
fn read_entry(place: &Place, entry: &mut impl Read, size: u64) -> Result<Tensor, FileError> {
    let (header, header_bytes) = place.header(entry)?;
    let claimed = size.saturating_sub(header_bytes as u64);
    place.check_length(&header, claimed)?;
    // The buffer grows with what arrives, so that a false claim costs nothing.
    let mut data = Vec::new();
    let read = entry.take(claimed + 1).read_to_end(&mut data);
    read.map_err(|reason| place.broken(&reason))?;
    place.check_length(&header, data.len() as u64)?;
    place.tensor(&header, data.into())
}

/// Where an array stands, for messages.
struct Place<'a> {
    path: &'a Path,
    what: String,
}

impl Place<'_> {
    fn malformed(&self, found: impl Into<String>, expected: impl Into<String>) -> FileError {
        FileError::Malformed {
            path: self.path.to_path_buf(),
            what: self.what.clone(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    fn broken(&self, reason: &impl std::fmt::Display) -> FileError {
        self.malformed(reason.to_string(), "a readable .npy or .npz")
    }

    fn refusal(&self, error: HeaderError) -> FileError {
        match error {
            HeaderError::Malformed { found, expected } => self.malformed(found, expected),
            HeaderError::DType(found) => FileError::UnsupportedDType {
                path: self.path.to_path_buf(),
                what: self.what.clone(),
                found,
                supported: SUPPORTED,
            },
        }
    }

    /// Reads a header and the number of bytes it took.
    fn header(&self, reader: &mut impl Read) -> Result<(NpyHeader, usize), FileError> {
        let mut prefix = [0; PREFIX_BYTES];
        reader.read_exact(&mut prefix).map_err(|e| self.broken(&e))?;
        let field_bytes = length_field_bytes(&prefix).map_err(|e| self.refusal(e))?;
        let mut field = [0; 4];
        reader.read_exact(&mut field[..field_bytes]).map_err(|e| self.broken(&e))?;
        let length = u32::from_le_bytes(field) as usize;
        if length > MAX_HEADER_BYTES {
            let expected = format!("at most {MAX_HEADER_BYTES}");
            return Err(self.malformed(format!("a header of {length} bytes"), expected));
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text).map_err(|e| self.broken(&e))?;
        let text = str::from_utf8(&text).map_err(|e| self.broken(&e))?;
        let header = NpyHeader::parse(text).map_err(|e| self.refusal(e))?;
        Ok((header, PREFIX_BYTES + field_bytes + length))
    }

    fn check_length(&self, header: &NpyHeader, found: u64) -> Result<(), FileError> {
        let expected = header.data_bytes();
        if expected.and_then(|n| u64::try_from(n).ok()) == Some(found) {
            return Ok(());
        }
        let needed = expected.map_or("more than can be counted".into(), |n| n.to_string());
        let expected = format!("{needed} for {}{:?}", header.dtype, header.shape);
        Err(self.malformed(format!("{found} bytes of elements"), expected))
    }

    fn tensor(&self, header: &NpyHeader, data: Bytes) -> Result<Tensor, FileError> {
        let data = if header.is_fortran && header.shape.len() > 1 {
            row_major(header, &data)
        } else {
            data
        };
        let tensor = Tensor::from_bytes(header.dtype, &header.shape, data);
        tensor.map_err(|e| self.broken(&e))
    }
}

/// Reorders elements whose first axis varies fastest.
fn row_major(header: &NpyHeader, data: &[u8]) -> Bytes {
    let size = header.dtype.size_bytes();
    let strides: Vec<usize> = header
        .shape
        .iter()
        .scan(size, |stride, &extent| Some(std::mem::replace(stride, stride.wrapping_mul(extent))))
        .collect();
    let mut out = Vec::with_capacity(data.len());
    crate::for_each_index(&header.shape, |index| {
        let at: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
        out.extend_from_slice(&data[at..at + size]);
    });
    out.into()
}

/// Writes one array; an existing file is replaced at once.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<(), FileError> {
    replace_file(path, |file| write_array(file, tensor).map_err(FileError::io(path, "writing")))
}

/// Writes arrays in the given order, stored; equal arrays give equal bytes.
///
/// # Errors
/// When the file cannot be written or two arrays share a name.
pub fn write_npz(path: &Path, arrays: &[(String, Tensor)]) -> Result<(), FileError> {
    let mut names = BTreeSet::new();
    if let Some((name, _)) = arrays.iter().find(|(name, _)| !names.insert(name)) {
        return Err(FileError::DuplicateName { path: path.to_path_buf(), name: name.clone() });
    }
    replace_file(path, |file| {
        let written = write_archive(file, arrays);
        written.map_err(|e| FileError::io(path, "writing")(e.into()))
    })
}

fn write_archive(
    file: &mut std::fs::File,
    arrays: &[(String, Tensor)],
) -> Result<(), zip::result::ZipError> {
    let mut archive = ZipWriter::new(std::io::BufWriter::new(file));
    for (name, tensor) in arrays {
        let is_large = tensor.bytes().len() as u64 > u64::from(u32::MAX / 2);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(is_large);
        archive.start_file(format!("{name}.npy"), options)?;
        write_array(&mut archive, tensor)?;
    }
    archive.finish()?.flush()?;
    Ok(())
}

fn write_array(out: &mut impl Write, tensor: &Tensor) -> std::io::Result<()> {
    out.write_all(&NpyHeader::encode(tensor.dtype(), tensor.shape()))?;
    out.write_all(tensor.bytes())
}

#[cfg(test)]
mod tests;
