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

/// Checks what becomes a part of names of queues and keys of other services; the error stands after the name of the key.
pub(crate) fn plain(name: &str) -> Result<(), String> {
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')) {
        Some(c) => {
            Err(format!("contains the character {c:?}; it has letters, digits, `-`, `_` and `.`"))
        }
        None => Ok(()),
    }
}

/// The name of a type in kebab case: a `-` before each upper-case letter that begins a word, and for each `_`.
/// `OrderFlow` is `order-flow`, `HTTPRelay` is `http-relay`, `Order2Go` is `order2-go`.
pub(crate) fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut kebab = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(index + 1);
        let begins_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if (begins_word || *letter == '_') && !kebab.is_empty() && !kebab.ends_with('-') {
            kebab.push('-');
        }
        if *letter != '_' {
            kebab.extend(letter.to_lowercase());
        }
    }
    kebab.trim_end_matches('-').to_owned()
}
