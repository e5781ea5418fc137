//! One test per rule.

use std::os::unix::fs::symlink;

use super::*;

/// A folder `model` with `w.bin` (bytes 0 to 9) and an empty `sub`, beside a file `secret`.
struct Sandbox {
    root: tempfile::TempDir,
    external: External,
}

impl Sandbox {
    fn new() -> Sandbox {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("model/sub")).unwrap();
        std::fs::write(root.path().join("secret"), [7; 10]).unwrap();
        std::fs::write(root.path().join("model/w.bin"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        let external = External::beside(&root.path().join("model/x.onnx"));
        Sandbox { root, external }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn read(&self, entries: &[(&str, &str)], n_bytes: usize) -> Result<Bytes, String> {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: (*key).into(),
            value: (*value).into(),
        };
        self.external.bytes(&entries.iter().map(entry).collect::<Vec<_>>(), n_bytes)
    }

    /// The refusal of ten bytes at a location.
    fn refusal(&self, location: &str) -> String {
        self.read(&[("location", location)], 10).unwrap_err()
    }
}

#[test]
fn parts_of_one_file_share_one_map() {
    let sandbox = Sandbox::new();
    let whole = sandbox.read(&[("location", "w.bin")], 10).unwrap();
    let entries = [("location", "./w.bin"), ("offset", "2"), ("length", "3"), ("checksum", "x")];
    let part = sandbox.read(&entries, 3).unwrap();
    assert_eq!(&part[..], [2, 3, 4]);
    assert_eq!(part.as_ptr(), whole[2..].as_ptr());
    std::fs::rename(sandbox.path("model/w.bin"), sandbox.path("model/sub/w.bin")).unwrap();
    assert!(sandbox.read(&[("location", "sub/w.bin")], 10).is_ok());
}

#[test]
fn r1_paths_that_leave_the_folder_are_refused() {
    let sandbox = Sandbox::new();
    let secret = sandbox.path("secret");
    for location in
        [secret.to_str().unwrap(), "//secret", "C:w.bin", "C:/w.bin", "..\\secret", "a\0b"]
    {
        let error = sandbox.refusal(location);
        assert!(error.contains("found an absolute or foreign path"), "{error}");
    }
    for location in ["../secret", "sub/../../secret", "sub/../w.bin", ".."] {
        let error = sandbox.refusal(location);
        assert!(error.contains("found '..'"), "{error}");
    }
    for location in ["", ".", "./"] {
        assert!(sandbox.refusal(location).contains("found no file name"));
    }
    assert!(sandbox.refusal("*/_ORT_MEM_ADDR_/*").contains("found an address in memory"));
}

#[test]
fn r2_symbolic_links_are_refused() {
    let sandbox = Sandbox::new();
    symlink(sandbox.path("secret"), sandbox.path("model/link")).unwrap();
    symlink(sandbox.path("model/w.bin"), sandbox.path("model/inner")).unwrap();
    symlink(sandbox.path(""), sandbox.path("model/up")).unwrap();
    for location in ["link", "inner", "up/secret"] {
        let error = sandbox.refusal(location);
        assert!(error.contains("is a symbolic link or not a folder"), "{error}");
    }
}

#[test]
fn r3_what_is_not_a_regular_file_is_refused() {
    let sandbox = Sandbox::new();
    assert!(sandbox.refusal("sub").contains("expected a regular file"));
    let pipe = sandbox.path("model/pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        assert!(sandbox.refusal("pipe").contains("expected a regular file"));
    }
    let devices = External::beside(Path::new("/dev/x.onnx"));
    let entry = StringStringEntryProto { key: "location".into(), value: "zero".into() };
    assert!(devices.bytes(&[entry], 10).unwrap_err().contains("expected a regular file"));
}

#[test]
fn r4_hard_links_are_refused() {
    let sandbox = Sandbox::new();
    std::fs::hard_link(sandbox.path("secret"), sandbox.path("model/hard")).unwrap();
    let error = sandbox.refusal("hard");
    assert_eq!(error, "external data 'hard': found a file with 2 hard links, expected 1");
}

#[test]
fn r5_ranges_outside_the_file_are_refused() {
    let sandbox = Sandbox::new();
    let read =
        |offset: &str, n_bytes| sandbox.read(&[("location", "w.bin"), ("offset", offset)], n_bytes);
    assert_eq!(read("10", 0), Ok(Bytes::new()));
    for (offset, n_bytes) in [("8", 3), ("11", 0), ("18446744073709551615", 10)] {
        let error = read(offset, n_bytes).unwrap_err();
        assert!(error.ends_with("expected within its 10 bytes"), "{error}");
    }
    for offset in ["-1", "+1", "", "1e3", "18446744073709551616"] {
        let error = read(offset, 1).unwrap_err();
        assert!(error.ends_with("expected a number"), "{error}");
    }
}

#[test]
fn r6_the_length_is_that_of_the_shape() {
    let sandbox = Sandbox::new();
    let error = sandbox.read(&[("location", "w.bin"), ("length", "8")], 4).unwrap_err();
    assert_eq!(error, "external data 'w.bin': length 8, expected 4 for the tensor's shape");
}

#[test]
fn r7_keys_are_given_once() {
    let sandbox = Sandbox::new();
    let error = sandbox.read(&[("location", "w.bin"), ("location", "w.bin")], 10).unwrap_err();
    assert_eq!(error, "external data give location twice");
    assert_eq!(sandbox.read(&[], 10).unwrap_err(), "external data without a location");
}

#[test]
fn models_from_memory_have_no_files() {
    let entry = StringStringEntryProto { key: "location".into(), value: "w.bin".into() };
    let error = External::none().bytes(&[entry], 10).unwrap_err();
    assert!(error.contains("the model is not a file"), "{error}");
}
