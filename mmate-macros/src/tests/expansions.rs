//! Whole expansions, compared with `tests/expand/*.rs`. `UPDATE_EXPECT=1` rewrites the files.

use std::path::Path;

use proc_macro2::TokenStream;
use quote::quote;

use crate::expand;

fn check(name: &str, expansion: TokenStream) {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand").join(name).with_extension("rs");
    let actual = prettyplease::unparse(&syn::parse2(expansion).unwrap());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(actual, expected, "{name}; UPDATE_EXPECT=1 rewrites it");
}

fn order() -> TokenStream {
    quote! {
        /// Asks for an order.
        ///
        /// Answered at once.
        pub struct CreateOrder {
            pub customer_id: String,
            pub note: Option<String>,
        }
    }
}

#[test]
fn messages() {
    check(
        "message_event",
        expand::message(
            quote!(event),
            quote!(
                struct OrderCreated {}
            ),
        ),
    );
    let args = quote!(
        command,
        service = "orders",
        queue = "cmd.orders.create",
        reply = OrderPlaced,
        key = customer_id,
        name = "Create",
        alias = ["Place"],
        version = 2,
        priority = 9,
        ttl = "10m"
    );
    check("message_command", expand::message(args, order()));
    let item = quote! {
        #[derive(Clone, PartialEq, serde::Serialize)]
        #[serde(tag = "status", rename_all = "kebab-case")]
        enum OrderClosed {
            Shipped { tracking_code: Option<String>, #[serde(skip)] local: Option<u8> },
            Cancelled,
        }
    };
    check("message_enum", expand::message(quote!(event, aggregate = "order"), item));
    check("message_broken", expand::message(quote!(query, verson = 2), order()));
}

#[test]
fn payloads() {
    let item = quote!(
        struct Page<T> {
            items: Vec<T>,
            next: Option<u32>,
        }
    );
    check("payload", expand::payload(TokenStream::new(), item));
}

#[test]
fn handlers() {
    let item = quote! {
        /// Places orders.
        async fn create_order(cmd: CreateOrder, orders: State<Orders>, events: Publisher) -> Result<OrderPlaced, OrderError> {
            body
        }
    };
    let args = quote!(
        queue = "cmd.orders.create",
        concurrency = 16,
        prefetch = PREFETCH,
        timeout = "30s",
        retry(attempts = 5, backoff = exponential("100ms", "30s"), jitter = 0.2),
        max_priority = 9
    );
    check("handler", expand::handler(args, item));
    let args = quote!(
        breaker(failures = 3, reset = "10s", name = "payments"),
        rate(100, per = "1s", burst = 10),
        bulkhead("db", 10),
        fallback = prices::cached,
        retry(backoff = custom(waits)),
    );
    let item = quote!(
        async fn price(query: Price, db: State<Db>) -> Result<Priced> {}
    );
    check("handler_limits", expand::handler(args, item));
    let item = quote!(
        async fn on(event: E) {}
    );
    check("handler_breaker", expand::handler(quote!(breaker), item));
    let item = quote!(
        async fn price(query: Price) -> Result<Priced> {}
    );
    check("handler_cache", expand::handler(quote!(cache(ttl = "5m", size = 50)), item));
    let item = quote!(
        async fn pay(command: Pay) {}
    );
    let args = quote!(idempotent(ttl = "1h", size = 50));
    check("handler_idempotent", expand::handler(args, item));
    let item = quote!(
        pub async fn forget(OrderCreated { id }: OrderCreated) {}
    );
    check("handler_broadcast", expand::handler(quote!(broadcast, retry(attempts = 2)), item));
}

#[test]
fn workflows() {
    let item = quote! {
        /// Takes an order to its end.
        impl OrderFlow {
            const LIMIT: usize = 3;
            /// Takes the money.
            #[stage(compensate = refund, timeout = "20s", retry(attempts = 3, backoff = exponential("1s", "30s")))]
            async fn charge(&mut self, payments: State<Payments>, key: StageKey) -> Result {
                body
            }
            #[stage(when = is_abroad, repeat = has_more, delay = "1h", irreversible, continue_on_failure)]
            pub async fn ship(&mut self) {
                body
            }
            #[stage(compensate = refund, when = is_abroad)]
            async fn again(&mut self) -> std::result::Result<(), Failure> {}
            async fn refund(&mut self, payments: State<Payments>) -> Result {
                body
            }
            fn is_abroad(&self) -> bool {
                body
            }
            fn has_more(&self) -> bool {
                body
            }
        }
    };
    let args = quote!(
        id = "order-processing",
        timeout = "10m",
        version = 2,
        prefix = "ecommerce.workflow.",
        concurrency = PLACES * 2,
        events
    );
    check("workflow", expand::workflow(args, item));
    let item = quote! {
        impl flows::OrderFlow {
            #[stage(parallel = checks)]
            async fn credit(&self, bank: State<Bank>) -> Result<Score> {}
            #[stage(parallel = checks, when = is_abroad, compensate = undo)]
            async fn customs(&self) -> Result<Duty, Failure> {}
            #[stage(join = checks)]
            async fn judge(&mut self, credit: Score, customs: Option<Duty>, of: State<Self>) -> Result {}
            async fn undo(&self) {}
            fn is_abroad(&self) -> bool {}
        }
    };
    check("workflow_group", expand::workflow(TokenStream::new(), item));
}

#[test]
fn workflows_that_wait() {
    let item = quote! {
        impl OrderFlow {
            #[stage(wait_for = PaymentReceived, key = order_id)]
            async fn paid(&mut self, event: PaymentReceived, log: State<Log>) -> Result {}

            #[stage(wait_for = events::Reminded, key = order_id, within = "24h", retry(attempts = 2))]
            async fn reminded(&mut self, event: Option<events::Reminded>) {}

            #[cfg(feature = "stock")]
            #[stage(reply = reserved, within = "2m", compensate = release, timeout = "5s", delay = "1h")]
            async fn reserve(&self, key: StageKey) -> Result<ReserveStock> {}

            /// The answer.
            async fn reserved(&mut self, reply: StockReserved, stock: State<Stock>) -> Result {}

            #[stage(ended = shipped)]
            async fn ship(&self) -> Result<Vec<Self>, Failure> {}

            async fn shipped(&mut self, ended: Ended<Vec<Self>>) {}

            async fn release(&mut self, key: StageKey) {}
        }
    };
    check("workflow_waits", expand::workflow(TokenStream::new(), item));
}

#[test]
fn providers() {
    let item = quote!(
        async fn orders(config: Config) -> Result<Orders> {
            body
        }
    );
    check("provider", expand::provider(TokenStream::new(), item));
    let item = quote!(
        fn clock() -> Clock {
            Clock
        }
    );
    check("provider_at_once", expand::provider(TokenStream::new(), item));
}

#[test]
fn errors() {
    check(
        "message_error",
        expand::message_error(quote! {
            enum OrderError {
                #[class(transient)] Warehouse(#[source] io::Error),
                #[class(reject = "BLOCKED")] Blocked { customer: String },
                Storage(#[from] sql::Error),
                Unclassified,
            }
        }),
    );
}

#[test]
fn programs() {
    let args = quote!(crates(orders, billing), worker_threads = 4);
    check(
        "program",
        expand::main(
            args,
            quote!(
                async fn main() -> mmate::Result {
                    body
                }
            ),
        ),
    );
    let item = quote!(
        #[ignore]
        async fn an_order_is_placed(app: TestApp) -> Result<()> {
            body
        }
    );
    check("program_of_a_test", expand::test(TokenStream::new(), item));
}

#[test]
fn another_name_of_the_crate_is_used_everywhere() {
    let root = quote!(crate = ::messaging);
    let expansions = [
        expand::message(quote!(command, #root), order()),
        expand::payload(root.clone(), order()),
        expand::handler(
            root.clone(),
            quote!(
                async fn on(event: E, ctx: C) -> R {}
            ),
        ),
        expand::workflow(
            root.clone(),
            quote!(
                impl Flow {
                    #[stage(compensate = undo)]
                    async fn go(&mut self, ctx: C) -> R {}
                    async fn undo(&mut self) {}
                }
            ),
        ),
        expand::provider(
            root.clone(),
            quote!(
                fn clock(c: Config) -> Clock {}
            ),
        ),
        expand::message_error(quote!(
            #[mmate(#root)]
            struct Oops {
                source: Inner,
            }
        )),
        expand::main(
            root.clone(),
            quote!(
                async fn main() {}
            ),
        ),
        expand::test(
            root,
            quote!(
                async fn works() {}
            ),
        ),
    ];
    for expansion in expansions {
        let text = expansion.to_string();
        assert!(text.contains(":: messaging :: __private"), "{text}");
        assert!(!text.contains(":: mmate") && !text.contains("\"::mmate"), "{text}");
    }
}
