//! "It exists with other arguments": the broker's words, turned into both sides and a way out.

/// What the broker says about an argument that differs.
#[derive(Debug, PartialEq, Eq)]
struct Difference<'a> {
    argument: &'a str,
    ours: Option<&'a str>,
    theirs: Option<&'a str>,
}

/// One line about an exchange or queue that exists with other arguments. `what` names it.
pub(super) fn describe(what: &str, broker: &str) -> String {
    let Some(Difference { argument, ours, theirs }) = parse(broker) else {
        return format!("{what}: {broker}");
    };
    let side = |value: Option<&str>| value.map_or("none".to_owned(), |value| format!("`{value}`"));
    format!(
        "{what} exists with another `{argument}`: this service asks for {}, the broker has {}; {}{}",
        side(ours),
        side(theirs),
        way_out(what, argument),
        if what.starts_with("queue") { earlier(argument, theirs) } else { "" }
    )
}

/// What an earlier version declared, by the arguments that it did not write.
fn earlier(argument: &str, theirs: Option<&str>) -> &'static str {
    match (argument, theirs) {
        (
            "x-dead-letter-exchange" | "x-dead-letter-routing-key" | "x-dead-letter-strategy",
            None,
        )
        | ("x-queue-type", Some("classic") | None) => {
            ". If it is a dead-letter queue of an earlier version: that one had no way back to its queue, or was a \
             classic queue; move its messages away (a shovel does), delete it, and move them back"
        }
        ("x-dead-letter-routing-key", Some(_)) => {
            ". If it is a dead-letter queue: it belongs to the queue that the broker names, perhaps of another service; \
             choose a name of its own with `dead_letter = \"..\"`"
        }
        _ => "",
    }
}

fn way_out(what: &str, argument: &str) -> String {
    let matching = match argument {
        "x-queue-type" => "declare the queue with the kind that it has",
        "x-max-priority" => "declare the highest priority that it has",
        "x-max-length" => "declare the length limit that it has",
        // The broker compares this before the kind, and tells of one difference: between a quorum queue and
        // a classic one it is this.
        "x-overflow" => "declare the kind (quorum or classic) and the length limit that it has",
        "x-dead-letter-exchange" | "x-dead-letter-routing-key" | "x-dead-letter-strategy" => {
            "declare the dead-letter queue that it has"
        }
        "x-message-ttl" => "declare the time to live that it has",
        "x-delivery-limit" => "declare the delivery limit that it has",
        "exclusive" | "auto_delete" | "durable" => "use another name",
        "type" => "declare the exchange with the type that it has",
        _ => "declare it as it is",
    };
    if what.starts_with("queue") {
        format!(
            "either {matching}, or let its consumers empty it and delete it (`rabbitmqctl delete_queue`), and it is made anew"
        )
    } else {
        format!("either {matching}, or delete it and it is made anew with its bindings")
    }
}

/// Reads `inequivalent arg 'A' for queue 'Q' in vhost '/': received the value 'X' of type 'longstr'
/// but current is none`, and its shorter forms.
fn parse(broker: &str) -> Option<Difference<'_>> {
    let (_, rest) = broker.split_once("inequivalent arg '")?;
    let (argument, rest) = rest.split_once('\'')?;
    let (_, rest) = rest.split_once("received ")?;
    let (ours, theirs) = rest.split_once(" but current is ")?;
    Some(Difference { argument, ours: value(ours), theirs: value(theirs) })
}

/// `none`, `'true'`, or `the value '5' of type 'long'`.
fn value(text: &str) -> Option<&str> {
    let (_, quoted) = text.split_once('\'')?;
    quoted.split_once('\'').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_read() {
        for (text, argument, ours, theirs) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type 'longstr' but current is none",
                "x-queue-type",
                Some("quorum"),
                None,
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'q' in vhost '/': received none but current is the value '5' of type 'long'",
                "x-max-priority",
                None,
                Some("5"),
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
                "durable",
                Some("true"),
                Some("false"),
            ),
        ] {
            let expected = Difference { argument, ours, theirs };
            assert_eq!(parse(text), Some(expected));
        }
    }

    #[test]
    fn a_mismatch_shows_both_sides_and_the_way_out() {
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type 'longstr' but current is none";
        assert_eq!(
            describe("queue `q`", text),
            "queue `q` exists with another `x-queue-type`: this service asks for `quorum`, the broker has none; either declare the queue with the kind that it has, or let its consumers empty it and delete it (`rabbitmqctl delete_queue`), and it is made anew. If it is a dead-letter queue of an earlier version: that one had no way back to its queue, or was a classic queue; move its messages away (a shovel does), delete it, and move them back"
        );
    }

    #[test]
    fn a_dead_letter_queue_of_another_queue_is_told_from_one_of_an_earlier_version() {
        let text = |theirs: &str| {
            let text = format!(
                "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-routing-key' for queue 'dlq' in vhost '/': received the value 'a' of type 'longstr' but current is {theirs}"
            );
            describe("queue `dlq`", &text)
        };
        assert!(text("none").contains("of an earlier version"));
        let other = text("the value 'b' of type 'longstr'");
        assert!(other.contains("has `b`") && other.contains("a name of its own"), "{other}");
    }

    #[test]
    fn words_that_are_not_understood_are_shown_as_they_are() {
        assert_eq!(
            describe("queue `q`", "PRECONDITION_FAILED - something else"),
            "queue `q`: PRECONDITION_FAILED - something else"
        );
    }
}
