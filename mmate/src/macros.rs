//! The attributes, with their documentation.

/// Declares a message: a struct or an enum that travels between services in its own envelope.
///
/// The first word is the kind: `command`, `event`, `query` or `reply`. Each kind is a trait, so that an
/// event sent as a command, or a question without an answer, does not compile.
///
/// ```
/// # use mmate::{message, payload};
/// /// Asks the orders service to place an order.
/// #[message(command, service = "orders", reply = OrderPlaced)]
/// pub struct CreateOrder {
///     pub customer_id: String,
///     pub items: Vec<OrderItem>,
///     pub note: Option<String>,
/// }
///
/// #[message(reply)]
/// pub struct OrderPlaced {
///     pub order_id: String,
/// }
///
/// #[message(event, aggregate = "order", key = order_id, alias = "OrderMade", version = 2)]
/// pub struct OrderCreated {
///     pub order_id: String,
/// }
///
/// #[payload]
/// pub struct OrderItem {
///     pub product_id: String,
/// }
/// ```
///
/// # What it adds
///
/// `Clone`, `Debug`, `Serialize`, `Deserialize` and `JsonSchema`, save those that a `#[derive(..)]`
/// *below* it has already; camelCase names on the wire, unless `#[serde(rename_all = ..)]` says otherwise;
/// fields that are `None` stay away from the wire. The doc comment becomes the description in schemas and
/// listings. The program needs no `serde`, `schemars` or `inventory` of its own.
///
/// `#[message]` goes above every `#[derive(..)]`: what stands above it is derived a second time.
///
/// # Keys
///
/// | key | for | meaning |
/// |---|---|---|
/// | `service = "orders"` | command, query | the service that it is sent to; without it, the sender's own |
/// | `queue = "cmd.orders"` | command, query | the queue, instead of the one that follows from the service |
/// | `aggregate = "order"` | event | the kind of thing that it is about |
/// | `key = order_id` | event, command | the field that identifies the thing |
/// | `reply = OrderPlaced` | command, query | the type of the answer; a query has one |
/// | `name = "Created"` | all | the name on the wire; without it, the type's |
/// | `alias = "OldName"` | all | further names that are accepted; several as `["A", "B"]` |
/// | `version = 2` | all | the contract's version, from 1 |
/// | `priority = 9` | all | from 0 to 9 |
/// | `ttl = "10m"` | all | how long it is worth handling |
/// | `crate = ::path` | all | where `mmate` is, if it has another name |
///
/// A message is a JSON object: a struct with named fields, or an enum whose variants have data. An enum
/// with a variant that has none takes `#[serde(tag = "..")]`. Everything that is wrong with an attribute is
/// reported at once, at the word to change.
#[doc(inline)]
pub use mmate_macros::message;

/// Declares a value that travels inside messages: serde and JSON schema as with
/// [`#[message]`](macro@message), without a name of its own on the wire.
///
/// ```
/// # use mmate::payload;
/// #[payload]
/// pub struct Page<T> {
///     pub items: Vec<T>,
///     pub next: Option<u32>,
/// }
///
/// #[payload]
/// pub enum Size {
///     Small,
///     Large,
/// }
/// ```
///
/// Its only key is `crate = ::path`.
#[doc(inline)]
pub use mmate_macros::payload;

/// Declares a function that handles a message. There is nothing else to write: a service that is linked
/// with it handles the message.
///
/// The first parameter is the message, or an `Envelope` of it; the others are whatever implements
/// `FromContext`, in any order. The result decides what becomes of the message: `Ok` acknowledges it, an
/// error is treated by its class. The function stays an ordinary function, which a test may call.
///
#[cfg_attr(feature = "runtime", doc = "```")]
#[cfg_attr(not(feature = "runtime"), doc = "```ignore")]
/// # use mmate::{handler, message, handler::{Context, HandlerResult as Result, State}};
/// # #[message(command, reply = OrderPlaced)]
/// # pub struct CreateOrder { pub customer_id: String }
/// # #[message(reply)]
/// # pub struct OrderPlaced { pub order_id: String }
/// # #[message(event)]
/// # pub struct OrderCreated { pub order_id: String }
/// # pub struct Orders;
/// # impl Orders { async fn place(&self, order: CreateOrder) -> Result<String> { Ok(order.customer_id) } }
/// #[handler(concurrency = 16, timeout = "30s", retry(attempts = 5, backoff = exponential("100ms", "30s")))]
/// async fn create_order(order: CreateOrder, orders: State<Orders>) -> Result<OrderPlaced> {
///     Ok(OrderPlaced { order_id: orders.place(order).await? })
/// }
///
/// #[handler]
/// async fn on_created(event: OrderCreated, context: Context) {
///     println!("{} at attempt {}", event.order_id, context.attempt());
/// }
/// ```
///
/// # Keys
///
/// | key | meaning |
/// |---|---|
/// | `queue = "cmd.orders"` | the queue; without it, it follows from the message and the service |
/// | `topic = "evt.#.Created"` | the pattern that binds the queue |
/// | `group = "billing"` | the name that stands for the service in the queue's name; not with `queue` |
/// | `concurrency = 16` | how many messages are handled at a time, per process |
/// | `prefetch = 32` | how many messages the broker hands over in advance |
/// | `timeout = "30s"` | how long one call may take |
/// | `retry(..)` | `attempts = 5`: calls in all; `backoff`: `exponential("100ms", "30s")`, `linear("1s", "30s")`, `fixed("1s")`, or `custom(waits)` with `fn waits(attempt: u32) -> Duration`, at most 7 days; `jitter = 0.1` |
/// | `breaker` | stops calling what keeps failing; `breaker(failures = 5, reset = "30s", probes = 3, name = "payments")` |
/// | `rate(100, per = "1s")` | how many calls may begin in which time, per process; `burst = 10`: how many at once |
/// | `bulkhead("db", 10)` | so many calls of all handlers with this bulkhead run at a time, per process |
/// | `fallback = cached_price` | the function that is called instead once the attempts are spent |
/// | `cache = "5m"` | a query that was answered less than so long ago is answered without a call; `cache(ttl = "5m", size = 1000)` |
/// | `idempotent` | a message that was handled in this process is not handled again; `idempotent(ttl = "1d", size = 10000)` |
/// | `dead_letter = "dlq.orders"` | where a message goes that failed for good; one that several queues share is replayed by copies |
/// | `broadcast` | every instance gets its own copy; not with `queue`, `group`, `queue_type`, `max_priority` |
/// | `queue_type = classic` | `quorum`, the default, or `classic` |
/// | `max_priority = 9` | the highest priority that the queue distinguishes; makes it classic |
/// | `crate = ::path` | where `mmate` is, if it has another name |
///
/// `concurrency`, `prefetch` and the size of a bulkhead take constants as well as numbers.
///
/// # Limits
///
/// A message waits for rate, bulkhead and breaker before the handler is called: no attempt is used up, nothing
/// is dropped, and the time limit begins with the call. While messages wait they take up the handler's
/// `concurrency`, so that the backlog stays in the broker. At shutdown they are left unacknowledged at once.
///
/// **`breaker`** opens after `failures` (5) failures in a row, calls nothing for `reset` (30 s, at most 7 days),
/// then lets `probes` (3) calls through: one failure among them opens it again, else it closes. Only errors
/// of the classes `transient`, `throttle` and `system` are failures, and calls that overran their time limit. Only a
/// success breaks the row; rejections and errors about the message neither count nor break it. While it is open, the queue's
/// readiness is `Waiting`. Handlers whose breakers have one `name` share one breaker; what they say about it must be
/// the same.
///
/// **`rate`** spreads calls evenly, each attempt counted, up to 1,000,000 calls. Without `burst`, as many as come in
/// 10 ms may begin at once.
///
/// **`fallback`** is an `async fn` with the handler's parameters and result, without an attribute. It is called when the
/// attempts are spent, and while the breaker is open, instead of waiting; not for `invalid`, `permanent`, rejected or
/// unreadable messages. Its `Ok` finishes the message as the handler's would; its `Err` dead-letters it with both errors.
/// `Context::is_fallback` tells it from the handler. It has the handler's time limit and waits for none of its other limits.
///
/// # Cache
///
/// **`cache`** is for queries. An equal query within `ttl` (up to 7 days) of the end of the call gets the same answer, without a call
/// and before any limit; the ledger counts it as `handled`, for the reason `cached`. Each process keeps the last `size` (1,000, at most
/// 1,000,000) answers of each handler; the one that was not asked for the longest makes room. What bounds the memory is
/// `size` times your own reply and query.
///
/// - **Equal** are queries with the same type, version (`x-schema-version`), payload as JSON (order of keys and white space
///   aside), and the same values of the headers that `wire.flow_headers` names, such as a tenant. **Nothing else counts: no other
///   header, and not who asks.** A handler whose answer depends on anything else must not be cached. The family's fields `replyTo` and
///   `targetService` inside the payload do not count either, unless the message has a field of that name. A query of more than 64 KiB is
///   not cached.
/// - **Single flight**: while an equal query is being answered in the process, the others wait for its answer. If the call fails,
///   is refused or cut off, that concerns its own message, and the next one calls. Who waits for calls longer than one call
///   may take (`timeout`) fails as if its own call had; at shutdown who waits is left unacknowledged at once.
/// - **Only answers are kept**, and only once all that followed from the call has left: no error, no rejection, no answer of a
///   `fallback`. What the handler publishes belongs to the call and is not published again with a cached answer.
///
/// # Repeated messages
///
/// **`idempotent`** remembers the ids of messages that were handled, and what was answered. A message that comes again under the
/// same id and type (a redelivery, a sender that sent twice, a request that was asked again with the id of an
/// [`AskError`](crate::bridge::AskError::id)) is not handled: whoever asks gets the first answer, and nothing is published again. It is counted as
/// `handled`, for the reason `repeated`. Repetitions that are there at the same time wait for the one call that is under way. A
/// failed, rejected or cut off attempt is not remembered: the next one runs.
///
/// The memory is the process's own: the last `size` (10,000, at most 1,000,000) messages of the handler, for `ttl` (a day, at most 7 days)
/// each. **After a restart, or in another replica, the message is handled again**, so an effect that must not happen twice
/// needs a key of its own where it happens.
///
/// Beside the function there is a type of the same name, which implements `Handler`, for apps that choose
/// their handlers by hand. `MMATE_MACROS_DEBUG=create_order` in the environment of the compiler prints
/// what the attribute writes.
#[doc(inline)]
pub use mmate_macros::handler;

/// Declares a workflow: a state, and the stages that take it from its beginning to its end, or undo what they did.
///
/// It goes on the `impl` block of the state, which is any type that serde can write and read: `#[payload]` makes one. Methods with
/// [`#[stage]`](macro@stage) are the stages. **They run in the order in which they are written**, each once it is durable that the
/// one before is done.
///
#[cfg_attr(feature = "runtime", doc = "```")]
#[cfg_attr(not(feature = "runtime"), doc = "```ignore")]
/// use mmate::prelude::*;
/// # pub struct Inventory;
/// # impl Inventory { async fn hold(&self, key: &StageKey) -> Result { Ok(()) } async fn free(&self, key: &StageKey) -> Result { Ok(()) } }
/// # pub struct Payments;
/// # impl Payments {
/// #     async fn charge(&self, key: &StageKey) -> Result<String> { Ok(key.to_string()) }
/// #     async fn refund(&self, charge: &StageKey, key: StageKey) -> Result { Ok(()) }
/// # }
///
/// #[payload]
/// pub struct OrderFlow {
///     pub order_id: String,
///     pub parcels: u32,
///     pub payment_id: Option<String>,
/// }
///
/// /// Takes an order from payment to shipment, or undoes it.
/// #[workflow(id = "order-processing", timeout = "10m")]
/// impl OrderFlow {
///     #[stage(compensate = release_inventory, timeout = "20s")]
///     async fn reserve_inventory(&mut self, inventory: State<Inventory>, key: StageKey) -> Result {
///         inventory.hold(&key).await
///     }
///
///     #[stage(compensate = refund, retry(attempts = 3, backoff = exponential("1s", "30s")))]
///     async fn charge(&mut self, payments: State<Payments>, key: StageKey) -> Result {
///         self.payment_id = Some(payments.charge(&key).await?);
///         Ok(())
///     }
///
///     #[stage(repeat = has_more)]
///     async fn pack(&mut self) {
///         self.parcels -= 1;
///     }
///
///     #[stage(continue_on_failure)]
///     async fn notify(&mut self, publisher: Publisher) -> Result {
/// #       let _ = publisher;
///         Ok(())
///     }
///
///     async fn release_inventory(&mut self, inventory: State<Inventory>, key: StageKey) -> Result {
///         inventory.free(&key).await
///     }
///
///     // By the key of the charge: whether `payment_id` was written down is not known.
///     async fn refund(&mut self, payments: State<Payments>, key: StageKey) -> Result {
///         payments.refund(&key, key.undo()).await
///     }
///
///     fn has_more(&self) -> bool {
///         self.parcels > 0
///     }
/// }
/// ```
///
/// # Keys
///
/// | key | without it | meaning |
/// |---|---|---|
/// | `id = "order-processing"` | the type's name in kebab case | its name in queues and listings: letters, digits, `-`, `_` and `.` |
/// | `timeout = "10m"` | no limit | how long an instance may take, from its start to its last stage |
/// | `version = 2` | 1 | its version, from 1; an instance ends on the version that it started with |
/// | `prefix = "ecommerce.workflow."` | `stageflow.` | what the names of its queues begin with |
/// | `concurrency = 10` | 10 | how many instances are at one stage at a time, per process; a number or a constant |
/// | `events` | none | its life is published as events |
/// | `complete` | the boot lists them | a stage that takes services, may be followed by a failure and has neither `compensate` nor `irreversible` does not compile |
/// | `crate = ::path` | `::mmate` | where `mmate` is, if it has another name |
///
/// **The id from a name**: all in lower case, with a `-` before each upper-case letter that begins a word, and for each `_`. A word
/// begins after a lower-case letter or a digit, and before the last of several upper-case letters: `OrderFlow` is `order-flow`,
/// `HTTPRelay` is `http-relay`, `Order2Go` is `order2-go`. Renaming the type is a new workflow then, whose instances are not those of
/// the old one.
///
/// # The state
///
/// `self` is the state that travels from stage to stage. What a stage has changed is kept if the stage succeeds; **what a failed attempt
/// has changed is dropped**, and the next attempt sees the state as the first one did.
///
/// # What undoes a stage
///
/// If a stage fails for good, those before it are undone in reverse: the method that `compensate` names is called for each, until it
/// succeeds. It is any other `async` method of the block: it takes `&mut self`, or `&self`, and what a stage may ask for.
///
/// **It is also called for a stage whose outcome is unknown**: one that overran its time limit, panicked, whose process was killed, or
/// whose error says so: [`OutcomeUnknown`](crate::reliability::OutcomeUnknown), or one with which nobody has answered a question
/// ([`AskError`](crate::bridge::AskError)). One such attempt is enough, whatever the others say. Such a stage may have had its effect or not, and what it would have written into the state is not there. So the method
///
/// - must be idempotent, and succeed if there is nothing to undo;
/// - must not rely on what its stage would have written into the state: it finds the effect by the
///   [`StageKey`](crate::workflow::StageKey), which is that of the stage it undoes.
///
/// `MMATE_MACROS_DEBUG=OrderFlow` in the environment of the compiler prints what the attribute writes. The methods stay ordinary methods,
/// which a test may call.
#[doc(inline)]
pub use mmate_macros::workflow;

/// Declares a stage of a workflow: an `async` method of an `impl` block with [`#[workflow]`](macro@workflow).
///
/// A stage takes `&mut self`, and further parameters in any order: `State<T>`, `Publisher`, `Bridge`, `Context` and whatever else
/// implements `FromContext`; and of its own
///
/// - [`StageKey`](crate::workflow::StageKey): the same on every attempt of the same stage of the same instance, in every process, also
///   after a crash. An outside service gets it as its idempotency key, so that a stage that is tried again has its effect once.
/// - [`StageInfo`](crate::workflow::StageInfo): which stage of which instance it is, and at which attempt.
///
/// It returns nothing, `Result`, or `Result<(), E>` with any error type `E`, which is treated by its class as a handler's. **An error says
/// that the attempt had no effect.** Where that is not known, it is wrapped, and the stage is undone if it fails for good:
/// `bank.charge(..).await.map_err(OutcomeUnknown::new)?`.
///
/// # Keys
///
/// | key | without it | meaning |
/// |---|---|---|
/// | `compensate = refund` | it is not undone | the method of this block that undoes it; several stages may name one |
/// | `irreversible` | - | says that nothing can undo it; not with `compensate` |
/// | `timeout = "20s"` | `consume.timeout` | how long one attempt may take |
/// | `retry(..)` | the default policy | as with [`#[handler]`](macro@handler) |
/// | `continue_on_failure` | the workflow is undone | when it has failed for good, the workflow goes on with the state from before it |
/// | `when = is_abroad` | it always runs | it is left out if this `fn(&self) -> bool` of the block says no |
/// | `repeat = has_more` | it runs once | it runs again as long as this `fn(&self) -> bool` of the block says yes after it; each round has its own `StageKey` |
/// | `delay = "1h"` | none | how long the workflow waits before it; nothing is held meanwhile, and the wait outlives restarts |
/// | `parallel = checks` | it runs alone | it is a branch of this group |
/// | `join = checks` | it runs alone | it takes the values of the branches of this group |
/// | `wait_for = PaymentReceived` | it begins at once | it waits for this event |
/// | `key = order_id` | needed with `wait_for` | the field of the state that equals the event's own key |
/// | `reply = reserved` | it asks nobody | its method gives a request; this method of the block takes the reply |
/// | `ended = shipped` | it starts nothing | its method gives the state of another workflow; this method of the block takes its end |
/// | `within = "24h"` | it waits without limit | how long it waits, with any of these three |
///
/// `delay` and `repeat` are for stages that run alone. The names of methods and groups are written as they are, without quotes.
///
/// # Groups
///
/// Branches of one group run beside each other. They follow each other, two at least, and their join follows them. **A branch** takes
/// `&self`, since all see the same state, and returns `Result<T>`, or `Result<T, E>`, with a value. **The join** takes `&mut self`,
/// then the values in the order in which the branches are written, then what a stage may ask for. The value of a branch is a `T`, or an
/// `Option<T>` if the branch has `when` or `continue_on_failure`.
///
#[cfg_attr(feature = "runtime", doc = "```")]
#[cfg_attr(not(feature = "runtime"), doc = "```ignore")]
/// use mmate::prelude::*;
/// # pub struct Bank;
/// # impl Bank { async fn score(&self) -> Result<u32> { Ok(1) } }
///
/// #[payload]
/// pub struct Application {
///     pub country: String,
///     pub granted: bool,
/// }
///
/// #[payload]
/// pub struct Duty {
///     pub cents: u64,
/// }
///
/// #[workflow]
/// impl Application {
///     #[stage(parallel = checks)]
///     async fn credit(&self, bank: State<Bank>) -> Result<u32> {
///         bank.score().await
///     }
///
///     #[stage(parallel = checks, when = is_abroad)]
///     async fn customs(&self) -> Result<Duty> {
///         Ok(Duty { cents: 100 })
///     }
///
///     #[stage(join = checks)]
///     async fn judge(&mut self, score: u32, duty: Option<Duty>) {
///         self.granted = score > 600 && duty.is_none();
///     }
///
///     fn is_abroad(&self) -> bool {
///         self.country != "DE"
///     }
/// }
/// ```
///
/// # Stages that wait
///
/// A stage may wait for an event, for the reply of another service, or for the end of another workflow. While it waits there is
/// nothing but the instance in the store: no task, no message, no lock; restarts do not matter. So an app with such a stage needs
/// `workflows.store`, and does not start without. A stage that waits is neither repeated nor part of a group; `when` decides whether
/// it asks and waits at all.
///
#[cfg_attr(feature = "runtime", doc = "```")]
#[cfg_attr(not(feature = "runtime"), doc = "```ignore")]
/// use mmate::prelude::*;
/// use mmate::store::WorkflowStatus;
///
/// #[message(event, key = order_id)]
/// pub struct PaymentReceived {
///     pub order_id: String,
/// }
///
/// #[message(command, service = "stock", reply = StockReserved)]
/// pub struct ReserveStock {
///     pub order_id: String,
///     pub key: String,
/// }
///
/// #[message(command, service = "stock")]
/// pub struct ReleaseStock {
///     pub key: String,
/// }
///
/// #[message(reply)]
/// pub struct StockReserved {
///     pub shelf: u32,
/// }
///
/// #[payload]
/// pub struct OrderFlow {
///     pub order_id: String,
///     pub shelf: Option<u32>,
///     pub is_paid: bool,
/// }
///
/// #[workflow]
/// impl OrderFlow {
///     #[stage(reply = reserved, within = "2m", compensate = release)]
///     async fn reserve(&self, key: StageKey) -> Result<ReserveStock> {
///         Ok(ReserveStock { order_id: self.order_id.clone(), key: key.to_string() })
///     }
///
///     async fn reserved(&mut self, reply: StockReserved) {
///         self.shelf = Some(reply.shelf);
///     }
///
///     #[stage(wait_for = PaymentReceived, key = order_id, within = "24h")]
///     async fn paid(&mut self, event: Option<PaymentReceived>) {
///         self.is_paid = event.is_some();
///     }
///
///     #[stage(ended = shipped, within = "3d", when = is_due, irreversible)]
///     async fn ship(&self) -> Result<Shipping> {
///         Ok(Shipping { order_id: self.order_id.clone() })
///     }
///
///     async fn shipped(&mut self, ended: Ended<Shipping>) -> Result {
///         match ended.status {
///             WorkflowStatus::Completed => Ok(()),
///             status => Err(Reject::new("NOT_SHIPPED", status.to_string()).into()),
///         }
///     }
///
///     async fn release(&mut self, key: StageKey, publisher: Publisher) -> Result {
///         publisher.send(ReleaseStock { key: key.to_string() }).await?;
///         Ok(())
///     }
///
///     fn is_due(&self) -> bool {
///         self.is_paid
///     }
/// }
///
/// #[payload]
/// pub struct Shipping {
///     pub order_id: String,
/// }
///
/// #[workflow]
/// impl Shipping {
///     #[stage]
///     async fn pack(&mut self) {}
/// }
/// ```
///
/// **An event** (`wait_for`, `key`) is for the instances whose field has the text of the event's own key, the one that
/// `#[message(event, key = ..)]` names. One that comes before the instance waits is kept for it, as long as `workflows.keep` says. If several instances
/// wait for it, the first that takes it has it, and the others go on waiting. The method
/// takes `&mut self` and the event, or an `Option` of it; further parameters follow.
///
/// **A reply** (`reply`): the stage's method takes `&self`, since the state changes when the answer is there, and returns `Result<M>`,
/// or `Result<M, E>`, where `M` is a message with `reply = ..`. It leaves once the method has succeeded, and has the same id in every
/// attempt. The other method takes `&mut self` and the reply; further parameters follow. It is no stage, undoes none, and takes the
/// reply of one stage only. If the other side refuses (`Reject`), the stage has failed, and is not undone. If it answers that it has failed
/// itself (`REQUEST_FAILED`, or an error without a code), nobody knows what it has done, and the stage is undone.
///
/// **The end of a workflow** (`ended`): the same with the state of a workflow of the same app. The other method takes `&mut self` and
/// [`Ended<W>`](crate::workflow::Ended), however it ended: completed, undone or cancelled. If the instance is cancelled, or waits no
/// longer, the workflow that it has started is cancelled.
///
/// **Nothing came `within` the time**: the stage has failed, unless its method takes an `Option`, which is `None` then. What was asked, or
/// started, may have been done, so the stage counts as one whose outcome is unknown: `compensate` is called for it too. For an
/// event there is nothing to undo. `timeout` and `retry` are about the methods, each by itself; what came is kept until its method has
/// succeeded or failed for good.
#[doc(inline)]
pub use mmate_macros::stage;

/// Declares a function that builds a shared value when the service boots. Handlers ask for it with
/// `State<T>`.
///
/// The parameters are what other providers built, as `State<T>`, and what the framework offers, such as
/// `Publisher` or `Bridge`. The function is async or not, and returns `T` or `Result<T, E>`; an error refuses
/// the boot.
///
#[cfg_attr(feature = "runtime", doc = "```")]
#[cfg_attr(not(feature = "runtime"), doc = "```ignore")]
/// # use mmate::{provider, handler::{HandlerResult as Result, State}};
/// pub struct Clock;
/// pub struct Orders { clock: State<Clock> }
///
/// #[provider]
/// fn clock() -> Clock {
///     Clock
/// }
///
/// #[provider]
/// async fn orders(clock: State<Clock>) -> Result<Orders> {
///     Ok(Orders { clock })
/// }
/// ```
///
/// A function whose return type ends in the word `Result` can fail; any other value is provided as it is.
/// Its only key is `crate = ::path`.
#[doc(inline)]
pub use mmate_macros::provider;

/// Says what an error means for the message that was being handled.
///
/// ```
/// # use mmate::MessageError;
/// # use std::{fmt, io};
/// #[derive(Debug, MessageError)]
/// pub enum OrderError {
///     #[class(transient)]
///     Warehouse(io::Error),
///     #[class(reject = "BLOCKED")]
///     Blocked(String),
/// }
/// # impl fmt::Display for OrderError {
/// #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("order") }
/// # }
/// # impl std::error::Error for OrderError {}
/// ```
///
/// | class | what follows |
/// |---|---|
/// | `transient`, `system` | another attempt, with growing waits |
/// | `throttle` | another attempt, with waits that grow slowly |
/// | `invalid`, `permanent` | no further attempt: the message is dead-lettered |
/// | `unknown` | the default policy |
/// | `reject = "CODE"` | a refusal: the caller gets the code, and the message is done |
///
/// A variant without a class that has a `#[source]` or `#[from]` field, or one named `source`, takes the
/// class of that error; else it is `unknown`. If that error is an [`OutcomeUnknown`](crate::reliability::OutcomeUnknown), or says
/// as much, so does the one around it, whatever its class. A struct has one class for all its values. The type implements
/// [`std::error::Error`], by hand or by a derive of your choice, and is not generic.
/// `#[mmate(crate = ::path)]` says where `mmate` is, if it has another name.
#[doc(inline)]
pub use mmate_macros::MessageError;

/// Makes `async fn main()` the program of a service.
///
#[cfg_attr(feature = "runtime", doc = "```no_run")]
#[cfg_attr(not(feature = "runtime"), doc = "```ignore")]
/// #[mmate::main]
/// async fn main() -> std::io::Result<()> {
///     Ok(())
/// }
/// ```
///
/// | key | meaning |
/// |---|---|
/// | `crates(orders, billing)` | links crates whose handlers belong to the service, though nothing names them |
/// | `worker_threads = 4` | how many threads run the handlers |
/// | `crate = ::path` | where `mmate` is, if it has another name |
///
/// A crate that nothing in the program names is not linked, and its handlers would be missing without a
/// word: that is what `crates(..)` is for.
#[doc(inline)]
pub use mmate_macros::main;

/// Makes an `async fn` a test of a service. Its parameter, if it has one, is the app under test.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// #[mmate::test]
/// async fn two_and_two_is_four() {
///     assert_eq!(2 + 2, 4);
/// }
/// ```
///
/// An `Err` that the function returns fails the test. `#[ignore]`, `#[should_panic]` and lints work as in any
/// test. The keys are `crates(..)` and `crate = ::path`, as with [`#[mmate::main]`](macro@main).
#[doc(inline)]
pub use mmate_macros::test;
