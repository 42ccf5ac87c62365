//! The family's word on how a message ended, for a sender that wants to know: a reply of type
//! `ProcessingAcknowledgment`.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Refusal;

/// The type on the wire.
pub const ACKNOWLEDGEMENT: &str = "ProcessingAcknowledgment";

/// How a message ended that was sent with the wish to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acknowledgement {
    /// The id of the message.
    pub message_id: String,
    /// How it ended.
    pub outcome: ProcessingOutcome,
    /// How long the last call of the handler took; nothing if it was not called, or does not say.
    pub processing_time: Option<Duration>,
    /// When it ended, on the clock of whoever handled it.
    pub processed_at: Option<Timestamp>,
    /// The process that handled it, as it names itself.
    pub processor: String,
}

/// How a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessingOutcome {
    /// Handled with success.
    Processed,
    /// Refused by a rule of the business, and not kept.
    Rejected(Refusal),
    /// Failed for good. It lies in the dead-letter queue, where somebody may send it back.
    Failed(Refusal),
}

impl Acknowledgement {
    /// The acknowledgement of the message with this id.
    #[must_use]
    pub const fn new(message_id: String, outcome: ProcessingOutcome) -> Self {
        let (processing_time, processed_at) = (None, None);
        Self { message_id, outcome, processing_time, processed_at, processor: String::new() }
    }

    /// True if it was handled with success.
    #[must_use]
    pub const fn is_processed(&self) -> bool {
        matches!(self.outcome, ProcessingOutcome::Processed)
    }

    /// Why not, if it was not.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match &self.outcome {
            ProcessingOutcome::Processed => None,
            ProcessingOutcome::Rejected(refusal) | ProcessingOutcome::Failed(refusal) => {
                Some(refusal)
            }
        }
    }

    /// Reads the payload of a reply of this type.
    pub(crate) fn read(payload: &str) -> Result<Self, serde_json::Error> {
        let wire: Wire = serde_json::from_str(payload)?;
        let refusal =
            || Refusal::read(payload).unwrap_or_else(|| Refusal::new("ERROR", "")).details(None);
        let outcome = match wire.outcome.as_deref() {
            _ if wire.success => ProcessingOutcome::Processed,
            Some(REJECTED) => ProcessingOutcome::Rejected(refusal()),
            // A sibling that does not tell the two apart.
            _ => ProcessingOutcome::Failed(refusal()),
        };
        Ok(Self {
            message_id: wire.message_id,
            outcome,
            processing_time: wire.processing_time.map(Duration::from_nanos),
            processed_at: wire.processed_at.as_deref().and_then(|time| time.parse().ok()),
            processor: wire.processor_id,
        })
    }

    /// The payload of a reply of this type.
    pub(crate) fn to_wire(&self, message_type: &str) -> impl Serialize {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let refusal = self.refusal();
        Wire {
            message_id: self.message_id.clone(),
            message_type: message_type.to_owned(),
            success: self.is_processed(),
            outcome: Some(self.outcome.word().to_owned()),
            error_code: refusal.map(|refusal| refusal.code.clone()),
            error_message: refusal.map(|refusal| refusal.message.clone()),
            processing_time: self.processing_time.map(nanos),
            processed_at: self.processed_at.map(super::envelope::format_timestamp),
            processor_id: self.processor.clone(),
        }
    }
}

const REJECTED: &str = "rejected";

impl ProcessingOutcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Rejected(_) => REJECTED,
            Self::Failed(_) => "failed",
        }
    }
}

/// The payload; times in nanoseconds, as the Go sibling counts them. `outcome` and `errorCode` are ours.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    message_id: String,
    #[serde(default)]
    message_type: String,
    success: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    processing_time: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    processed_at: Option<String>,
    #[serde(default)]
    processor_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let refusal = Refusal::new("BLOCKED", "customer 7 is blocked");
        for outcome in [
            ProcessingOutcome::Processed,
            ProcessingOutcome::Rejected(refusal.clone()),
            ProcessingOutcome::Failed(refusal),
        ] {
            let mut sent = Acknowledgement::new("m-1".to_owned(), outcome);
            sent.processing_time = Some(Duration::from_nanos(1_500));
            sent.processed_at = Some(Timestamp::UNIX_EPOCH);
            sent.processor = "orders-1".to_owned();
            let payload = serde_json::to_string(&sent.to_wire("T")).unwrap();
            assert_eq!(Acknowledgement::read(&payload).unwrap(), sent, "{payload}");
        }
    }

    #[test]
    fn what_the_go_sibling_writes_is_read() {
        let payload = r#"{"errorMessage":"no stock","messageId":"m","messageType":"T","metadata":{},
            "processedAt":"2026-01-01T10:00:00.5+01:00","processingTime":12,"processorId":"h-1","success":false}"#;
        let read = Acknowledgement::read(payload).unwrap();
        assert_eq!(read.outcome, ProcessingOutcome::Failed(Refusal::new("ERROR", "no stock")));
        assert_eq!(read.processing_time, Some(Duration::from_nanos(12)));
        assert_eq!(read.processed_at.unwrap().to_string(), "2026-01-01T09:00:00.5Z");
        assert!(Acknowledgement::read("{}").is_err());
    }
}
