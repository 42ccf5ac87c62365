//! All mistakes of one expansion, reported together.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Collects mistakes. It must be drained with [`Errors::into_tokens`], so that none is forgotten.
#[derive(Default)]
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    /// Reports `text` at one place.
    pub(crate) fn at(&mut self, place: Span, text: impl std::fmt::Display) {
        self.push(syn::Error::new(place, text));
    }

    /// Reports `text` under all of `tokens`.
    pub(crate) fn on(&mut self, tokens: impl ToTokens, text: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, text));
    }

    /// Reports a mistake that a parser found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    /// The value, or `None` with the mistake reported.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// True if a mistake was reported.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The mistakes as `compile_error!` calls; nothing if there are none.
    pub(crate) fn into_tokens(mut self) -> TokenStream {
        self.0.drain(..).map(syn::Error::into_compile_error).collect()
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        debug_assert!(
            self.0.is_empty() || std::thread::panicking(),
            "mistakes were collected and never reported"
        );
    }
}

/// The one of `candidates` that a mistyped `word` most likely means.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed or replaced to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for ((b, above), diagonal) in to.chars().zip(row.iter().skip(1)).zip(&row) {
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// `a`, `b` and `c`, each in backticks.
pub(crate) fn listing(words: &[&str], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((end, [])) => end.clone(),
        Some((end, start)) => format!("{} {last} {end}", start.join(", ")),
        None => String::new(),
    }
}
