//! The limits of names, the same as at run time.

/// The longest name of an exchange, queue or routing key, in bytes: AMQP's short string.
const NAME_BYTES_MAX: usize = 255;

/// Checks a name; the error stands after the name of the key.
pub(crate) fn check(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("has {} bytes; AMQP allows {NAME_BYTES_MAX}", name.len()));
    }
    if name.starts_with("amq.") {
        return Err("starts with `amq.`, which the broker keeps for itself".to_owned());
    }
    match name.chars().find(|c| c.is_control() || c.is_whitespace()) {
        Some(c) => Err(format!("contains the character {c:?}")),
        None => Ok(()),
    }
}
