//! Rules of groups: branches that run beside each other, followed by their join.

use proc_macro2::Ident;
use quote::ToTokens as _;

use super::stage::value_of;
use crate::diagnostics::{Errors, listing, nearest};
use crate::model::Stage;

/// A group: its name as it was first written, and the places of its stages.
struct Group<'a> {
    name: &'a Ident,
    branches: Vec<usize>,
    joins: Vec<usize>,
}

/// Judges each group.
pub(super) fn check(stages: &[&Stage], errors: &mut Errors) {
    let groups = groups(stages);
    let mistyped: Vec<&Ident> = groups.iter().filter_map(|group| meant(group, &groups)).collect();
    for group in &groups {
        size(group, &groups, &mistyped, stages, errors);
    }
    // Two groups that are mixed up with each other are one mistake.
    if let Some((group, (join, between))) =
        groups.iter().find_map(|group| Some((group, out_of_place(group)?)))
    {
        order(group, join, between, stages, errors);
    }
    for group in &groups {
        values(group, stages, errors);
        conditions(group, stages, errors);
    }
}

fn groups<'a>(stages: &[&'a Stage]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (place, stage) in stages.iter().enumerate() {
        let (parallel, join) = (&stage.args.parallel, &stage.args.join);
        let Some(name) = parallel.as_ref().or(join.as_ref()).map(|name| &name.value) else {
            continue;
        };
        let known = groups.iter().position(|group| group.name == name);
        let index = known.unwrap_or_else(|| {
            groups.push(Group { name, branches: Vec::new(), joins: Vec::new() });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(index) {
            let places = if parallel.is_some() { &mut group.branches } else { &mut group.joins };
            places.push(place);
        }
    }
    groups
}

/// The group that a join without branches most likely means.
fn meant<'a>(join: &Group<'_>, groups: &[Group<'a>]) -> Option<&'a Ident> {
    if !join.branches.is_empty() {
        return None;
    }
    let open: Vec<&Group<'a>> = groups.iter().filter(|group| group.joins.is_empty()).collect();
    let names: Vec<String> = open.iter().map(|group| group.name.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let near = nearest(&join.name.to_string(), &names)?;
    open.iter().map(|group| group.name).find(|name| *name == near)
}

/// A group has two branches and one join at least, and one join at most.
fn size(
    group: &Group<'_>,
    groups: &[Group<'_>],
    mistyped: &[&Ident],
    stages: &[&Stage],
    errors: &mut Errors,
) {
    let name = group.name;
    match group.branches.as_slice() {
        [] => {
            let help = match meant(group, groups) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "write `parallel = {name}` at the stages that run beside each other before it"
                ),
            };
            errors.at(
                name.span(),
                format!("no stage is a branch of the group `{name}`\nhelp: {help}"),
            );
            return;
        }
        [_] => {
            let text = format!(
                "the group `{name}` has one branch, which runs beside nothing\nhelp: add a second one, or remove `parallel` and the join"
            );
            errors.at(name.span(), text);
        }
        _ => {}
    }
    if group.joins.is_empty() && !mistyped.contains(&name) {
        let text = format!(
            "the group `{name}` has no join\nhelp: write a stage with `join = {name}` after its last branch, which takes the values"
        );
        errors.at(name.span(), text);
    }
    let further = group.joins.iter().skip(1).filter_map(|place| stages.get(*place));
    for join in further.filter_map(|stage| stage.args.join.as_ref()) {
        let text = format!("the group `{name}` has its join already\nhelp: remove one of the two");
        errors.at(join.value.span(), text);
    }
}

/// The join, and the first stage that stands where one of the group should.
fn out_of_place(group: &Group<'_>) -> Option<(usize, usize)> {
    let (first, last, join) =
        (group.branches.first()?, group.branches.last()?, group.joins.first()?);
    // A branch after its join is what is wrong there.
    if last > join {
        return Some((*join, *last));
    }
    (*first..*join).find(|place| !group.branches.contains(place)).map(|place| (*join, place))
}

fn order(group: &Group<'_>, join: usize, place: usize, stages: &[&Stage], errors: &mut Errors) {
    let (Some(join), Some(stage)) = (stages.get(join), stages.get(place)) else {
        return;
    };
    let (group_name, join, name) = (group.name, &join.item.sig.ident, &stage.item.sig.ident);
    let text = if group.branches.contains(&place) {
        format!(
            "branch `{name}` stands after `{join}`, the join of its group `{group_name}`\nhelp: move it before the join"
        )
    } else {
        format!(
            "stage `{name}` stands between the branches of the group `{group_name}` and their join `{join}`\nhelp: move it before \
             the first branch, or after the join"
        )
    };
    errors.at(name.span(), text);
}

/// A join takes the value of each branch.
fn values(group: &Group<'_>, stages: &[&Stage], errors: &mut Errors) {
    let Some(join) = group.joins.first().and_then(|place| stages.get(*place)) else {
        return;
    };
    let branches: Vec<&&Stage> =
        group.branches.iter().filter_map(|place| stages.get(*place)).collect();
    let taken = join.item.parameters().count();
    if taken >= branches.len() {
        return;
    }
    let name = &join.item.sig.ident;
    let names: Vec<String> =
        branches.iter().map(|branch| branch.item.sig.ident.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let parameters: Vec<String> = branches.iter().map(|branch| parameter(branch)).collect();
    let text = format!(
        "join `{name}` takes the values of its branches {}, one after another\nhelp: write `async fn {name}(&mut self, {}, ..)`",
        listing(&names, "and"),
        parameters.join(", ")
    );
    errors.at(name.span(), text);
}

/// The parameter for the value of a branch.
fn parameter(branch: &Stage) -> String {
    let sig = &branch.item.sig;
    let value = value_of(&sig.output)
        .map_or_else(|| "_".to_owned(), |ty| spelled(&ty.to_token_stream().to_string()));
    let name = &sig.ident;
    if branch.args.may_give_nothing() {
        return format!("{name}: Option<{value}>");
    }
    format!("{name}: {value}")
}

/// A type as one writes it, without the spaces between its tokens.
fn spelled(tokens: &str) -> String {
    tokens.replace(" :: ", "::").replace(" < ", "<").replace(" >", ">").replace(" ,", ",")
}

/// The values of branches are counted, so none may be there or not.
fn conditions(group: &Group<'_>, stages: &[&Stage], errors: &mut Errors) {
    for stage in group.branches.iter().chain(&group.joins).filter_map(|place| stages.get(*place)) {
        for attr in stage.item.attrs.iter().filter(|attr| attr.path().is_ident("cfg")) {
            let text = "a branch or a join is there in every build\nhelp: use `when = ..`, or move the condition to the whole `impl` \
                        block";
            errors.on(attr, text);
        }
    }
}
