//! Message and options -> envelope -> outgoing bytes.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::options::PublishOptions;
use super::outbox::Origin;
use super::scratch;
use crate::contract::address::{Address, check_name, check_routing_key};
use crate::contract::envelope::{self, Meta};
use crate::contract::headers::{Headers, names};
use crate::contract::{HeaderValue, Message, MessageInfo, Source, Text};
use crate::transport::{Outgoing, Properties, PublishError, PublishErrorKind};

/// Which properties and headers are written beside the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireOptions {
    /// Also write message, correlation and causation id as `X-..-ID` headers. Costs the broker time.
    pub mirror_headers: bool,
    /// Check payloads against their schema before they are published.
    pub validate: bool,
}

/// Turns messages into bytes for one service.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The service's name, written as `app_id`.
    pub service: std::sync::Arc<str>,
    /// Where ids and times come from.
    pub source: Source,
    /// What is written beside the body.
    pub wire: WireOptions,
    /// Headers that go from the message being handled to what is published meanwhile.
    pub flow_headers: std::sync::Arc<[String]>,
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
}

impl Encoder {
    /// Encodes a message. `origin` is the message that is being handled, if any.
    ///
    /// # Errors
    /// [`PublishErrorKind::Invalid`] for a mistake in the options, an address that is too long, a
    /// payload that is no JSON or breaks its schema; [`PublishErrorKind::TooLarge`].
    pub(super) fn encode<M: Message>(
        &self,
        message: &M,
        mut options: PublishOptions,
        origin: Option<&Origin>,
    ) -> Result<Outgoing, PublishError> {
        let key = message.key();
        let meta = self.meta(M::INFO.name, &mut options, origin)?;
        let service = M::INFO.service.unwrap_or(&self.service);
        let mut fields = envelope::kind_fields::<M>(service, key.as_deref());
        fields.reply_to = meta.reply_to.as_deref();
        let body = scratch::body(|body| envelope::write(body, &meta, message, &fields))
            .map_err(|error| unwritable(&meta, &error))?;
        let address = Address::of(M::INFO, &self.service, key.as_deref());
        self.finish(Some(M::INFO), address, meta, &options, body)
    }

    /// Encodes an answer to a request, for the request's reply address.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub(crate) fn encode_reply(
        &self,
        name: &'static str,
        payload: &dyn erased::Payload,
        to: &str,
        origin: &Origin,
    ) -> Result<Outgoing, PublishError> {
        let mut options = PublishOptions { optional: true, ..PublishOptions::default() };
        let meta = self.meta(name, &mut options, Some(origin))?;
        let body = scratch::body(|body| payload.write(&meta, body))
            .map_err(|error| unwritable(&meta, &error))?;
        self.finish(None, Address::queue(to), meta, &options, body)
    }

    /// Encodes what is no message of a user's, for a queue.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub(crate) fn encode_to<P: Serialize>(
        &self,
        name: &'static str,
        payload: &P,
        to: &str,
        mut options: PublishOptions,
        origin: Option<&Origin>,
    ) -> Result<Outgoing, PublishError> {
        let meta = self.meta(name, &mut options, origin)?;
        let fields = envelope::KindFields::default();
        let body = scratch::body(|body| envelope::write(body, &meta, payload, &fields))
            .map_err(|error| unwritable(&meta, &error))?;
        self.finish(None, Address::queue(to), meta, &options, body)
    }

    /// The id of a new message.
    pub(crate) fn next_id(&self, origin: Option<&Origin>) -> Text {
        origin.map_or_else(|| text(self.source.id()), Origin::next_id)
    }

    fn meta(
        &self,
        name: &'static str,
        options: &mut PublishOptions,
        origin: Option<&Origin>,
    ) -> Result<Meta, PublishError> {
        let given = options.message_id.take();
        let is_new = given.is_none();
        let id = given.unwrap_or_else(|| self.next_id(origin));
        if let Some(mistake) = options.mistake.take() {
            return Err(invalid(&id, format!("`{name}` was not published: {mistake}")));
        }
        let of_flow = options.correlation_id.take();
        let of_flow = of_flow.or_else(|| origin.map(|origin| origin.correlation_id().clone()));
        let mut meta = Meta {
            correlation_id: Some(of_flow.unwrap_or_else(|| id.clone())),
            id,
            message_type: name.into(),
            timestamp: self.now(),
            reply_to: options.reply_to.take(),
            causation_id: origin.map(|origin| origin.meta().id.clone()),
            headers: std::mem::take(&mut options.headers),
        };
        if let Some(HeaderValue::Text(given)) = meta.headers.remove(names::CAUSATION_ID) {
            meta.causation_id.get_or_insert(given);
        }
        // An id that was made here is a good one.
        let came = |id: &&Text| !(is_new && **id == meta.id);
        let ids = [Some(&meta.id), meta.correlation_id.as_ref(), meta.reply_to.as_ref()];
        for id in ids.into_iter().flatten().filter(came) {
            check_name(id)
                .map_err(|why| invalid(&meta.id, format!("an id or reply address {why}")))?;
        }
        if let Some(origin) = origin {
            origin.inherit_into(&mut meta.headers, &self.flow_headers);
        }
        Ok(meta)
    }

    /// Milliseconds are what the envelope carries; cutting here keeps property and body equal.
    fn now(&self) -> Timestamp {
        let now = self.source.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn finish(
        &self,
        info: Option<&'static MessageInfo>,
        address: Address,
        meta: Meta,
        options: &PublishOptions,
        body: Bytes,
    ) -> Result<Outgoing, PublishError> {
        check_routing_key(&address.routing_key).map_err(|why| {
            invalid(&meta.id, format!("the routing key of `{}` {why}", meta.message_type))
        })?;
        if body.len() > self.body_bytes_max {
            let text = format!(
                "`{}` has {} bytes; at most {} are sent (`limits.message_bytes_max`)",
                meta.message_type,
                body.len(),
                self.body_bytes_max
            );
            return Err(PublishError::new(PublishErrorKind::TooLarge, &meta.id, text));
        }
        if let Some(info) = info {
            self.validate(info, &meta, &body)?;
        }
        let properties = self.properties(info, meta, options);
        Ok(Outgoing::new(address, properties, body).mandatory(!options.optional))
    }

    #[cfg(feature = "validation")]
    fn validate(
        &self,
        info: &'static MessageInfo,
        meta: &Meta,
        body: &[u8],
    ) -> Result<(), PublishError> {
        if !self.wire.validate {
            return Ok(());
        }
        let validator =
            crate::contract::validate::Validator::of(info).map_err(|why| invalid(&meta.id, why))?;
        let checked = envelope::open(body).and_then(|opened| validator.check(opened.payload()));
        checked.map_err(|error| invalid(&meta.id, error.to_string()))
    }

    #[cfg(not(feature = "validation"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the other build has something to check"
    )]
    fn validate(&self, _: &'static MessageInfo, _: &Meta, _: &[u8]) -> Result<(), PublishError> {
        Ok(())
    }

    fn properties(
        &self,
        info: Option<&MessageInfo>,
        mut meta: Meta,
        options: &PublishOptions,
    ) -> Properties {
        let ttl_ms = options.ttl.map(millis).or(info.and_then(|info| info.ttl_ms));
        Properties {
            headers: self.headers(info.map_or(1, |info| info.version), &mut meta),
            priority: options.priority.or(info.and_then(|info| info.priority)),
            expiration_ms: ttl_ms,
            timestamp: u64::try_from(meta.timestamp.as_second()).ok(),
            message_id: Some(meta.id),
            correlation_id: meta.correlation_id,
            message_type: Some(meta.message_type),
            reply_to: meta.reply_to,
            content_type: Some("application/json".into()),
            app_id: Some(Text::from(&*self.service)),
            ..Properties::default()
        }
    }

    /// The envelope's headers, and those that are for the transport alone.
    fn headers(&self, version: u32, meta: &mut Meta) -> Headers {
        let mut headers = std::mem::take(&mut meta.headers);
        if version > 1 {
            headers.set(names::SCHEMA_VERSION, version);
        }
        if self.wire.mirror_headers {
            headers.set(names::MIRROR_MESSAGE_ID, &meta.id);
            if let Some(correlation_id) = &meta.correlation_id {
                headers.set(names::MIRROR_CORRELATION_ID, correlation_id);
            }
            if let Some(causation_id) = &meta.causation_id {
                headers.set(names::MIRROR_CAUSATION_ID, causation_id);
            }
        }
        headers
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The id's text, without the machinery of formatting.
pub(super) fn text(id: Uuid) -> Text {
    Text::from(&*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

#[cold]
fn invalid(id: &str, text: String) -> PublishError {
    PublishError::new(PublishErrorKind::Invalid, id, text)
}

#[cold]
fn unwritable(meta: &Meta, error: &serde_json::Error) -> PublishError {
    invalid(&meta.id, format!("`{}` cannot be written as JSON: {error}", meta.message_type))
}

/// Answers whose type is known only to the handler that made them.
pub(crate) mod erased {
    use crate::contract::envelope::{self, KindFields, Meta};
    use crate::contract::{Acknowledgement, Refusal, Reply};

    /// A payload that can write itself into an envelope.
    pub(crate) trait Payload: Send + Sync {
        /// Appends the envelope to `body`.
        fn write(&self, meta: &Meta, body: &mut Vec<u8>) -> Result<(), serde_json::Error>;
    }

    impl<R: Reply> Payload for R {
        fn write(&self, meta: &Meta, body: &mut Vec<u8>) -> Result<(), serde_json::Error> {
            envelope::write(body, meta, self, &envelope::kind_fields::<R>("", None))
        }
    }

    /// A word on how a message ended.
    pub(crate) struct Acknowledged<'a> {
        pub(crate) acknowledgement: Acknowledgement,
        pub(crate) message_type: &'a str,
    }

    impl Payload for Acknowledged<'_> {
        fn write(&self, meta: &Meta, body: &mut Vec<u8>) -> Result<(), serde_json::Error> {
            let payload = self.acknowledgement.to_wire(self.message_type);
            envelope::write(body, meta, &payload, &KindFields::default())
        }
    }

    /// An error reply as the family writes it.
    impl Payload for Refusal {
        fn write(&self, meta: &Meta, body: &mut Vec<u8>) -> Result<(), serde_json::Error> {
            let fields = KindFields {
                success: Some(false),
                error_code: Some(&self.code),
                error_message: Some(&self.message),
                error_details: self.details.as_ref(),
                ..KindFields::default()
            };
            envelope::write(body, meta, &serde_json::Map::new(), &fields)
        }
    }
}
