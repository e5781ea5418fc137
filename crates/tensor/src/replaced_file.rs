//! Writing a file so that readers see the old bytes or the new ones, never a part.

use std::{fs::File, path::Path};

use crate::FileError;

/// Writes a temporary file beside `path` with `write`, then renames it to `path`.
///
/// Existing maps of the old file stay valid.
pub(crate) fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut temporary = new_file_in(parent).map_err(FileError::io(path, "creating"))?;
    write(temporary.as_file_mut())?;
    temporary.as_file().sync_all().map_err(FileError::io(path, "writing"))?;
    let renamed = temporary.persist(path);
    renamed.map(drop).map_err(|error| FileError::io(path, "replacing")(error.error))
}

#[cfg(unix)]
fn new_file_in(parent: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    // Tempfile's own default hides the file from other users; here the user's mask decides.
    let permissions = std::fs::Permissions::from_mode(0o666);
    tempfile::Builder::new().permissions(permissions).tempfile_in(parent)
}

#[cfg(not(unix))]
fn new_file_in(parent: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::NamedTempFile::new_in(parent)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"old").unwrap();
        let result = replace_file(&path, |file| {
            file.write_all(b"new").unwrap();
            Err(FileError::DuplicateName { path: path.clone(), name: "x".into() })
        });
        assert!(result.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }
}
