//! Read-only memory maps of files, shared by reference counting, and when their memory and other
//! memory is taken and given back. Also the instructions that safe Rust has no name for.
//!
//! The only module of this crate that may hold `unsafe` code.

#![allow(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs::{File, FileType},
    marker::PhantomData,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use memmap2::Mmap;

use crate::FileError;

/// The bytes that memory is taken and given back in; a system with larger pages rounds.
const PAGE: usize = 4096;

/// The maps that live, by their first address.
static LIVE: Mutex<BTreeMap<usize, Arc<Mmap>>> = Mutex::new(BTreeMap::new());

fn live() -> MutexGuard<'static, BTreeMap<usize, Arc<Mmap>>> {
    // Entries come and go whole, so a panic elsewhere leaves the table sound.
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owns a map for those who share its bytes.
struct MappedFile(Arc<Mmap>);

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        live().remove(&self.0.as_ptr().addr());
    }
}

/// Maps a whole file; every slice of the result keeps the map alive.
///
/// The file must not be changed or shortened while the map lives: readers would see other bytes,
/// and beyond a new end the operating system stops the process. Replacing the file by renaming is
/// fine, and that is how this crate writes.
///
/// # Errors
/// When the file cannot be opened, or is a directory, a FIFO, a socket or a device.
pub fn map_file(path: &Path) -> Result<Bytes, FileError> {
    // Opening a FIFO waits for a writer, so its kind is asked before.
    let metadata = path.metadata().map_err(FileError::io(path, "opening"))?;
    require_regular(metadata.file_type(), path)?;
    let file = File::open(path).map_err(FileError::io(path, "opening"))?;
    map_open_file(&file, path)
}

/// Maps an open file as [`map_file`] does; `path` serves messages only.
///
/// # Errors
/// When the file is not a regular one or cannot be mapped.
pub fn map_open_file(file: &File, path: &Path) -> Result<Bytes, FileError> {
    let metadata = file.metadata().map_err(FileError::io(path, "reading its size"))?;
    require_regular(metadata.file_type(), path)?;
    if metadata.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map is private and read-only; that nobody shortens the file meanwhile is the
    // documented condition of `map_file`, which no program can enforce on its own.
    let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(file) };
    let map = Arc::new(map.map_err(FileError::io(path, "mapping"))?);
    live().insert(map.as_ptr().addr(), map.clone());
    Ok(Bytes::from_owner(MappedFile(map)))
}

/// Gives the memory of bytes that lie in a mapped file back to the system, which reads them again
/// from the file when they are next used; does nothing for other bytes.
pub fn release_mapped(bytes: &[u8]) {
    let start = bytes.as_ptr().addr();
    let maps = live();
    let Some((&first, map)) = maps.range(..=start).next_back() else { return };
    if start + bytes.len() > first + map.len() {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        // Pages that other bytes share stay: someone else may be reading them.
        let from = (start - first).next_multiple_of(PAGE);
        let to = (start - first + bytes.len()) / PAGE * PAGE;
        if from < to {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the map is private and was never writable, so its pages hold what the file
            // has, and dropping them changes no byte that anybody can read.
            let advised = unsafe { map.unchecked_advise_range(advice, from, to - from) };
            // Without the advice the memory is only given back later.
            drop(advised);
        }
    }
}

/// Takes memory for bytes that are about to be written for the first time, at once instead of page
/// by page as writes meet them; their content stays.
fn populate(bytes: &mut [u8]) {
    #[cfg(target_os = "linux")]
    {
        let first = bytes.as_ptr().addr() / PAGE * PAGE;
        let before = bytes.as_ptr().addr() - first;
        let start = bytes.as_mut_ptr().wrapping_sub(before);
        let advice = rustix::mm::Advice::LinuxPopulateWrite;
        // SAFETY: the pages hold bytes that are borrowed mutably, so they are mapped and may be
        // written; populating them changes no byte.
        let populated = unsafe { rustix::mm::madvise(start.cast(), before + bytes.len(), advice) };
        // Where the system cannot, writes take the memory page by page.
        populated.unwrap_or_default();
    }
}

/// Takes the memory of new pages as they are about to be written, in huge pages while the system has
/// some at hand: their bytes are then zeroed at the speed of memory, which takes small pages about
/// seven times longer. A system that first has to find or reclaim one takes longer than for small
/// pages; the first that does ends the use of huge ones.
pub struct Populator<'p> {
    /// The address of the first huge page.
    start: usize,
    taken: Mutex<Taken>,
    /// The pages stay mapped for as long as they are borrowed.
    pages: PhantomData<&'p mut [u8]>,
}

/// What is known of huge pages.
struct Taken {
    pages: Vec<bool>,
    /// Whether one took so long that no more are taken.
    has_ended: bool,
}

/// When a huge page last took long, for memory that is taken soon after.
static TOOK_LONG: Mutex<Option<Instant>> = Mutex::new(None);
/// How long after that none is tried.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a huge page took long a short time ago.
fn took_long() -> bool {
    let last = *TOOK_LONG.lock().unwrap_or_else(PoisonError::into_inner);
    last.is_some_and(|last| last.elapsed() < PAUSE)
}

/// The size of a huge page in bytes.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// How long taking a huge page may take where there are some at hand.
const AT_HAND: Duration = Duration::from_millis(1);

impl<'p> Populator<'p> {
    /// For pages that nobody wrote to; it may be used as long as they are borrowed.
    pub(crate) fn of(pages: &'p mut [u8]) -> (Populator<'p>, &'p mut [u8]) {
        let first = pages.as_ptr().addr();
        let start = first.next_multiple_of(HUGE_PAGE);
        let n = (first + pages.len()).saturating_sub(start) / HUGE_PAGE;
        let taken = Mutex::new(Taken { pages: vec![false; n], has_ended: took_long() });
        (Populator { start, taken, pages: PhantomData }, pages)
    }

    /// Takes the memory of bytes among the pages, and of the huge pages that they lie in; of bytes
    /// elsewhere in small pages.
    pub fn populate(&self, bytes: &mut [u8]) {
        self.take_huge(bytes);
        populate(bytes);
    }

    #[cfg(target_os = "linux")]
    fn take_huge(&self, bytes: &mut [u8]) {
        // The flags are set after the pages are taken, so a panic elsewhere leaves them true.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let Taken { pages, has_ended } = &mut *taken;
        let from = bytes.as_ptr().addr().saturating_sub(self.start) / HUGE_PAGE;
        let end = (bytes.as_ptr().addr() + bytes.len()).saturating_sub(self.start);
        for page in from..end.div_ceil(HUGE_PAGE).min(pages.len()) {
            if *has_ended || pages[page] {
                continue;
            }
            let began = Instant::now();
            let first = bytes.as_mut_ptr().with_addr(self.start + page * HUGE_PAGE).cast();
            use rustix::mm::{Advice, madvise};
            // SAFETY: the page is one of those that `of` borrowed for as long as this lives, which
            // are mapped and may be written; both advices change no byte.
            let advised = unsafe {
                madvise(first, HUGE_PAGE, Advice::LinuxHugepage)
                    .and_then(|()| madvise(first, HUGE_PAGE, Advice::LinuxPopulateWrite))
            };
            pages[page] = true;
            *has_ended = advised.is_err() || began.elapsed() > AT_HAND;
            if *has_ended {
                let mut last = TOOK_LONG.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some(Instant::now());
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn take_huge(&self, _bytes: &mut [u8]) {}
}

/// Tells the processor that the cache line where a value begins is read soon, where the compiler has
/// a name for it.
#[inline]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that a program can observe, and every x86-64 has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// The bytes of a 32-bit number.
pub type Word = [u8; 4];

/// Exchanges rows and columns.
#[inline]
pub fn transpose(rows: [[Word; 4]; 4]) -> [[Word; 4]; 4] {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has these instructions, and a vector has the size of a row and any bits.
    unsafe {
        use std::arch::x86_64::{
            __m128i, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32, _mm_unpacklo_epi64,
        };
        let [a, b, c, d] = std::mem::transmute::<[[Word; 4]; 4], [__m128i; 4]>(rows);
        let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
        let (ab_after, cd_after) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
        std::mem::transmute::<[__m128i; 4], [[Word; 4]; 4]>([
            _mm_unpacklo_epi64(ab, cd),
            _mm_unpackhi_epi64(ab, cd),
            _mm_unpacklo_epi64(ab_after, cd_after),
            _mm_unpackhi_epi64(ab_after, cd_after),
        ])
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}

/// Gives memory that was freed back to the system, where the allocator would keep it: for the end
/// of work that needs much more memory than what comes after it.
pub fn release_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call has no preconditions and moves nothing that is allocated.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn require_regular(kind: FileType, path: &Path) -> Result<(), FileError> {
    if kind.is_file() {
        return Ok(());
    }
    let found = if kind.is_dir() { "a directory" } else { special_kind(kind) };
    Err(FileError::NotRegular { path: path.to_path_buf(), found })
}

#[cfg(unix)]
fn special_kind(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match () {
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () => "a special file",
    }
}

#[cfg(not(unix))]
fn special_kind(_kind: FileType) -> &'static str {
    "a special file"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_keep_the_map_alive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"abcdef").unwrap();
        let slice = map_file(&path).unwrap().slice(2..4);
        drop(dir);
        assert_eq!(&slice[..], b"cd");
    }

    #[test]
    fn released_bytes_are_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let content: Vec<u8> = (0..50_000u32).map(|k| (k % 251) as u8).collect();
        std::fs::write(file.path(), &content).unwrap();
        let mapped = map_file(file.path()).unwrap();
        release_mapped(&mapped[100..49_000]);
        assert_eq!(mapped, content);
        let heap = content.clone();
        release_mapped(&heap);
        assert_eq!(heap, content);
        let address = mapped.as_ptr().addr();
        drop(mapped);
        assert!(!live().contains_key(&address), "the map is forgotten");
    }

    #[test]
    fn populated_bytes_stay() {
        let mut bytes: Vec<u8> = (0..50_000u32).map(|k| (k % 251) as u8).collect();
        let before = bytes.clone();
        populate(&mut bytes[5..49_000]);
        populate(&mut []);
        assert_eq!(bytes, before);
    }

    #[test]
    fn rows_become_columns() {
        let rows = std::array::from_fn(|i| std::array::from_fn(|j| [4 * i as u8 + j as u8; 4]));
        let columns = std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]));
        assert_eq!(transpose(rows), columns);
    }

    #[test]
    fn empty_files_map_to_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(map_file(file.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = map_file(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with("TL0102: ") && error.contains("a directory"), "{error}");
        let error = map_file(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("found a device, expected a regular file"), "{error}");
        let missing = map_file(&dir.path().join("none")).unwrap_err().to_string();
        assert!(missing.starts_with("TL0101: "), "{missing}");
    }

    #[test]
    fn a_fifo_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if !made.is_ok_and(|status| status.success()) {
            return; // A system without `mkfifo` has no FIFO to refuse.
        }
        let error = map_file(&path).unwrap_err().to_string();
        assert!(error.contains("a FIFO"), "{error}");
    }
}
