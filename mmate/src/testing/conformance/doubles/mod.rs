//! Broken transports: each is the broker in this process with one defect.
//!
//! In: a [`Fault`]. Out: a transport that has it. The suite's own tests call this room, to show that
//! each behaviour can fail, and fails for a reason that points at the defect.

mod subscription;
mod transport;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::subscription::FaultySubscription;
use crate::transport::memory::MemoryTransport;
use crate::transport::{Outgoing, Transport};

/// What is wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing: to show that it is the defect that is found, and not the wrapper.
    None,
    // What travels.
    TruncatesBodies,
    SkipsEmptyBodies,
    LimitsBodies,
    DropsProperties,
    HeadersAsText,
    ScalarHeadersOnly,
    AsciiHeadersOnly,
    DropsHeaders,
    ForgetsAddress,
    // Publishing.
    ConfirmsEarly,
    Reorders,
    Duplicates,
    LosesUnroutable,
    KeepsUnroutable,
    AlwaysMandatory,
    IgnoresMissingExchange,
    // Routing.
    DefaultReachesFirstQueue,
    StarIsHash,
    HashNeedsAWord,
    HashIsStar,
    HashOnlyAtTheEnd,
    LiteralIsPrefix,
    DirectIsTopic,
    FanoutIsDirect,
    OneQueuePerPattern,
    // Consuming.
    NeverWakes,
    IgnoresPrefetch,
    NeverRefills,
    CreatesMissingQueues,
    LosesInSilence,
    IgnoresCancel,
    HangsAfterCancel,
    CancelReturnsHeld,
    LeaksSubscriptions,
    // Settling.
    SwallowsAcks,
    AcksAllBefore,
    AcksOnDelivery,
    AcksUnseen,
    RequeueDrops,
    HidesRedelivery,
    AlwaysRedelivered,
    RenamesRedelivered,
    CountsToOne,
    RejectDrops,
    RejectRequeues,
    AcksAfterLoss,
    // Time, priority, length.
    KeepsExpired,
    ExpiresAtOnce,
    DeadLettersExpire,
    IgnoresPriority,
    IgnoresLength,
    DropsOldest,
    StaysFull,
    // Delays.
    DelaysNothing,
    DelaysInLine,
    // Declaring.
    DeclareRecreates,
    TerseMismatch,
    IgnoresMismatch,
    MismatchBreaksConnection,
    StatsOfNothing,
    DeleteKeeps,
    DeleteInsists,
    ExclusiveIsShared,
    // Closing.
    PublishesAfterClose,
    SubscribesAfterClose,
    HangsOnSecondClose,
    ClosesEverybody,
}

/// A broken transport.
#[derive(Debug)]
pub(super) struct Faulty {
    fault: Fault,
    inner: Arc<MemoryTransport>,
    /// A connection that works, for defects that do what they must not.
    spare: MemoryTransport,
    state: Mutex<State>,
    shared: Arc<Shared>,
}

/// What a defect remembers on one connection.
#[derive(Debug, Default)]
struct State {
    pending: Option<Outgoing>,
    longest_delay: Option<Duration>,
    full: bool,
    broken: bool,
    closed: bool,
}

/// What a defect remembers of all connections.
#[derive(Debug, Default)]
pub(super) struct Shared {
    connections: Mutex<Vec<Arc<MemoryTransport>>>,
    unroutable: Mutex<Vec<Outgoing>>,
    /// The queue that a pattern of an exchange was bound to first.
    bound: Mutex<BTreeMap<(String, String), String>>,
    first_queue: Mutex<Option<String>>,
}

/// A function that makes connections to one new broker, all of them with this defect.
pub(super) fn connect(
    fault: Fault,
) -> impl Fn() -> std::future::Ready<super::bench::Connected> + Send + Sync + 'static {
    let (broker, shared) = (MemoryTransport::new(), Arc::new(Shared::default()));
    move || {
        let inner = Arc::new(broker.clone());
        lock(&shared.connections).push(Arc::clone(&inner));
        let transport: Arc<dyn Transport> = Arc::new(Faulty {
            fault,
            inner,
            spare: broker.clone(),
            state: Mutex::default(),
            shared: Arc::clone(&shared),
        });
        std::future::ready(Ok(transport))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
