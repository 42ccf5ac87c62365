//! Typed values of the running app, and who needs which.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Values by type: what providers built and what the app itself offers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Resources(Arc<HashMap<TypeId, Entry>>);

#[derive(Clone)]
struct Entry {
    type_name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
}

impl Resources {
    /// No values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One value.
    #[must_use]
    pub fn holding<T: Send + Sync + 'static>(value: T) -> Self {
        let mut resources = Self::new();
        resources.insert(value);
        resources
    }

    /// Adds a value; one of the same type is replaced.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.insert_shared(Arc::new(value));
    }

    /// Adds a value that is shared with others.
    pub fn insert_shared<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        let entry = Entry { type_name: type_name::<T>(), value };
        Arc::make_mut(&mut self.0).insert(TypeId::of::<T>(), entry);
    }

    /// Adds all values of `other`.
    pub fn extend(&mut self, other: &Self) {
        let own = Arc::make_mut(&mut self.0);
        own.extend(other.0.iter().map(|(id, entry)| (*id, entry.clone())));
    }

    /// The value of a type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let entry = self.0.get(&TypeId::of::<T>())?;
        Arc::clone(&entry.value).downcast().ok()
    }

    /// True if there is a value of the required type.
    #[must_use]
    pub fn fulfils(&self, requirement: &Requirement) -> bool {
        self.0.contains_key(&requirement.type_id)
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.0.values().map(|entry| entry.type_name).collect();
        names.sort_unstable();
        f.debug_tuple("Resources").field(&names).finish()
    }
}

/// A type that must be among the resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirement {
    /// The type.
    pub type_id: TypeId,
    /// Its name, for the error.
    pub type_name: &'static str,
}

/// What the parameters of a handler or provider need.
#[derive(Clone, Debug, Default)]
pub struct Requirements(Vec<Requirement>);

impl Requirements {
    /// Nothing needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What `collect` asks for.
    #[must_use]
    pub fn of(collect: fn(&mut Self)) -> Self {
        let mut requirements = Self::new();
        collect(&mut requirements);
        requirements
    }

    /// Asks for a value of a type.
    pub fn need<T: Send + Sync + 'static>(&mut self) {
        let requirement = Requirement { type_id: TypeId::of::<T>(), type_name: type_name::<T>() };
        if !self.0.contains(&requirement) {
            self.0.push(requirement);
        }
    }

    /// All of them, in the order in which they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter()
    }
}
