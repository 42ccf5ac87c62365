//! The attributes where nothing means what it usually means.

#![no_implicit_prelude]
#![deny(warnings)]
#![allow(dead_code)]

// What the derive of `schemars` calls without saying whose it is.
use ::core::convert::{From as _, Into as _};

mod mmate {}
mod std {}
mod core {}
mod serde {}

struct Result;
struct Option;
struct Box;
struct String;
struct Vec;
struct Some;
struct None;
struct Ok;
struct Err;
struct Send;
struct Clone;
struct Debug;
struct Message;
struct Handler;
struct Workflow;
struct StageCall;

#[::mmate::message(command, service = "orders", reply = Placed, key = id, alias = "Place", ttl = "1m")]
struct CreateOrder {
    id: u64,
    note: ::core::option::Option<::std::string::String>,
    items: ::std::vec::Vec<Item>,
}

#[::mmate::message(reply)]
struct Placed {}

#[::mmate::message(event, key = id)]
struct Moved {
    id: u64,
}

#[::mmate::message(event)]
#[serde(tag = "type")]
enum Closed {
    Shipped { code: ::core::option::Option<u8> },
    Cancelled,
}

#[::mmate::payload]
struct Item {
    id: u64,
}

#[::mmate::payload]
enum Size {
    Small,
    Of(u8),
}

struct Orders;
struct Clock;

#[::mmate::provider]
async fn orders(clock: ::mmate::handler::State<Clock>) -> ::core::result::Result<Orders, ::std::io::Error> {
    let _ = clock;
    ::core::result::Result::Ok(Orders)
}

#[::mmate::provider]
fn clock() -> Clock {
    Clock
}

#[derive(::core::fmt::Debug, ::mmate::MessageError)]
enum Failure {
    #[class(transient)]
    Away,
    #[class(reject = "BLOCKED")]
    Blocked(u8),
    Source { source: ::std::boxed::Box<dyn ::core::error::Error + ::core::marker::Send + ::core::marker::Sync> },
    Plain,
}

impl ::core::fmt::Display for Failure {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.write_str("failure")
    }
}

impl ::core::error::Error for Failure {}

#[::mmate::handler(concurrency = 2, timeout = "30s", retry(attempts = 2, backoff = fixed("1s")))]
async fn create_order(
    order: CreateOrder,
    orders: ::mmate::handler::State<Orders>,
    context: ::core::option::Option<::mmate::handler::Context>,
) -> ::core::result::Result<Placed, Failure> {
    let _ = (order, orders, context);
    ::core::result::Result::Err(Failure::Plain)
}

#[::mmate::payload]
struct OrderFlow {
    id: u64,
}

#[::mmate::workflow(timeout = "1m", concurrency = 2)]
impl OrderFlow {
    #[stage(compensate = state, timeout = "1s", retry(attempts = 2, backoff = fixed("1s")))]
    async fn call(&mut self, state: ::mmate::handler::State<Orders>) -> ::core::result::Result<(), Failure> {
        let _ = state;
        ::core::result::Result::Ok(())
    }

    #[::mmate::stage(parallel = r#type)]
    async fn result(&self, call: ::mmate::workflow::StageKey) -> ::core::result::Result<Item, Failure> {
        let _ = call;
        ::core::result::Result::Ok(Item { id: self.id })
    }

    #[stage(parallel = r#type, when = r#match)]
    async fn value(&self) -> ::core::result::Result<u8, ::std::io::Error> {
        ::core::result::Result::Ok(1)
    }

    #[stage(join = r#type, compensate = state)]
    async fn r#move(&mut self, result: Item, r#value: ::core::option::Option<u8>, needs: ::mmate::handler::Context) {
        let _ = (result, value, needs);
    }

    #[stage(repeat = r#match)]
    async fn __mmate_stage_0(&mut self) {}

    #[stage(wait_for = Moved, key = id, within = "1s")]
    async fn call_again(&mut self, event: ::core::option::Option<Moved>, state: ::mmate::workflow::StageKey) {
        let _ = (event, state);
    }

    #[::mmate::stage(reply = reply, compensate = state)]
    async fn asker(&self, call: ::mmate::workflow::StageKey) -> ::core::result::Result<CreateOrder, Failure> {
        let _ = call;
        ::core::result::Result::Err(Failure::Plain)
    }

    async fn reply(&mut self, call: Placed, result: ::mmate::workflow::StageKey) {
        let _ = (call, result);
    }

    #[stage(ended = end, irreversible)]
    async fn coming(&self) -> ::core::result::Result<OrderFlow, Failure> {
        ::core::result::Result::Ok(Self { id: self.id })
    }

    async fn end(&mut self, state: ::mmate::workflow::Ended<Self>) {
        self.id = state.state.id;
    }

    async fn state(&mut self, call: ::core::option::Option<::mmate::publish::Publisher>) {
        let _ = call;
    }

    fn r#match(&self) -> bool {
        self.id > 1
    }
}

/// The names of the shim and of its parameters, as names of handlers.
mod names {
    #[::mmate::handler]
    async fn __start(call: super::Closed) {
        let _ = call;
    }

    #[::mmate::handler]
    async fn call(message: super::Closed) {
        let _ = message;
    }

    #[::mmate::handler]
    async fn message(call: super::Closed) {
        let _ = call;
    }

    #[::mmate::handler]
    async fn r#type(r#match: super::Closed) {
        let _ = r#match;
    }
}

#[::mmate::main]
async fn main() {}
