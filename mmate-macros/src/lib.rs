//! The attributes of Mmate. Their documentation stands on the re-exports in the crate `mmate`.
//!
//! A small compiler in three steps: `parse` reads the attribute and the item, each on its own, so that
//! a mistake in one never hides a mistake in the other; `validate` judges them together; `emit` writes
//! the result, which is thin: it names `mmate::__private` and holds no logic. All mistakes are reported
//! at once, and the user's item is handed back in any case.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use proc_macro::TokenStream;

mod diagnostics;
mod emit;
mod expand;
mod model;
mod parse;
mod paths;
#[cfg(test)]
mod tests;
mod validate;

/// Declares a message.
#[proc_macro_attribute]
pub fn message(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::message(args.into(), item.into()).into()
}

/// Declares a value that travels inside messages.
#[proc_macro_attribute]
pub fn payload(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::payload(args.into(), item.into()).into()
}

/// Declares a function that handles a message.
#[proc_macro_attribute]
pub fn handler(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler(args.into(), item.into()).into()
}

/// Declares a workflow: a state with stages.
#[proc_macro_attribute]
pub fn workflow(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::workflow(args.into(), item.into()).into()
}

/// Declares a stage of a workflow. `#[workflow]` takes it off; what is left stands in the wrong place.
#[proc_macro_attribute]
pub fn stage(_: TokenStream, item: TokenStream) -> TokenStream {
    expand::stage(&item.into()).into()
}

/// Declares a function that builds a shared value at boot.
#[proc_macro_attribute]
pub fn provider(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::provider(args.into(), item.into()).into()
}

/// Says what an error means for the message that was being handled.
#[proc_macro_derive(MessageError, attributes(class, mmate))]
pub fn message_error(item: TokenStream) -> TokenStream {
    expand::message_error(item.into()).into()
}

/// Makes an async `main` the program of a service.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::main(args.into(), item.into()).into()
}

/// Makes an async function a test of a service.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(args.into(), item.into()).into()
}
