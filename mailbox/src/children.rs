//! Who is to be told about a shutdown.

use std::fmt;

use crate::sync::Mutex;

/// The place of a child in its [`Children`]; unique for the life of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey(u64);

/// A child that was not taken, given back with the reason.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAdded<C> {
    /// The set holds as many as it may: let some end first.
    Full(C),
    /// The shutdown has begun: the child must not start, or must stop by itself.
    Closed(C),
}

impl<C> fmt::Display for NotAdded<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "too many children: wait until some have ended",
            Self::Closed(_) => "shutting down: no new child may start",
        })
    }
}

impl<C: fmt::Debug> std::error::Error for NotAdded<C> {}

struct Open<C> {
    last_key: u64,
    /// Oldest first, so by key.
    list: Vec<(ChildKey, C)>,
}

/// A bounded set of children that is closed once: each child is refused or told, never both and
/// never neither.
///
/// A child is added before it starts, and removed when it has ended. [`close`](Self::close) hands
/// out those still there in the same critical section that shuts the set, so a child that starts
/// during a shutdown is either in that list or was refused.
pub struct Children<C> {
    /// `None`: closed.
    open: Mutex<Option<Open<C>>>,
    limit: usize,
}

impl<C> Children<C> {
    /// An open, empty set of at most `limit` children.
    pub fn new(limit: usize) -> Self {
        Self { open: Mutex::new(Some(Open { last_key: 0, list: Vec::new() })), limit }
    }

    /// Registers a child, before it starts.
    ///
    /// # Errors
    /// The child: the set is full, or closed.
    pub fn add(&self, child: C) -> Result<ChildKey, NotAdded<C>> {
        let mut open = self.open.lock();
        let Some(open) = open.as_mut() else {
            return Err(NotAdded::Closed(child));
        };
        if open.list.len() >= self.limit {
            return Err(NotAdded::Full(child));
        }
        open.last_key += 1;
        let key = ChildKey(open.last_key);
        open.list.push((key, child));
        Ok(key)
    }

    /// The child has ended. `None`: it was removed already, or is in the list that `close`
    /// returned.
    pub fn remove(&self, key: ChildKey) -> Option<C> {
        let mut open = self.open.lock();
        let list = &mut open.as_mut()?.list;
        let at = list.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(list.remove(at).1)
    }

    /// Shuts the set and returns who must be told, newest first. A second call returns nobody.
    pub fn close(&self) -> Vec<C> {
        let open = self.open.lock().take();
        open.map_or_else(Vec::new, |open| open.list.into_iter().rev().map(|(_, child)| child).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_still_there_are_told_newest_first_and_once() {
        let children = Children::new(8);
        let keys: Vec<_> = (1..=4).map(|child| children.add(child).unwrap()).collect();
        assert_eq!(children.remove(keys[1]), Some(2));
        assert_eq!(children.remove(keys[1]), None);
        assert_eq!(children.close(), [4, 3, 1]);
        assert_eq!(children.close(), [0; 0]);
        assert_eq!(children.remove(keys[0]), None);
        assert_eq!(children.add(5), Err(NotAdded::Closed(5)));
    }

    #[test]
    fn a_full_set_refuses_until_one_has_ended() {
        let children = Children::new(1);
        let first = children.add('a').unwrap();
        assert_eq!(children.add('b'), Err(NotAdded::Full('b')));
        assert_eq!(children.remove(first), Some('a'));
        let second = children.add('b').unwrap();
        assert_ne!(first, second);
        assert_eq!(children.remove(first), None);
        assert_eq!(children.close(), ['b']);
    }
}
