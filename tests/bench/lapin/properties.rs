//! What each property costs: the same body, published with more and more beside it.

use std::sync::Arc;

use super::publish::Publishing;
use super::wire::Dress;
use crate::Result;
use crate::broker::Scene;
use crate::message::OrderPlaced;
use crate::rounds::Contest;

/// The least that the default set may leave of the throughput without it.
const DEFAULT_MIN: f64 = 0.95;

/// The sets that are compared; the first is the least that a message needs.
const DRESSES: [(&str, Dress); 8] = [
    ("content_type, delivery_mode", Dress::BARE),
    ("+ message_id", Dress { message_id: true, ..Dress::BARE }),
    ("+ correlation_id", Dress { correlation_id: true, ..Dress::BARE }),
    ("+ type", Dress { message_type: true, ..Dress::BARE }),
    ("+ timestamp", Dress { timestamp: true, ..Dress::BARE }),
    ("+ app_id", Dress { app_id: true, ..Dress::BARE }),
    ("default: all of these", Dress::MMATE),
    ("default and header mirror", Dress { mirror: true, ..Dress::MMATE }),
];

/// Adds a program per set.
pub(crate) async fn add_all(
    mut contest: Contest,
    url: &str,
    scene: &Arc<Scene>,
    order: &OrderPlaced,
) -> Result<Contest> {
    for (at, (name, dress)) in DRESSES.into_iter().enumerate() {
        contest = contest.program(Publishing::open(name, url, scene, order, dress).await?);
        if at > 0 {
            let is_default = name.starts_with("default:");
            contest = contest.against_first(is_default.then_some(DEFAULT_MIN));
        }
    }
    Ok(contest)
}
