//! Threads that walk a program's launches together.

use std::sync::{
    Condvar, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

/// How often a thread looks before it gives way: some tens of microseconds at most.
const N_SPINS: usize = 500;
/// How often it gives way before it sleeps. Where others want the processor, the thread that is
/// waited for may be one of them.
const N_YIELDS: usize = 200;

/// Where all threads of a team wait for the last of them.
pub(crate) struct Barrier {
    n_threads: usize,
    n_arrived: AtomicUsize,
    /// Grows each time the last thread arrives.
    generation: AtomicUsize,
    n_sleepers: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Barrier {
    pub(crate) fn new(n_threads: usize) -> Barrier {
        Barrier {
            n_threads,
            n_arrived: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            n_sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        }
    }

    /// Returns when every thread of the team has called this.
    pub(crate) fn wait(&self) {
        let generation = self.generation.load(SeqCst);
        if self.n_arrived.fetch_add(1, SeqCst) + 1 == self.n_threads {
            self.n_arrived.store(0, SeqCst);
            self.generation.fetch_add(1, SeqCst);
            if self.n_sleepers.load(SeqCst) > 0 {
                let _guard = self.lock.lock().expect("no thread panics with the lock");
                self.wake.notify_all();
            }
            return;
        }
        for _ in 0..N_SPINS {
            if self.generation.load(SeqCst) != generation {
                return;
            }
            std::hint::spin_loop();
        }
        for _ in 0..N_YIELDS {
            if self.generation.load(SeqCst) != generation {
                return;
            }
            std::thread::yield_now();
        }
        self.sleep(generation);
    }

    /// A sleeper counts itself before it looks again, and the last thread moves on before it counts
    /// sleepers, so that one of the two sees the other.
    fn sleep(&self, generation: usize) {
        let mut guard = self.lock.lock().expect("no thread panics with the lock");
        self.n_sleepers.fetch_add(1, SeqCst);
        while self.generation.load(SeqCst) == generation {
            guard = self.wake.wait(guard).expect("no thread panics with the lock");
        }
        self.n_sleepers.fetch_sub(1, SeqCst);
    }
}

/// The tasks of one thread; all threads' ranges cover `0..n_tasks` in order.
pub(crate) fn share(n_tasks: u64, thread: usize, n_threads: usize) -> (u64, u64) {
    let cut = |t: usize| (u128::from(n_tasks) * t as u128 / n_threads as u128) as u64;
    (cut(thread), cut(thread + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_tasks() {
        for n_tasks in [0, 1, 5, 64, u64::MAX] {
            for n_threads in 1..5 {
                let mut next = 0;
                for thread in 0..n_threads {
                    let (begin, end) = share(n_tasks, thread, n_threads);
                    assert_eq!(begin, next);
                    next = end;
                }
                assert_eq!(next, n_tasks);
            }
        }
    }

    #[test]
    fn no_thread_passes_a_barrier_early() {
        let barrier = Barrier::new(3);
        let counter = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 1..=200 {
                        counter.fetch_add(1, SeqCst);
                        barrier.wait();
                        assert_eq!(counter.load(SeqCst), 3 * round);
                        barrier.wait();
                    }
                });
            }
        });
    }
}
