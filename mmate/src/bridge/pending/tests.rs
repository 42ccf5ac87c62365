use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::contract::{Kind, Location};
use crate::transport::{Properties, Tag};

const HERE: Location = Location { module: "pending", file: "pending.rs", line: 1 };
static PRICE: MessageInfo = MessageInfo::new::<String>(Kind::Reply, "Price", HERE);
static STOCK: MessageInfo = MessageInfo::new::<String>(Kind::Reply, "Stock", HERE);

type One = Ticket<oneshot::Receiver<Bytes>>;

fn enter(pending: &Pending, id: &str, correlation_id: &str, reply: &'static MessageInfo) -> One {
    let (id, flow) = (&Text::from(id), &Text::from(correlation_id));
    let flow = (id != flow).then_some(flow);
    pending.enter(&Entry { id, flow, reply: Some(reply) }).unwrap()
}

/// A reply with these ids and nothing else that could tell what it answers.
fn reply(property: Option<&str>, envelope: Option<&str>, name: &str) -> Delivery {
    let body = json!({"id": "r", "type": name, "correlationId": envelope, "payload": {}});
    let correlation_id = property.map(Text::from);
    let properties = Properties { correlation_id, ..Properties::default() };
    Delivery::new(Tag(1), "rpl", properties, Bytes::from(body.to_string()))
}

fn is_given(ticket: &mut One) -> bool {
    ticket.replies.try_recv().is_ok()
}

#[test]
fn a_reply_reaches_the_request_whose_id_it_sends_back() {
    let pending = Pending::default();
    let mut first = enter(&pending, "a", "flow", &PRICE);
    let mut second = enter(&pending, "b", "flow", &PRICE);
    assert_eq!(pending.give(reply(Some("b"), Some("flow"), "Price")), Matched::Given);
    assert_eq!((is_given(&mut first), is_given(&mut second)), (false, true));
}

#[test]
fn a_reply_that_names_the_request_in_its_headers_is_not_mistaken() {
    let pending = Pending::default();
    let mut outer = enter(&pending, "flow", "flow", &PRICE);
    let mut inner = enter(&pending, "b", "flow", &PRICE);
    for (header, expected) in [("causationId", "b"), ("requestId", "flow")] {
        let mut answer = reply(Some("flow"), Some("flow"), "Price");
        let body = json!({"id": "r", "type": "Price", "correlationId": "flow",
            "headers": {header: expected}, "payload": {}});
        answer.body = Bytes::from(body.to_string());
        assert_eq!(pending.give(answer), Matched::Given);
        let given = (is_given(&mut outer), is_given(&mut inner));
        assert_eq!(given, (expected == "flow", expected == "b"), "{header}");
    }
}

#[test]
fn one_request_of_a_flow_is_found_by_the_correlation_id_alone() {
    let pending = Pending::default();
    let mut ticket = enter(&pending, "a", "flow", &PRICE);
    assert_eq!(pending.give(reply(None, Some("flow"), "Price")), Matched::Given);
    assert!(is_given(&mut ticket));
}

#[test]
fn several_requests_of_a_flow_are_told_apart_by_the_type_of_the_reply_or_not_at_all() {
    let pending = Pending::default();
    let mut price = enter(&pending, "a", "flow", &PRICE);
    let mut stock = enter(&pending, "b", "flow", &STOCK);
    assert_eq!(pending.give(reply(None, Some("flow"), "Stock")), Matched::Given);
    assert_eq!((is_given(&mut price), is_given(&mut stock)), (false, true));
    let mut other = enter(&pending, "c", "flow", &PRICE);
    assert_eq!(pending.give(reply(None, Some("flow"), "Price")), Matched::Ambiguous);
    assert_eq!((is_given(&mut price), is_given(&mut other)), (false, false));
    assert_eq!(pending.ambiguous(), 1);
}

/// The outer request of this process is answered by a handler of this process, which asks in turn: a
/// sibling's reply to the inner one carries the id of the outer one.
#[test]
fn a_reply_to_an_inner_request_is_never_given_to_the_outer_one() {
    let pending = Pending::default();
    let mut outer = enter(&pending, "flow", "flow", &PRICE);
    let mut inner = enter(&pending, "b", "flow", &STOCK);
    assert_eq!(pending.give(reply(Some("flow"), Some("flow"), "Stock")), Matched::Given);
    assert_eq!((is_given(&mut outer), is_given(&mut inner)), (false, true));
    drop(inner);
    assert_eq!(pending.give(reply(Some("flow"), Some("flow"), "Price")), Matched::Given);
    assert!(is_given(&mut outer));
}

#[test]
fn all_who_ask_under_one_id_are_answered_by_one_reply() {
    let pending = Pending::default();
    let mut all = [(); 4].map(|()| enter(&pending, "a", "flow", &PRICE));
    assert_eq!(pending.give(reply(Some("a"), None, "Price")), Matched::Given);
    assert!(all.iter_mut().all(is_given));
    // Whoever has its reply has no place any more, here or among those of its flow.
    let table = pending.lock();
    assert!(table.waiters.is_empty() && table.flows.is_empty());
    drop(table);
    assert_eq!(pending.give(reply(Some("a"), None, "Price")), Matched::Late);
}

#[test]
fn nothing_stays_behind() {
    let pending = Pending::default();
    let tickets: Vec<_> = (0..100)
        .map(|number| enter(&pending, &format!("{}", number / 2), "flow", &PRICE))
        .collect();
    assert_eq!(pending.len(), 100);
    drop(tickets);
    let table = pending.lock();
    assert!(table.waiters.is_empty() && table.flows.is_empty());
    drop(table);
    assert_eq!(pending.give(reply(Some("1"), Some("flow"), "Price")), Matched::Late);
    assert_eq!(pending.late(), 1);
}

#[test]
fn a_closed_table_ends_all_waiting_and_takes_nobody() {
    let pending = Pending::default();
    let mut ticket = enter(&pending, "a", "a", &PRICE);
    pending.close();
    assert!(ticket.replies.try_recv().is_err());
    assert!(pending.enter(&Entry { id: &"b".into(), flow: None, reply: None }).is_none());
}

#[test]
fn what_is_no_envelope_is_late_unless_the_property_says_whose_it_is() {
    let pending = Pending::default();
    let mut ticket = enter(&pending, "a", "a", &PRICE);
    let mut answer = reply(None, None, "Price");
    answer.body = Bytes::from_static(b"\xff");
    assert_eq!(pending.give(answer.clone()), Matched::Late);
    answer.properties.correlation_id = Some("a".into());
    assert_eq!(pending.give(answer), Matched::Given);
    assert!(is_given(&mut ticket));
}
