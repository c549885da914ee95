//! The three things that the writers ask of a file, so that tests can make each of them fail.

use std::fs::File;
use std::io::{self, Write};

/// An open file that only grows.
pub(crate) trait Disk: Send + Sync + std::fmt::Debug {
    /// Hands all of `bytes` to the operating system, behind what is there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything appended durable.
    fn sync(&self) -> io::Result<()>;
    /// Takes back what a failed append left behind `len`.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// A file opened for appending.
impl Disk for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &std::path::Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
pub(crate) mod faulty {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;

    /// A disk with so many bytes of room and so many good syncs, both shared by all its files.
    #[derive(Debug, Clone)]
    pub(crate) struct Faults {
        pub(crate) room: Arc<AtomicI64>,
        pub(crate) syncs: Arc<AtomicI64>,
    }

    impl Faults {
        pub(crate) fn new(room: i64, syncs: i64) -> Self {
            Self { room: Arc::new(AtomicI64::new(room)), syncs: Arc::new(AtomicI64::new(syncs)) }
        }

        pub(crate) fn over(&self, file: File) -> Box<dyn Disk> {
            Box::new(Faulty { file, faults: self.clone() })
        }
    }

    /// A disk whose syncs wait for as long as the gate is locked.
    #[derive(Debug)]
    pub(crate) struct Hanging(pub(crate) File, pub(crate) Arc<Mutex<()>>);

    impl Disk for Hanging {
        fn append(&self, bytes: &[u8]) -> io::Result<()> {
            self.0.append(bytes)
        }

        fn sync(&self) -> io::Result<()> {
            let _turn = self.1.lock().unwrap();
            self.0.sync()
        }

        fn truncate(&self, len: u64) -> io::Result<()> {
            self.0.truncate(len)
        }
    }

    /// What was done to a file, and when it was done.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Done {
        Append(Instant),
        /// From when until when: what was appended before it began is durable when it has ended.
        Sync(Instant, Instant),
    }

    /// A disk that keeps a diary.
    #[derive(Debug)]
    pub(crate) struct Timed(pub(crate) File, pub(crate) Arc<Mutex<Vec<Done>>>);

    impl Disk for Timed {
        fn append(&self, bytes: &[u8]) -> io::Result<()> {
            self.0.append(bytes)?;
            self.1.lock().unwrap().push(Done::Append(Instant::now()));
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            let begun = Instant::now();
            self.0.sync()?;
            self.1.lock().unwrap().push(Done::Sync(begun, Instant::now()));
            Ok(())
        }

        fn truncate(&self, len: u64) -> io::Result<()> {
            self.0.truncate(len)
        }
    }

    #[derive(Debug)]
    struct Faulty {
        file: File,
        faults: Faults,
    }

    impl Disk for Faulty {
        fn append(&self, bytes: &[u8]) -> io::Result<()> {
            let wanted = i64::try_from(bytes.len()).unwrap();
            let left = self.faults.room.fetch_sub(wanted, Ordering::SeqCst);
            if left >= wanted {
                return self.file.append(bytes);
            }
            self.faults.room.store(0, Ordering::SeqCst);
            self.file.append(&bytes[..usize::try_from(left.max(0)).unwrap()])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }

        fn sync(&self) -> io::Result<()> {
            if self.faults.syncs.fetch_sub(1, Ordering::SeqCst) > 0 {
                self.file.sync()
            } else {
                Err(io::Error::other("injected"))
            }
        }

        fn truncate(&self, len: u64) -> io::Result<()> {
            self.file.truncate(len)
        }
    }
}
