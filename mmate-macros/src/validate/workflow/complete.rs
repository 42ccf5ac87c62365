//! `#[workflow(complete)]`: nothing is left undone.

use crate::diagnostics::Errors;
use crate::model::Stage;

/// Reports each stage that has an effect outside, may be followed by a failure, and says nothing about being undone.
pub(super) fn check(stages: &[&Stage], errors: &mut Errors) {
    for (index, stage) in stages.iter().enumerate() {
        let args = &stage.args;
        if args.compensate.is_some()
            || args.irreversible.is_some()
            || !stage.asks_for_services(stages)
        {
            continue;
        }
        let Some(failing) = failing_after(stages, index) else {
            continue;
        };
        let (name, failing) = (&stage.item.sig.ident, &failing.item.sig.ident);
        let text = format!(
            "nothing undoes stage `{name}` when `{failing}` fails\nhelp: write `compensate = ..` with the method that does, or \
             `irreversible`"
        );
        errors.at(name.span(), text);
    }
}

/// The first stage that may fail once the one at `index` is done. Branches are done in any order.
fn failing_after<'a>(stages: &[&'a Stage], index: usize) -> Option<&'a Stage> {
    let group = |stage: &Stage| stage.args.parallel.as_ref().map(|group| group.value.clone());
    let own = stages.get(index).and_then(|stage| group(stage));
    let others = stages.iter().enumerate().filter(|(other, stage)| {
        *other > index || (*other < index && own.is_some() && group(stage) == own)
    });
    // Without harm, a failure undoes nothing.
    let mut failing = others
        .map(|(_, stage)| *stage)
        .filter(|stage| stage.can_fail() && stage.args.continue_on_failure.is_none());
    failing.next()
}
