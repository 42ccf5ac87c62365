//! `impl` blocks whose methods have opaque bodies, with the attributes `#[stage]` taken off.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt as _};
use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, Generics, Meta, Path, Token, Type};

use super::item::begins_like_function;
use super::workflow::stage_args;
use crate::diagnostics::Errors;
use crate::model::{FnItem, ImplBlock, Member, Stage, StageArgs};

/// Reads an `impl` block. `None` has been reported.
pub(crate) fn block(item: &TokenStream, errors: &mut Errors) -> Option<ImplBlock> {
    let mut head: Vec<TokenTree> = item.clone().into_iter().collect();
    let Some(TokenTree::Group(braces)) = head.pop() else {
        return not_a_block(errors);
    };
    let head: TokenStream = head.into_iter().collect();
    if braces.delimiter() != Delimiter::Brace || !begins_like_block(&head) {
        return not_a_block(errors);
    }
    let mut block = errors.take(read_head.parse2(head.clone()))?;
    block.head = head;
    block.braces = braces.span();
    let members = |input: ParseStream<'_>| read_members(input, &mut block, errors);
    let read = members.parse2(braces.stream());
    errors.take(read)?;
    Some(block)
}

fn not_a_block<T>(errors: &mut Errors) -> Option<T> {
    let text = "`#[workflow]` goes on the `impl` block of the workflow's state\nhelp: write it above `impl YourState { .. }`, whose \
                methods have `#[stage]`";
    errors.at(Span::call_site(), text);
    None
}

fn begins_like_block(head: &TokenStream) -> bool {
    let read = |input: ParseStream<'_>| {
        input.call(Attribute::parse_outer)?;
        input.parse::<Option<Token![unsafe]>>()?;
        let found = input.peek(Token![impl]);
        input.parse::<TokenStream>()?;
        Ok(found)
    };
    read.parse2(head.clone()).unwrap_or(false)
}

fn read_head(input: ParseStream<'_>) -> syn::Result<ImplBlock> {
    let attrs = input.call(Attribute::parse_outer)?;
    input.parse::<Option<Token![unsafe]>>()?;
    input.parse::<Token![impl]>()?;
    let mut generics: Generics = input.parse()?;
    let first: Type = input.parse()?;
    let (of_trait, state) = if input.peek(Token![for]) {
        input.parse::<Token![for]>()?;
        (Some(first), input.parse()?)
    } else {
        (None, first)
    };
    generics.where_clause = input.parse()?;
    Ok(ImplBlock {
        attrs,
        generics,
        of_trait,
        state,
        head: TokenStream::new(),
        inner: Vec::new(),
        members: Vec::new(),
        braces: Span::call_site(),
    })
}

fn read_members(
    input: ParseStream<'_>,
    block: &mut ImplBlock,
    errors: &mut Errors,
) -> syn::Result<()> {
    block.inner = input.call(Attribute::parse_inner)?;
    while !input.is_empty() {
        let member = if begins_like_function(&input.fork())? {
            method(input, errors)?
        } else {
            Member::Other(other(input)?)
        };
        block.members.push(member);
    }
    Ok(())
}

fn method(input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Member> {
    let mut item = FnItem {
        attrs: input.call(Attribute::parse_outer)?,
        vis: input.parse()?,
        sig: input.parse()?,
        // The braces, or the semicolon that stands there instead.
        body: input.parse::<TokenTree>()?.into_token_stream(),
    };
    let (stages, others): (Vec<_>, Vec<_>) = item.attrs.into_iter().partition(is_stage);
    item.attrs = others;
    let mut stages = stages.into_iter();
    let Some(first) = stages.next() else {
        return Ok(Member::Method(Box::new(item)));
    };
    let args = read_stage(&first, errors);
    for again in stages {
        errors.on(again, "`#[stage]` is there already\nhelp: write all keys into one");
    }
    Ok(Member::Stage(Box::new(Stage { args, item })))
}

fn is_stage(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "stage")
}

fn read_stage(attr: &Attribute, errors: &mut Errors) -> StageArgs {
    match &attr.meta {
        Meta::Path(_) => StageArgs::default(),
        Meta::List(list) => stage_args(list.tokens.clone(), errors),
        Meta::NameValue(_) => {
            let text = "`#[stage]` takes its keys in parentheses\nhelp: write `#[stage(timeout = \"20s\")]`";
            errors.on(attr, text);
            StageArgs::default()
        }
    }
}

/// An item that could not be read, without its attributes `#[stage]`: one mistake is enough to report.
pub(crate) fn without_stages(item: TokenStream) -> TokenStream {
    let mut left = TokenStream::new();
    let mut tokens = item.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if let (TokenTree::Punct(hash), Some(TokenTree::Group(attr))) = (&token, tokens.peek())
            && hash.as_char() == '#'
            && attr.delimiter() == Delimiter::Bracket
            && names_stage(attr.stream())
        {
            tokens.next();
            continue;
        }
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let mut inside = Group::new(Delimiter::Brace, without_stages(group.stream()));
                inside.set_span(group.span());
                left.append(inside);
            }
            token => left.append(token),
        }
    }
    left
}

fn names_stage(attr: TokenStream) -> bool {
    Path::parse_mod_style
        .parse2(
            attr.into_iter().take_while(|token| !matches!(token, TokenTree::Group(_))).collect(),
        )
        .is_ok_and(|path| path.segments.last().is_some_and(|last| last.ident == "stage"))
}

/// A constant, a type or a call of a macro, up to a semicolon or braces: what follows braces inside a constant is read as
/// another one, and handed back behind it.
fn other(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let mut tokens = TokenStream::new();
    for attr in input.call(Attribute::parse_outer)? {
        attr.to_tokens(&mut tokens);
    }
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        let ends = match &token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        };
        tokens.append(token);
        if ends {
            break;
        }
    }
    Ok(tokens)
}

/// The block as it was written, without the attributes `#[stage]`.
impl ToTokens for ImplBlock {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.head.to_tokens(tokens);
        let mut content = TokenStream::new();
        for attr in &self.inner {
            attr.to_tokens(&mut content);
        }
        for member in &self.members {
            match member {
                Member::Stage(stage) => stage.item.to_tokens(&mut content),
                Member::Method(method) => method.to_tokens(&mut content),
                Member::Other(other) => other.to_tokens(&mut content),
            }
        }
        let mut braces = Group::new(Delimiter::Brace, content);
        braces.set_span(self.braces);
        tokens.append(braces);
    }
}
