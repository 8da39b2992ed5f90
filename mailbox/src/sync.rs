//! One source, two worlds: the primitives of the ordinary build, or those of loom's model checker.
//!
//! The only file of the crate that knows about `cfg(loom)`, and the only one that names where its
//! primitives come from (a test reads the others). It exports what the crate uses and no more, so
//! that the two sides cannot drift apart.

#[cfg(not(loom))]
mod primitives {
    pub use std::sync::Arc;

    pub(crate) type MutexGuard<'a, T> = parking_lot::MutexGuard<'a, T>;

    /// A lock without poisoning.
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        #[inline]
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock()
        }
    }
}

#[cfg(loom)]
mod primitives {
    pub use loom::sync::Arc;

    pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

    /// A lock without poisoning, like the one it stands for.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        }
    }
}

/// The reference count that [`Mailbox::reserve`](crate::Mailbox::reserve) and
/// [`Mailbox::attach`](crate::Mailbox::attach) take: the standard library's, or loom's under
/// `cfg(loom)`.
pub use primitives::Arc;
pub(crate) use primitives::{Mutex, MutexGuard};
