//! Mistakes in workflows: how many errors each makes, and that the rules of groups hold for every order.

use proc_macro2::TokenStream;
use quote::quote;

use super::errors_of;
use crate::expand;
use crate::validate::naming::kebab;

fn workflow(args: TokenStream, members: &TokenStream) -> Vec<String> {
    errors_of(expand::workflow(
        args,
        quote!(
            impl OrderFlow {
                #members
            }
        ),
    ))
}

fn stages(members: &TokenStream) -> Vec<String> {
    workflow(TokenStream::new(), members)
}

fn keys(args: TokenStream) -> Vec<String> {
    workflow(
        args,
        &quote!(
            #[stage]
            async fn go(&mut self) {}
        ),
    )
}

#[test]
fn a_correct_workflow_has_no_mistakes() {
    assert_eq!(keys(quote!(id = "a-b_c.D1", prefix = "x.", version = 4294967295)), [""; 0]);
    assert_eq!(keys(quote!(concurrency = Self::LIMIT * 2, events, complete,)), [""; 0]);
    let members = quote! {
        #![allow(dead_code)]
        const LIMIT: u16 = if true { 1 } else { 2 };
        names! { a; b }
        names::of!(c);
        pub(crate) type Of<T> = Vec<T>;

        #[mmate::stage(retry(attempts = 1), irreversible,)]
        pub async fn r#type(self: &mut Self, (a, _): Pair, mut b: Held<'static>) -> Result<(), Failure> {}

        #[doc = "x"] #[stage()] #[allow(unused)]
        async fn second(&mut self);
    };
    assert_eq!(stages(&members), [""; 0]);
}

#[test]
fn attributes_of_stages_are_taken_off_whatever_is_wrong() {
    let stage = quote!(
        #[stage]
        async fn go(&mut self) {}
    );
    let items = [
        quote!(impl OrderFlow { #stage #stage }),
        quote!(impl Trait for OrderFlow { #stage }),
        quote!(trait OrderFlow { #stage }),
        quote!(impl OrderFlow { #stage fn broken(self self) {} #[mmate::stage(timeout = "1s")] fn b() {} }),
        quote!(
            #[stage]
            struct OrderFlow;
        ),
    ];
    for item in items {
        for args in [quote!(), quote!(idd = 1)] {
            let expansion = expand::workflow(args, item.clone()).to_string();
            assert!(
                !expansion.contains("# [stage") && !expansion.contains(":: stage"),
                "{expansion}"
            );
        }
    }
}

#[test]
fn the_block_is_handed_back_token_for_token() {
    let item = quote! {
        #[doc = "x"] unsafe impl<'a, T: Clone> some::Trait<T> for Flow<'a, [T; 3]> where T: Send {
            #![allow(x)]
            const A: &str = { "a" }; type B = fn() -> (); call! { x } call!(y); call![z];
            #[inline] pub(in super::x) const unsafe extern "C" fn a<const N: usize>(&self, x: [u8; N]) -> impl Sized { a ; }
            fn b();
        }
    };
    let expansion = expand::workflow(TokenStream::new(), item.clone()).to_string();
    assert!(expansion.starts_with(&item.to_string()), "{expansion}");
}

#[test]
fn a_name_becomes_an_id() {
    let names = [
        ("OrderFlow", "order-flow"),
        ("HTTPRelay", "http-relay"),
        ("RelayHTTP", "relay-http"),
        ("Order2Go", "order2-go"),
        ("A", "a"),
        ("AB", "ab"),
        ("ABc", "a-bc"),
        ("order_flow", "order-flow"),
        ("_Order_Flow_", "order-flow"),
        ("ORDER_FLOW", "order-flow"),
    ];
    for (name, id) in names {
        assert_eq!(kebab(name), id);
    }
}

/// One word per stage: `a` to `c` are branches of that group, `A` to `C` their joins, `x` stands alone.
fn in_this_order(order: &str) -> Vec<String> {
    let stages = order.chars().enumerate().map(|(place, letter)| {
        let name = quote::format_ident!("s{place}");
        let group = quote::format_ident!("group_{}", letter.to_ascii_lowercase());
        match letter {
            'x' => quote!(#[stage] async fn #name(&mut self) {}),
            'a'..='z' => quote!(#[stage(parallel = #group)] async fn #name(&self) -> Result<u8> {}),
            _ => quote!(#[stage(join = #group)] async fn #name(&mut self, _: u8, _: u8) {}),
        }
    });
    self::stages(&stages.collect())
}

#[test]
fn branches_follow_each_other_and_their_join_follows_them() {
    for right in ["x", "aaA", "xaaAx", "aaAbbB", "xaaAxbbBx"] {
        assert_eq!(in_this_order(right), [""; 0], "{right}");
    }
    let wrong = [
        ("aa", "the group `group_a` has no join"),
        ("xaax", "the group `group_a` has no join"),
        ("A", "no stage is a branch of the group `group_a`"),
        ("aA", "the group `group_a` has one branch, which runs beside nothing"),
        ("a", "the group `group_a` has one branch, which runs beside nothing"),
        ("aaAA", "the group `group_a` has its join already"),
        (
            "axaA",
            "stage `s1` stands between the branches of the group `group_a` and their join `s3`",
        ),
        (
            "aaxA",
            "stage `s2` stands between the branches of the group `group_a` and their join `s3`",
        ),
        (
            "aaxxA",
            "stage `s2` stands between the branches of the group `group_a` and their join `s4`",
        ),
        (
            "aabbAB",
            "stage `s2` stands between the branches of the group `group_a` and their join `s4`",
        ),
        (
            "ababAB",
            "stage `s1` stands between the branches of the group `group_a` and their join `s4`",
        ),
        ("aAa", "branch `s2` stands after `s1`, the join of its group `group_a`"),
        ("Aaa", "branch `s2` stands after `s0`, the join of its group `group_a`"),
        // One letter beside: meant is the other group.
        ("aaB", "no stage is a branch of the group `group_b`"),
        ("abA", "the group `group_b` has one branch, which runs beside nothing"),
        ("baA", "the group `group_b` has one branch, which runs beside nothing"),
    ];
    for (order, error) in wrong {
        assert_eq!(in_this_order(order), [error], "{order}");
    }
}

#[test]
fn a_join_takes_what_its_branches_give() {
    let of = |returned: TokenStream, taken: TokenStream| {
        stages(&quote! {
            #[stage(parallel = g)]
            async fn a(&self) -> #returned {}
            #[stage(parallel = g)]
            async fn b(&self) -> Result<u8> {}
            #[stage(join = g)]
            async fn j(&mut self, #taken) {}
        })
    };
    let value = quote!(std::result::Result<Vec<(u8, u8)>, Failure>);
    assert_eq!(of(value.clone(), quote!(a: Vec<(u8, u8)>, b: u8, key: StageKey)), [""; 0]);
    // The types are the compiler's to judge.
    assert_eq!(of(value.clone(), quote!(a: String, b: String)), [""; 0]);
    let few = "join `j` takes the values of its branches `a` and `b`, one after another";
    assert_eq!(of(value.clone(), quote!(a: Vec<(u8, u8)>)), [few]);
    assert_eq!(of(value.clone(), quote!()), [few]);
    let first = "join `j` takes the values of its branches first";
    assert_eq!(of(value.clone(), quote!(key: StageKey, a: u8, b: u8)), [first]);
    assert_eq!(of(value, quote!(a: u8, of: handler::State<Bank>, b: u8)), [first]);
    // A value that has the name of something one asks for.
    assert_eq!(of(quote!(Result<Config>), quote!(a: Config, b: u8)), [""; 0]);
    let nothing = "branch `a` returns no value for its join";
    for returned in [quote!(()), quote!(Result), quote!(Result<()>), quote!(io::Result<()>)] {
        assert_eq!(of(returned.clone(), quote!(a: (), b: u8)), [nothing], "{returned}");
    }
    for returned in [quote!(Result<u8>), quote!(Checked), quote!(Checked<()>), quote!((u8, u8))] {
        assert_eq!(of(returned.clone(), quote!(a: (), b: u8)), [""; 0], "{returned}");
    }
}

#[test]
fn a_complete_workflow_says_of_each_effect_how_it_is_undone() {
    let of = |members: TokenStream| workflow(quote!(complete), &members);
    let ask = quote!(
        #[stage]
        async fn ask(&mut self, bank: State<Bank>) {}
    );
    let fails = quote!(
        #[stage]
        async fn fails(&mut self) -> Result {}
    );
    let missing = "nothing undoes stage `ask` when `fails` fails";
    assert_eq!(of(quote!(#ask #fails)), [missing]);
    assert_eq!(stages(&quote!(#ask #fails)), [""; 0], "without `complete` nobody asks");
    assert_eq!(of(quote!(#fails #ask)), [""; 0], "nothing follows");
    assert_eq!(of(quote!(#ask #[stage] async fn b(&mut self) {})), [""; 0], "nothing can fail");
    let harmless = quote!(
        #[stage(continue_on_failure)]
        async fn fails(&mut self) -> Result {}
    );
    assert_eq!(of(quote!(#ask #harmless)), [""; 0], "a failure without harm");
    for own in
        [quote!(StageKey), quote!(mmate::workflow::StageInfo), quote!(Context), quote!(Headers)]
    {
        assert_eq!(
            of(quote!(#[stage] async fn ask(&mut self, a: #own) {} #fails)),
            [""; 0],
            "{own}"
        );
    }
    for key in [quote!(irreversible), quote!(compensate = undo)] {
        let ask = quote!(
            #[stage(#key)]
            async fn ask(&mut self, bank: Bridge) {}
        );
        assert_eq!(of(quote!(#ask #fails async fn undo(&mut self) {})), [""; 0], "{key}");
    }
    let group = quote! {
        #[stage(parallel = g)]
        async fn fails(&self) -> Result<u8> {}
        #[stage(parallel = g)]
        async fn ask(&self, bank: State<Bank>) -> Result<u8> {}
        #[stage(join = g)]
        async fn j(&mut self, a: u8, b: u8) {}
    };
    assert_eq!(of(group), [missing], "the branches of a group end in any order");
    let join = quote! {
        #[stage(parallel = g)]
        async fn a(&self) -> Result<u8> {}
        #[stage(parallel = g)]
        async fn b(&self) -> Result<u8> {}
        #[stage(join = g)]
        async fn j(&mut self, a: u8, b: u8) {}
    };
    assert_eq!(of(quote!(#join #fails)), [""; 0], "values are no services");
}

#[test]
fn a_method_that_several_stages_name_is_judged_once() {
    let members = quote! {
        #[stage(compensate = undo, when = holds)]
        async fn a(&mut self) {}
        #[stage(compensate = undo, when = holds, repeat = holds)]
        async fn b(&mut self) {}
        fn undo(&mut self) {}
        async fn holds(&self) -> bool {}
    };
    let expected =
        ["compensation `undo` must be async", "`holds` is asked about the state, and cannot wait"];
    assert_eq!(stages(&members), expected);
}

#[test]
fn a_correct_wait_has_no_mistakes() {
    let members = quote! {
        #[stage(wait_for = events::Paid, key = r#type, within = "1h 30m", continue_on_failure, compensate = undo)]
        async fn a(&mut self, event: std::option::Option<events::Paid>, key: StageKey) -> Result {}
        #[stage(wait_for = Paid, key = id, when = holds)]
        async fn b(&mut self, (event, _): Alias<Paid>) {}
        #[stage(reply = r#match, within = "1ms", delay = "1s", when = holds, compensate = undo, retry(attempts = 2))]
        async fn c(self: &Self) -> std::result::Result<Ask, Failure> {}
        async fn r#match(self: &mut Self, reply: Reply, key: StageKey) {}
        #[stage(ended = d_ended, irreversible)]
        async fn d(&self, bank: State<Bank>) -> Begun {}
        async fn d_ended(&mut self, ended: Ended<Self>) -> Result {}
        async fn undo(&mut self) {}
        fn holds(&self) -> bool {}
    };
    assert_eq!(workflow(quote!(complete), &members), [""; 0]);
}

#[test]
fn a_wait_with_several_mistakes_has_one_error_for_each() {
    let members = quote! {
        #[stage(wait_for = Paid, within = "soon")]
        async fn a(&mut self) {}
        #[stage(key = id, within = "1h")]
        async fn b(&mut self) {}
        #[stage(reply = c_reply, key = id)]
        async fn c(&mut self) {}
        fn c_reply(&self) {}
        #[stage(ended = c_reply, repeat = holds)]
        async fn d(&self) -> Result {}
        #[stage(wait_for = Paid, reply = nothing, ended = nobody, key = id)]
        async fn e(&self, event: Paid) {}
        fn holds(&self) -> bool {}
    };
    let expected = [
        "not a duration",
        "stage `c` asks, and the state changes when the answer is there: it takes `&self`",
        "`wait_for` needs to know which event is for which instance",
        "stage `a` does not take the event that it waits for",
        "`key` says which event is for which instance, and this stage waits for none",
        "`within` limits how long a stage waits, and this one waits for nothing",
        "`key` says which event is for which instance, and this stage has `reply`",
        "stage `c` returns no request",
        "follow-up `c_reply` must be async",
        "follow-up `c_reply` changes the state: it takes `&mut self`",
        "follow-up `c_reply` does not take the reply",
        "a stage with `ended` happens once",
        "stage `d` returns no workflow to start",
        "`c_reply` takes what comes for another stage already",
        "a stage waits for one thing",
    ];
    assert_eq!(stages(&members), expected);
}

#[test]
fn a_stage_that_waits_may_fail_and_has_an_effect_outside() {
    let of = |members: TokenStream| workflow(quote!(complete), &members);
    let ask = quote! {
        #[stage(reply = held)]
        async fn hold(&self) -> Result<Hold> {}
        async fn held(&mut self, reply: Held) {}
    };
    let fails = |keys: TokenStream, event: TokenStream| quote!(#[stage(wait_for = Paid, key = id, #keys)] async fn paid(&mut self, event: #event) {});
    let in_time = fails(quote!(within = "1h"), quote!(Paid));
    assert_eq!(of(quote!(#ask #in_time)), ["nothing undoes stage `hold` when `paid` fails"]);
    for (keys, event) in [
        (quote!(), quote!(Paid)),
        (quote!(within = "1h"), quote!(Option<Paid>)),
        (quote!(within = "1h", continue_on_failure), quote!(Paid)),
    ] {
        let paid = fails(keys, event);
        assert_eq!(of(quote!(#ask #paid)), [""; 0]);
    }
    assert_eq!(of(quote!(#in_time #ask)), [""; 0], "the event is no service");
}
