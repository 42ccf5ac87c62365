//! `#[main]` and `#[test]`: the async function inside an ordinary one that runs it.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{FnItem, ProgramArgs};

/// The expansion of a correct `main`.
pub(crate) fn main(args: &ProgramArgs, item: &FnItem) -> TokenStream {
    let root = &args.root;
    let (vis, body) = (&item.vis, &item.sig.ident);
    let linked = linked(args);
    let service = service(args);
    let inner = inner(item);
    let attrs = &item.attrs;
    quote! {
        #linked
        #(#attrs)*
        #vis fn main() -> ::std::process::ExitCode {
            #inner
            #root::__private::main(#service, #body)
        }
    }
}

/// The expansion of a correct test.
pub(crate) fn test(args: &ProgramArgs, item: &FnItem) -> TokenStream {
    let root = &args.root;
    let (vis, name, output) = (&item.vis, &item.sig.ident, &item.sig.output);
    let linked = linked(args);
    let service = service(args);
    let inner = inner(item);
    let attrs = &item.attrs;
    let body = if item.sig.inputs.is_empty() { quote!(|_| #name()) } else { quote!(#name) };
    quote! {
        #linked
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #name() #output {
            #inner
            #root::__private::test(#service, #body)
        }
    }
}

/// The function as written; its attributes moved out, where `#[ignore]` and lints work, too.
fn inner(item: &FnItem) -> TokenStream {
    let (sig, body) = (&item.sig, &item.body);
    quote!(#[allow(clippy::unused_async)] #sig #body)
}

/// A crate that nothing names is not linked, and its handlers would be missing.
fn linked(args: &ProgramArgs) -> TokenStream {
    let crates = args.crates.iter().flat_map(|crates| &crates.value);
    quote!(#(use ::#crates as _;)*)
}

fn service(args: &ProgramArgs) -> TokenStream {
    let root = &args.root;
    let threads = args.worker_threads.as_ref().map(|threads| {
        let threads = &threads.value;
        quote!(.worker_threads(#threads))
    });
    let log = args.log.as_ref().map(|log| {
        let log = &log.value;
        quote!(.log(#log))
    });
    let flags = args.flags.as_ref().map(|flags| {
        let flags = flags.value.iter().map(|(name, help)| {
            let name = syn::LitStr::new(&name.to_string().replace('_', "-"), name.span());
            quote!((#name, #help))
        });
        quote!(.flags(&[#(#flags),*]))
    });
    quote! {
        #root::__private::ServiceInfo::new(
            ::core::env!("CARGO_PKG_NAME"), ::core::env!("CARGO_PKG_VERSION"),
        ) #threads #log #flags
    }
}
