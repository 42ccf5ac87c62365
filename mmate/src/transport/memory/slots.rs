//! A table whose rows keep their number, so that looking one up is one index.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// The number of a row in a table of `T`. It is given out again after the row was removed.
pub(super) struct Id<T>(usize, PhantomData<fn() -> T>);

/// The table.
#[derive(Debug)]
pub(super) struct Slots<T> {
    rows: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { rows: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, row: T) -> Id<T> {
        let at = self.free.pop().unwrap_or(self.rows.len());
        if at == self.rows.len() {
            self.rows.push(Some(row));
        } else {
            self.rows[at] = Some(row);
        }
        Id(at, PhantomData)
    }

    pub(super) fn remove(&mut self, id: Id<T>) -> T {
        self.free.push(id.0);
        self.rows[id.0].take().expect("invariant: a row is removed once")
    }

    /// All rows in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        self.rows
            .iter()
            .enumerate()
            .filter_map(|(at, row)| Some((Id(at, PhantomData), row.as_ref()?)))
    }

    /// All rows in the order of their numbers.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().flatten()
    }
}

impl<T> Index<Id<T>> for Slots<T> {
    type Output = T;

    fn index(&self, id: Id<T>) -> &T {
        self.rows[id.0].as_ref().expect("invariant: the row exists")
    }
}

impl<T> IndexMut<Id<T>> for Slots<T> {
    fn index_mut(&mut self, id: Id<T>) -> &mut T {
        self.rows[id.0].as_mut().expect("invariant: the row exists")
    }
}

// By hand, because a derive would ask the same of `T`.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
