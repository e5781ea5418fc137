//! Large memory that begins at a page.

use std::ops;

use memmap2::MmapMut;

use crate::mapped_file::{HUGE_PAGE, Populator};

/// Bytes of zero whose memory is taken when first written; they begin at a multiple of 4096, and of
/// 2 MiB where there are as many.
pub struct Pages {
    /// `None` for no bytes, which cannot be mapped.
    map: Option<MmapMut>,
    start: usize,
    len: usize,
}

impl Pages {
    /// `len` bytes of zero.
    ///
    /// # Panics
    /// When there is no address space left.
    pub fn zeroed(len: usize) -> Pages {
        if len == 0 {
            return Pages { map: None, start: 0, len };
        }
        let is_large = len >= HUGE_PAGE;
        let reserved = if is_large { len + HUGE_PAGE } else { len };
        let map = MmapMut::map_anon(reserved).expect("address space for constants");
        let start = match is_large {
            true => map.as_ptr().addr().next_multiple_of(HUGE_PAGE) - map.as_ptr().addr(),
            false => 0,
        };
        Pages { map: Some(map), start, len }
    }

    /// The bytes, which nobody wrote to yet, and what takes memory for them.
    pub fn unwritten(&mut self) -> (Populator<'_>, &mut [u8]) {
        Populator::of(self)
    }

    /// Lets the system put the whole huge pages of this memory together, for which it is best
    /// written already: where the system takes memory back from idle guests, the first write to a
    /// huge page costs many times more than those to its small pages.
    pub fn merge(&self) {
        #[cfg(target_os = "linux")]
        if let Some(map) = &self.map {
            let whole = self.len / HUGE_PAGE * HUGE_PAGE;
            // Where the system has no huge pages, small ones serve.
            let _ = map.advise_range(memmap2::Advice::HugePage, self.start, whole);
        }
    }
}

impl Clone for Pages {
    fn clone(&self) -> Pages {
        let mut copy = Pages::zeroed(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl ops::Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |map| &map[self.start..self.start + self.len])
    }
}

impl ops::DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (start, len) = (self.start, self.len);
        self.map.as_mut().map_or(&mut [], |map| &mut map[start..start + len])
    }
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_taken_for_a_part_holds_what_is_written() {
        for len in [5usize, 5000, 5 << 20] {
            let mut pages = Pages::zeroed(len);
            let (populator, bytes) = pages.unwritten();
            let (first, rest) = bytes.split_at_mut(len / 3);
            first.fill(1);
            // The huge page in the middle has bytes of both.
            populator.populate(rest);
            populator.populate(first);
            rest.fill(2);
            assert!(pages[..len / 3].iter().all(|&b| b == 1));
            assert!(pages[len / 3..].iter().all(|&b| b == 2));
        }
    }

    #[test]
    fn pages_are_zero_and_aligned() {
        for (len, alignment) in
            [(0usize, 1usize), (5, 4096), (HUGE_PAGE, HUGE_PAGE), (5 << 20, HUGE_PAGE)]
        {
            let mut pages = Pages::zeroed(len);
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|&b| b == 0));
            assert!(len == 0 || pages.as_ptr().addr().is_multiple_of(alignment));
            pages.fill(7);
            pages.merge();
            assert!(pages.iter().all(|&b| b == 7));
        }
    }
}
