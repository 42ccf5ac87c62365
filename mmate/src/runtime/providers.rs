//! Builds the values that handlers ask for, each after those that it needs itself.

use std::any::TypeId;
use std::collections::HashMap;

use crate::error::BootErrors;
use crate::handler::{ProviderEntry, Requirement, Requirements, Resources};
use crate::workflow::Need;

/// Providers in an order in which each finds what it needs.
#[derive(Debug)]
pub(super) struct BuildOrder(Vec<&'static ProviderEntry>);

impl BuildOrder {
    /// Finds the order; reports what is missing, provided twice, or needs itself.
    pub(super) fn find(
        providers: &[&'static ProviderEntry],
        needs: &[Need],
        given: &Resources,
        errors: &mut BootErrors,
    ) -> Self {
        let makers = makers(providers, given, errors);
        let known = |need: &Requirement| given.fulfils(need) || makers.contains_key(&need.type_id);
        for provider in providers {
            let user = format!("provider `{}`\n{}", provider.name, provider.location);
            report_missing(&Requirements::of(provider.requires), &known, &user, errors);
        }
        for Need { user, requires } in needs {
            report_missing(&Requirements::of(*requires), &known, user, errors);
        }
        let mut search = Search { makers: &makers, order: Vec::new(), path: Vec::new(), errors };
        for provider in providers {
            search.visit(provider);
        }
        Self(search.order)
    }

    /// Builds all values on top of `resources`.
    pub(super) async fn build(&self, resources: &mut Resources) -> Result<(), BootErrors> {
        for provider in &self.0 {
            match (provider.build)(resources.clone()).await {
                Ok(built) => resources.extend(&built),
                // The others may need this value, so the first failure ends the list.
                Err(error) => {
                    let mut errors = BootErrors::default();
                    errors.push(format!(
                        "provider `{}` failed: {}\n{}",
                        provider.name,
                        error.chain(),
                        provider.location
                    ));
                    return Err(errors);
                }
            }
        }
        Ok(())
    }
}

type Makers = HashMap<TypeId, &'static ProviderEntry>;

fn makers(
    providers: &[&'static ProviderEntry],
    given: &Resources,
    errors: &mut BootErrors,
) -> Makers {
    let mut makers = Makers::new();
    for provider in providers {
        for provided in Requirements::of(provider.provides).iter() {
            if let Some(other) = makers.insert(provided.type_id, provider) {
                errors.push(format!(
                    "`{}` is provided twice; remove one, or wrap one in a type of its own\n`{}` at {}\n`{}` at {}",
                    provided.type_name, other.name, other.location, provider.name, provider.location
                ));
            } else if given.fulfils(provided) {
                errors.push(format!(
                    "`{}` is given to the app by code and provided by `{}`; remove one\n{}",
                    provided.type_name, provider.name, provider.location
                ));
            }
        }
    }
    makers
}

fn report_missing(
    needs: &Requirements,
    known: &impl Fn(&Requirement) -> bool,
    user: &str,
    errors: &mut BootErrors,
) {
    for need in needs.iter().filter(|need| !known(need)) {
        let name = need.type_name;
        errors.push(format!(
            "nothing provides `{name}`, wanted by {user}\nhelp: write `#[provider] async fn ..() -> Result<{}> {{ .. }}`, \
             or give it with `App::builder().provide(..)`",
            name.rsplit("::").next().unwrap_or(name)
        ));
    }
}

/// Depth first: what a provider needs comes before it.
struct Search<'a> {
    makers: &'a Makers,
    order: Vec<&'static ProviderEntry>,
    path: Vec<&'static ProviderEntry>,
    errors: &'a mut BootErrors,
}

impl Search<'_> {
    fn visit(&mut self, provider: &'static ProviderEntry) {
        if self.order.iter().any(|done| std::ptr::eq(*done, provider)) {
            return;
        }
        if let Some(start) = self.path.iter().position(|open| std::ptr::eq(*open, provider)) {
            self.report_cycle(start, provider);
            return;
        }
        self.path.push(provider);
        for need in Requirements::of(provider.requires).iter() {
            if let Some(maker) = self.makers.get(&need.type_id) {
                self.visit(maker);
            }
        }
        self.path.pop();
        if !self.order.iter().any(|done| std::ptr::eq(*done, provider)) {
            self.order.push(provider);
        }
    }

    fn report_cycle(&mut self, start: usize, provider: &'static ProviderEntry) {
        let mut names: Vec<&str> = self.path[start..].iter().map(|open| open.name).collect();
        names.push(provider.name);
        let places: Vec<String> = self.path[start..]
            .iter()
            .map(|open| format!("`{}` at {}", open.name, open.location))
            .collect();
        self.errors.push(format!(
            "providers need each other: {}\n{}",
            names.join(" -> "),
            places.join("\n")
        ));
    }
}
