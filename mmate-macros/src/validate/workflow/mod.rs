//! Rules of `#[workflow]`: the block, its stages, the methods that they name, their groups, what they wait for.

mod complete;
mod groups;
mod named;
mod stage;
mod waits;

use proc_macro2::Span;
use syn::ext::IdentExt as _;

use super::{naming, signature};
use crate::diagnostics::Errors;
use crate::model::{ImplBlock, WorkflowArgs};

/// Judges the arguments and the block.
pub(crate) fn check(args: &WorkflowArgs, block: &ImplBlock, errors: &mut Errors) {
    if let Some(of_trait) = &block.of_trait {
        let text = "a workflow is no implementation of a trait\nhelp: write `impl YourState { .. }` for its stages";
        errors.on(of_trait, text);
        return;
    }
    state(args, block, errors);
    let stages = block.stages();
    if stages.is_empty() {
        let text = "a workflow has at least one stage\nhelp: write `#[stage]` above an `async fn` that takes `&mut self`";
        errors.at(Span::call_site(), text);
    }
    for stage in &stages {
        stage::check(stage, errors);
    }
    named::check(block, errors);
    waits::check(block, errors);
    groups::check(&stages, errors);
    if args.complete.is_some() {
        complete::check(&stages, errors);
    }
}

/// The type of the state, which gives the workflow its name.
fn state(args: &WorkflowArgs, block: &ImplBlock, errors: &mut Errors) {
    if !block.generics.params.is_empty() {
        let text = "a workflow cannot be generic: the framework calls it by itself\nhelp: write the types out";
        errors.on(&block.generics, text);
        return;
    }
    if let Some(clause) = &block.generics.where_clause {
        errors.on(clause, "a workflow cannot have a `where` clause\nhelp: remove it");
    }
    let Some(name) = block.state_name() else {
        let text =
            "the state of a workflow is a type of its own\nhelp: write `impl YourState { .. }`";
        errors.on(&block.state, text);
        return;
    };
    if signature::borrows(&block.state) {
        let text =
            "the state of a workflow owns what it holds\nhelp: write a type without lifetimes";
        errors.on(&block.state, text);
    }
    let id = naming::kebab(&name.unraw().to_string());
    if let (None, Err(text)) = (&args.id, naming::plain(&id)) {
        let text = format!("the id of the workflow, `{id}`, {text}\nhelp: write `id = \"..\"`");
        errors.at(name.span(), text);
    }
}
