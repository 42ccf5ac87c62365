//! Workflows: an `impl` block with stages.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, Generics, LitStr, ReceiverKind, ReturnType, Signature, Type};

use super::{FnItem, RetryArgs};
use crate::parse::args::Keyed;
use crate::parse::values::{Count, Millis};
use crate::paths::Root;

/// The arguments of `#[workflow]`.
#[derive(Default)]
pub(crate) struct WorkflowArgs {
    pub(crate) root: Root,
    pub(crate) id: Option<Keyed<LitStr>>,
    pub(crate) timeout: Option<Keyed<Millis>>,
    pub(crate) version: Option<Keyed<u64>>,
    pub(crate) prefix: Option<Keyed<LitStr>>,
    pub(crate) concurrency: Option<Keyed<Count>>,
    pub(crate) events: Option<Keyed<()>>,
    pub(crate) complete: Option<Keyed<()>>,
}

/// The arguments of `#[stage]`.
#[derive(Default)]
pub(crate) struct StageArgs {
    pub(crate) compensate: Option<Keyed<Ident>>,
    pub(crate) irreversible: Option<Keyed<()>>,
    pub(crate) timeout: Option<Keyed<Millis>>,
    pub(crate) retry: Option<Keyed<RetryArgs>>,
    pub(crate) continue_on_failure: Option<Keyed<()>>,
    pub(crate) when: Option<Keyed<Ident>>,
    pub(crate) repeat: Option<Keyed<Ident>>,
    pub(crate) delay: Option<Keyed<Millis>>,
    pub(crate) parallel: Option<Keyed<Ident>>,
    pub(crate) join: Option<Keyed<Ident>>,
    pub(crate) wait_for: Option<Keyed<Type>>,
    pub(crate) key: Option<Keyed<Ident>>,
    pub(crate) reply: Option<Keyed<Ident>>,
    pub(crate) ended: Option<Keyed<Ident>>,
    pub(crate) within: Option<Keyed<Millis>>,
    /// Keys whose values could not be read, which has been reported.
    pub(crate) unread: Vec<Ident>,
}

impl StageArgs {
    /// Whether its join may find no value of it.
    pub(crate) const fn may_give_nothing(&self) -> bool {
        self.when.is_some() || self.continue_on_failure.is_some()
    }

    /// Whether one of these keys was meant, and its value could not be read.
    pub(crate) fn has_unread(&self, keys: &[&str]) -> bool {
        self.unread.iter().any(|unread| keys.iter().any(|key| unread == key))
    }

    /// The method that takes what comes for a stage that asks, or starts a workflow.
    pub(crate) fn follow_up(&self) -> Option<&Keyed<Ident>> {
        self.reply.as_ref().or(self.ended.as_ref())
    }
}

/// A method with `#[stage]`.
pub(crate) struct Stage {
    pub(crate) args: StageArgs,
    pub(crate) item: FnItem,
}

impl Stage {
    /// The branches whose values this stage takes first, if it is a join.
    pub(crate) fn branches<'a>(&self, stages: &[&'a Self]) -> Vec<&'a Self> {
        let Some(group) = &self.args.join else {
            return Vec::new();
        };
        let same = |stage: &&&Self| {
            stage.args.parallel.as_ref().is_some_and(|other| other.value == group.value)
        };
        stages.iter().filter(same).copied().collect()
    }

    /// How many parameters stand first that are not asked for: the values of branches, or the event.
    pub(crate) fn given(&self, stages: &[&Self]) -> usize {
        self.branches(stages).len() + usize::from(self.args.wait_for.is_some())
    }

    /// Whether it has an effect outside, as far as one can see: it asks for anything but what is read from the message, or
    /// it asks another service or starts a workflow.
    pub(crate) fn asks_for_services(&self, stages: &[&Self]) -> bool {
        let own = |ty: &&Type| match ty {
            Type::Path(path) => path.path.segments.last().is_some_and(|last| {
                ["StageKey", "StageInfo", "Context", "Headers"].iter().any(|own| last.ident == own)
            }),
            _ => false,
        };
        self.args.follow_up().is_some()
            || self.item.parameters().skip(self.given(stages)).any(|ty| !own(&ty))
    }

    /// Whether its method is also called when nothing came in time.
    pub(crate) fn takes_nothing_for_an_event(&self) -> bool {
        let is_option = |ty: &Type| match ty {
            Type::Path(path) => {
                path.path.segments.last().is_some_and(|last| last.ident == "Option")
            }
            _ => false,
        };
        self.args.wait_for.is_some() && self.item.parameters().next().is_some_and(is_option)
    }

    /// Whether it can fail: by what it returns, or because nothing comes in time.
    pub(crate) fn can_fail(&self) -> bool {
        if self.args.within.is_some() && !self.takes_nothing_for_an_event() {
            return true;
        }
        match &self.item.sig.output {
            ReturnType::Default => false,
            ReturnType::Type(_, ty) => !matches!(&**ty, Type::Tuple(unit) if unit.elems.is_empty()),
        }
    }
}

/// How a method takes `self`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Borrow {
    /// `&self`
    Shared,
    /// `&mut self`
    Mutable,
    /// By value.
    Owned,
    /// Not at all.
    None,
}

impl Borrow {
    pub(crate) fn of(sig: &Signature) -> Self {
        let of_mutability = |mutable: bool| if mutable { Self::Mutable } else { Self::Shared };
        match sig.receiver().map(|receiver| &receiver.kind) {
            None => Self::None,
            Some(ReceiverKind::Reference(_, _, mutability)) => of_mutability(mutability.is_some()),
            Some(ReceiverKind::Typed(_, ty)) => match &**ty {
                Type::Reference(reference) => of_mutability(reference.mutability.is_some()),
                _ => Self::Owned,
            },
            Some(_) => Self::Owned,
        }
    }
}

/// What stands in an `impl` block.
pub(crate) enum Member {
    /// A method with `#[stage]`, which is taken off.
    Stage(Box<Stage>),
    /// Another method.
    Method(Box<FnItem>),
    /// What is no method.
    Other(TokenStream),
}

/// An `impl` block, whose methods have bodies that stay tokens.
pub(crate) struct ImplBlock {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) generics: Generics,
    /// The trait, if it implements one.
    pub(crate) of_trait: Option<Type>,
    pub(crate) state: Type,
    /// All that stands before the braces, as it was written.
    pub(crate) head: TokenStream,
    /// Inner attributes.
    pub(crate) inner: Vec<Attribute>,
    pub(crate) members: Vec<Member>,
    /// Where the braces stand.
    pub(crate) braces: Span,
}

impl ImplBlock {
    /// The stages, in the order in which they are written.
    pub(crate) fn stages(&self) -> Vec<&Stage> {
        let stages = self.members.iter().filter_map(|member| match member {
            Member::Stage(stage) => Some(&**stage),
            Member::Method(_) | Member::Other(_) => None,
        });
        stages.collect()
    }

    /// The methods that are no stages.
    pub(crate) fn methods(&self) -> Vec<&FnItem> {
        let methods = self.members.iter().filter_map(|member| match member {
            Member::Method(method) => Some(&**method),
            Member::Stage(_) | Member::Other(_) => None,
        });
        methods.collect()
    }

    /// The method that takes what comes for a stage.
    pub(crate) fn follow_up_of(&self, stage: &Stage) -> Option<&FnItem> {
        let name = &stage.args.follow_up()?.value;
        self.methods().into_iter().find(|method| method.sig.ident == *name)
    }

    /// The last word of the state's type.
    pub(crate) fn state_name(&self) -> Option<&Ident> {
        match &self.state {
            Type::Path(path) => path.path.segments.last().map(|last| &last.ident),
            _ => None,
        }
    }
}
