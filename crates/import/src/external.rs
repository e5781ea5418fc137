//! Tensors' bytes in files beside the model.
//!
//! A model file names other files, and a hostile one would name files it has no right to. So a file
//! is opened only if every rule holds; each path component is opened without following links, and
//! what was opened is what is checked and mapped, so nothing can be exchanged in between.
//!
//! (R1) The location is a relative path without `..`, backslashes or a drive.
//! (R2) No component of it is a symbolic link.
//! (R3) The file is a regular file.
//! (R4) The file has one name only: a hard link could lead anywhere on the file system.
//! (R5) `offset` and `length` are numbers, and the range lies within the file.
//! (R6) The length is that of the tensor's shape.
//! (R7) Each key is given once.

use std::{
    collections::BTreeMap,
    fs::File,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};
use tracelift_tensor::map_open_file;

use crate::{error::Shown, wire::StringStringEntryProto};

/// A marker by which some programs pass addresses in memory instead of files.
const ADDRESS_MARKER: &str = "_ORT_MEM_ADDR_";

/// The files beside one model, each mapped once and shared.
#[derive(Debug)]
pub struct External {
    /// The model's folder; `None` when the model was not a file.
    folder: Option<PathBuf>,
    /// The files mapped so far, by their paths within the folder.
    maps: Mutex<BTreeMap<String, Bytes>>,
}

/// The part of a file that a tensor asks for.
struct Request<'a> {
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl External {
    /// The files beside a model file.
    pub fn beside(model: &Path) -> External {
        let folder = match model.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        External { folder: Some(folder.to_path_buf()), maps: Mutex::default() }
    }

    /// No files: every request is refused.
    pub fn none() -> External {
        External { folder: None, maps: Mutex::default() }
    }

    /// The `n_bytes` bytes that a tensor's entries describe.
    ///
    /// # Errors
    /// When a rule of this module is broken; the text names the location and what was found.
    pub(crate) fn bytes(
        &self,
        entries: &[StringStringEntryProto],
        n_bytes: usize,
    ) -> Result<Bytes, String> {
        let request = Request::parse(entries)?;
        let refuse = |what: String| format!("external data '{}': {what}", Shown(request.location));
        let file = self.file(request.location).map_err(refuse)?;
        request.slice(&file, n_bytes).map_err(refuse)
    }

    /// The whole file at a location.
    fn file(&self, location: &str) -> Result<Bytes, String> {
        let folder = self.folder.as_ref().ok_or("the model is not a file, so none is beside it")?;
        let components = components(location)?;
        let key = components.join("/");
        // A map is inserted whole or not at all, so a panic elsewhere leaves the table usable.
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = maps.get(&key) {
            return Ok(file.clone());
        }
        let file = open_beneath(folder, &components)?;
        require_one_name(&file)?;
        let bytes = map_open_file(&file, &folder.join(&key)).map_err(|e| e.to_string())?;
        maps.insert(key, bytes.clone());
        Ok(bytes)
    }
}

impl Request<'_> {
    /// Reads the entries by key; `checksum` and unknown keys have no effect on what is read. (R5, R7)
    fn parse(entries: &[StringStringEntryProto]) -> Result<Request<'_>, String> {
        let find = |key: &str| {
            let mut found = entries.iter().filter(|entry| entry.key == key);
            let value = found.next().map(|entry| entry.value.as_str());
            if found.next().is_some() {
                Err(format!("external data give {key} twice"))
            } else {
                Ok(value)
            }
        };
        let number = |key: &str| {
            let parse = |text: &str| {
                let is_number = text.bytes().all(|b| b.is_ascii_digit());
                let value = text.parse().ok().filter(|_| is_number);
                value.ok_or_else(|| {
                    format!("external data have {key} '{}', expected a number", Shown(text))
                })
            };
            find(key)?.map(parse).transpose()
        };
        let location = find("location")?.ok_or("external data without a location")?;
        Ok(Request { location, offset: number("offset")?.unwrap_or(0), length: number("length")? })
    }

    /// The part asked for, without copying. (R5, R6)
    fn slice(&self, file: &Bytes, n_bytes: usize) -> Result<Bytes, String> {
        let needed = n_bytes as u64;
        let length = self.length.unwrap_or(needed);
        if length != needed {
            return Err(format!("length {length}, expected {needed} for the tensor's shape"));
        }
        let end = self.offset.checked_add(length).filter(|&end| end <= file.len() as u64);
        let (Ok(begin), Some(end)) = (usize::try_from(self.offset), end) else {
            let (offset, size) = (self.offset, file.len());
            return Err(format!(
                "{length} bytes at offset {offset}, expected within its {size} bytes"
            ));
        };
        Ok(file.slice(begin..end as usize))
    }
}

/// The components of a location, at least one. (R1)
fn components(location: &str) -> Result<Vec<&str>, String> {
    let is_drive = location.as_bytes().get(1) == Some(&b':');
    if location.starts_with('/') || location.contains(['\\', '\0']) || is_drive {
        return Err("found an absolute or foreign path, expected a relative one".into());
    }
    let components: Vec<&str> =
        location.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if components.contains(&"..") {
        return Err("found '..', expected a path within the model's folder".into());
    }
    if components.contains(&ADDRESS_MARKER) {
        return Err("found an address in memory, expected a file".into());
    }
    if components.is_empty() {
        return Err("found no file name".into());
    }
    Ok(components)
}

/// Opens a file component by component, following no link below the folder. (R2)
fn open_beneath(folder: &Path, components: &[&str]) -> Result<File, String> {
    let describe = |name: &str, error: Errno| match error {
        // Without following links, a link to a folder is not a folder and one to a file is a loop.
        Errno::LOOP | Errno::NOTDIR => {
            format!("'{}' is a symbolic link or not a folder", Shown(name))
        }
        other => format!("opening '{}' failed: {other}", Shown(name)),
    };
    let folder_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = openat(CWD, folder, folder_flags, Mode::empty())
        .map_err(|error| format!("opening the model's folder failed: {error}"))?;
    let (name, parents) = components.split_last().ok_or("found no file name")?;
    for parent in parents {
        at = openat(&at, *parent, folder_flags | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|error| describe(parent, error))?;
    }
    // Without `NONBLOCK`, opening a FIFO would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&at, *name, flags, Mode::empty()).map_err(|error| describe(name, error))?;
    Ok(file.into())
}

/// Refuses what is not a regular file or has another name. (R3, R4)
fn require_one_name(file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|error| format!("reading its kind failed: {error}"))?;
    if !metadata.is_file() {
        return Err("found a folder, FIFO or device, expected a regular file".into());
    }
    match metadata.nlink() {
        1 => Ok(()),
        n => Err(format!("found a file with {n} hard links, expected 1")),
    }
}

#[cfg(test)]
mod tests;
