//! Topic patterns: `*` is one word, `#` any number of words, also none.

/// A pattern, split once when it is bound.
#[derive(Debug)]
pub(super) struct Pattern(Box<[Word]>);

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Literal(Box<str>),
    One,
    Many,
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        Self(
            words(pattern)
                .map(|word| match word {
                    "*" => Word::One,
                    "#" => Word::Many,
                    literal => Word::Literal(literal.into()),
                })
                .collect(),
        )
    }

    /// True if it has neither `*` nor `#`: it then matches nothing but its own text.
    pub(super) fn is_literal(&self) -> bool {
        self.0.iter().all(|word| matches!(word, Word::Literal(_)))
    }

    /// True if the routing key matches.
    ///
    /// Only the last `#` is ever tried again with one word more: an earlier one could only give up
    /// words that the last one takes just as well. So the cost is words times words, never more.
    pub(super) fn matches(&self, key: &str) -> bool {
        let mut rest = words(key);
        let mut at = 0;
        let mut retry = None;
        loop {
            let before = rest.clone();
            match (self.0.get(at), rest.next()) {
                (None, None) => return true,
                (Some(Word::Many), _) => {
                    rest = before;
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                (Some(Word::One), Some(_)) => at += 1,
                (Some(Word::Literal(literal)), Some(word)) if **literal == *word => at += 1,
                _ => {
                    let Some((after, longer)) = retry.as_mut() else {
                        return false;
                    };
                    if longer.next().is_none() {
                        return false;
                    }
                    at = *after;
                    rest = longer.clone();
                }
            }
        }
    }
}

/// The words of a key. An empty key has none, as on RabbitMQ; `a.` has two, the second one empty.
fn words(key: &str) -> impl Iterator<Item = &str> + Clone {
    (!key.is_empty()).then(|| key.split('.')).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word, without any cleverness.
    fn oracle(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((&"#", rest)), None) => oracle(rest, key),
            (Some((&"#", rest)), Some((_, tail))) => oracle(rest, key) || oracle(pattern, tail),
            (Some(_), None) => false,
            (Some((&word, rest)), Some((&first, tail))) => {
                (word == "*" || word == first) && oracle(rest, tail)
            }
        }
    }

    fn split(text: &str) -> Vec<&str> {
        if text.is_empty() { Vec::new() } else { text.split('.').collect() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn it_matches_what_the_definition_matches(
            pattern in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "*", "#"]), 0..7),
            key in prop::collection::vec(prop::sample::select(vec!["a", "b", ""]), 0..7),
        ) {
            let (pattern, key) = (pattern.join("."), key.join("."));
            prop_assert_eq!(
                Pattern::new(&pattern).matches(&key),
                oracle(&split(&pattern), &split(&key)),
                "{} against {}", pattern, key
            );
        }
    }

    #[test]
    fn it_matches_as_rabbitmq_does() {
        let table = [
            ("#", "", true),
            ("*", "", false),
            ("", "", true),
            ("*", "a", true),
            ("*", "a.b", false),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("#.a", "a", true),
            ("a.#.b", "a.b", true),
            ("a.#.b", "a.x.y.b", true),
            ("a.#.b", "a.x", false),
            ("evt.#.orders.created", "evt..orders.created", true),
            ("a.*", "a.", true),
            ("a.*", "a", false),
            ("#.#", "", true),
            ("#.*.#", "", false),
            ("a#", "ab", false),
        ];
        for (pattern, key, expected) in table {
            assert_eq!(Pattern::new(pattern).matches(key), expected, "`{pattern}` against `{key}`");
        }
    }

    #[test]
    fn a_pattern_with_many_hashes_stays_cheap() {
        let pattern = "#.a.".repeat(40) + "b";
        let key = vec!["a"; 2000].join(".");
        assert!(!Pattern::new(&pattern).matches(&key));
    }
}
