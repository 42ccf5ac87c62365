//! Rules of groups: branches that run beside each other, followed by their join.

use proc_macro2::Ident;
use quote::ToTokens as _;
use syn::Type;

use super::stage::value_of;
use crate::diagnostics::{Errors, listing, nearest};
use crate::model::Stage;

/// A group: its name as it was first written, and the places of its stages.
struct Group<'a> {
    name: &'a Ident,
    branches: Vec<usize>,
    joins: Vec<usize>,
}

/// Judges each group. A name that was mistyped once makes two groups, neither of which is whole: that is one mistake.
pub(super) fn check(stages: &[&Stage], errors: &mut Errors) {
    let groups = groups(stages);
    let meant: Vec<&Ident> = groups.iter().filter_map(|group| meant(group, &groups)).collect();
    for group in groups.iter().filter(|group| !meant.contains(&group.name)) {
        size(group, &groups, stages, errors);
    }
    // Two groups that are mixed up with each other are one mistake.
    let mixed_up = groups.iter().find_map(|group| Some((group, out_of_place(group)?)));
    if let (Some((group, (join, place))), true) = (mixed_up, meant.is_empty()) {
        order(group, join, place, stages, errors);
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

/// The group that a join without branches, or a branch by itself, most likely means.
fn meant<'a>(group: &Group<'_>, groups: &[Group<'a>]) -> Option<&'a Ident> {
    let lone_branch = match (group.branches.as_slice(), group.joins.as_slice()) {
        ([], _) => false,
        ([_], []) => true,
        _ => return None,
    };
    let others = groups.iter().filter(|other| {
        other.name != group.name
            && other.joins.is_empty() != lone_branch
            && !other.branches.is_empty()
    });
    let others: Vec<&Ident> = others.map(|other| other.name).collect();
    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let near = nearest(&group.name.to_string(), &names)?;
    others.into_iter().find(|name| *name == near)
}

/// A group has two branches and one join at least, and one join at most.
fn size(group: &Group<'_>, groups: &[Group<'_>], stages: &[&Stage], errors: &mut Errors) {
    let name = group.name;
    let near = meant(group, groups).map(|near| format!("did you mean `{near}`?"));
    let lacking = match (group.branches.as_slice(), group.joins.as_slice()) {
        ([], _) => Some((
            format!("no stage is a branch of the group `{name}`"),
            format!("write `parallel = {name}` at the stages that run beside each other before it"),
        )),
        ([_], _) => Some((
            format!("the group `{name}` has one branch, which runs beside nothing"),
            "add a second one before its join, or remove `parallel`".to_owned(),
        )),
        (_, []) => Some((
            format!("the group `{name}` has no join"),
            format!(
                "write a stage with `join = {name}` after its last branch, which takes the values"
            ),
        )),
        _ => None,
    };
    if let Some((text, help)) = lacking {
        errors.at(name.span(), format!("{text}\nhelp: {}", near.unwrap_or(help)));
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

/// A join takes the value of each branch first. A branch out of place is not counted against it.
fn values(group: &Group<'_>, stages: &[&Stage], errors: &mut Errors) {
    let join = group.joins.first().and_then(|place| stages.get(*place));
    let (Some(join), None) = (join, out_of_place(group)) else {
        return;
    };
    let branches: Vec<&Stage> =
        group.branches.iter().filter_map(|place| stages.get(*place)).copied().collect();
    let name = &join.item.sig.ident;
    let parameters: Vec<String> = branches.iter().map(|branch| parameter(branch)).collect();
    let help = format!("help: write `async fn {name}(&mut self, {}, ..)`", parameters.join(", "));
    let mut taken = join.item.parameters().zip(&branches);
    if let Some((asked, _)) = taken.find(|(ty, branch)| is_asked_for(ty) && !gives(branch, ty)) {
        let text = format!("join `{name}` takes the values of its branches first\n{help}");
        errors.on(asked, text);
    } else if join.item.parameters().count() < branches.len() {
        let names: Vec<String> =
            branches.iter().map(|branch| branch.item.sig.ident.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let names = listing(&names, "and");
        let text = format!(
            "join `{name}` takes the values of its branches {names}, one after another\n{help}"
        );
        errors.at(name.span(), text);
    }
}

/// Whether a type is of those that a stage asks for, by its name.
pub(super) fn is_asked_for(ty: &Type) -> bool {
    const NAMES: [&str; 8] =
        ["Bridge", "Config", "Context", "Headers", "Publisher", "StageInfo", "StageKey", "State"];
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| {
        NAMES.iter().any(|name| last.ident == name)
    }))
}

/// Whether a type is the value of a branch, word for word.
fn gives(branch: &Stage, ty: &Type) -> bool {
    let text = |ty: &Type| ty.to_token_stream().to_string();
    value_of(&branch.item.sig.output).is_some_and(|value| text(value) == text(ty))
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
