//! A workflow as Mermaid text: its stages, and what an instance has done of them.

use std::fmt::Write as _;

use super::definition::{StageEntry, Wait};
use super::graph::{Graph, Step};
use crate::store::{HistoryEntry, HistoryEvent};

/// The graph of a workflow, which Mermaid draws from the top down. With a history, each stage has the colour of what became
/// of it.
pub(crate) fn draw(graph: &Graph, history: Option<&[HistoryEntry]>) -> String {
    let mut text = String::from("flowchart TD\n");
    let mut before: Vec<String> = vec!["start".to_owned()];
    text.push_str("    start([start])\n");
    for (step, place) in graph.steps.iter().enumerate() {
        let stages: Vec<&StageEntry> =
            graph.stages_of(step).iter().map(|index| graph.stage(*index)).collect();
        match place {
            Step::Group(_) => {
                let name = graph.name(step);
                let _ = writeln!(text, "    subgraph {name}");
                stages.iter().for_each(|stage| node(&mut text, stage));
                text.push_str("    end\n");
            }
            // The second half of a stage that asks is the same node.
            Step::Hear(_) if before == [stages[0].name] => continue,
            Step::Single(_) | Step::Ask(_) | Step::Hear(_) => node(&mut text, stages[0]),
        }
        for from in &before {
            for stage in &stages {
                let label = stage.when.map(|when| format!("|{}?|", when.name)).unwrap_or_default();
                let _ = writeln!(text, "    {from} -->{label} {}", stage.name);
            }
        }
        for stage in &stages {
            around(&mut text, stage);
        }
        before = stages.iter().map(|stage| stage.name.to_owned()).collect();
    }
    text.push_str("    done([completed])\n");
    for from in &before {
        let _ = writeln!(text, "    {from} --> done");
    }
    if let Some(history) = history {
        paint(&mut text, graph, history);
    }
    text
}

fn node(text: &mut String, stage: &StageEntry) {
    let mut notes = Vec::new();
    if let Some(delay) = stage.delay_ms {
        notes.push(format!("after {} s", delay as f64 / 1_000.0));
    }
    match stage.wait {
        Some(Wait::Event(event)) => notes.push(format!("waits for {}", event.info.name)),
        Some(Wait::Reply(reply)) => notes.push(format!("asks {}", reply.request.name)),
        Some(Wait::Child(child)) => notes.push(format!("starts {}", (child.workflow)().id)),
        None => {}
    }
    for (said, word) in
        [(stage.irreversible, "irreversible"), (stage.continue_on_failure, "may fail")]
    {
        if said {
            notes.push(word.to_owned());
        }
    }
    let notes: String = notes.iter().map(|note| format!("<br/>{note}")).collect();
    let _ = writeln!(text, "    {}[\"{}{notes}\"]", stage.name, stage.name);
}

/// What hangs on a stage: the way back, and the way round.
fn around(text: &mut String, stage: &StageEntry) {
    if let Some(undo) = stage.undo {
        let _ = writeln!(text, "    {}_undo[/\"{}\"/]", stage.name, undo.name);
        let _ = writeln!(text, "    {} -.-> {}_undo", stage.name, stage.name);
    }
    if let Some(repeat) = stage.repeat {
        let _ = writeln!(text, "    {} -->|{}?| {}", stage.name, repeat.name, stage.name);
    }
}

/// The class of a stage by the last thing that happened to it.
const fn class(event: HistoryEvent) -> Option<&'static str> {
    Some(match event {
        HistoryEvent::Completed => "completed",
        HistoryEvent::Failed | HistoryEvent::Stuck | HistoryEvent::UndoRetried => "failed",
        HistoryEvent::Tolerated | HistoryEvent::Skipped => "left",
        HistoryEvent::Retried | HistoryEvent::Interrupted | HistoryEvent::Waiting => "running",
        HistoryEvent::Undone | HistoryEvent::UndoSkipped => "undone",
        _ => return None,
    })
}

const COLOURS: [(&str, &str); 5] = [
    ("completed", "fill:#cfe8cf,stroke:#2e7d32"),
    ("failed", "fill:#f4c7c3,stroke:#b71c1c"),
    ("left", "fill:#eeeeee,stroke:#9e9e9e"),
    ("running", "fill:#cfe2f3,stroke:#1565c0"),
    ("undone", "fill:#fce8b2,stroke:#e65100"),
];

fn paint(text: &mut String, graph: &Graph, history: &[HistoryEntry]) {
    for (name, colours) in COLOURS {
        let _ = writeln!(text, "    classDef {name} {colours}");
    }
    for stage in graph.entry.stages {
        let lines = history.iter().rev().filter(|line| line.stage == stage.name);
        if let Some(class) = lines.filter_map(|line| class(line.event)).next() {
            let _ = writeln!(text, "    class {} {class}", stage.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::contract::Location;
    use crate::workflow::{Shape, StageCall, StageStarted, Test, Undo, WorkflowEntry};

    const HERE: Location = Location { module: "mermaid", file: "mermaid.rs", line: 1 };

    fn run(_: &StageCall<'_>) -> StageStarted {
        Err(crate::handler::HandlerError::msg("never run"))
    }

    const fn stage(name: &'static str) -> StageEntry {
        StageEntry::new(name, 1, |_| (), run)
    }

    static STAGES: [StageEntry; 5] = [
        stage("reserve").undo(Undo::new("release", |_| (), run)),
        stage("price").shape(Shape::Branch("offers")),
        stage("duty").shape(Shape::Branch("offers")).when(Test::new("is_abroad", |_| Ok(true))),
        stage("sum_up").shape(Shape::Join("offers")),
        stage("ship").delay_ms(1_500).irreversible(true),
    ];
    static ENTRY: WorkflowEntry = WorkflowEntry::new("order", "Order", HERE, &STAGES);

    #[test]
    fn a_graph_shows_groups_conditions_and_the_way_back() {
        let graph = Graph::of(&ENTRY).unwrap();
        let expected = "\
flowchart TD
    start([start])
    reserve[\"reserve\"]
    start --> reserve
    reserve_undo[/\"release\"/]
    reserve -.-> reserve_undo
    subgraph offers
    price[\"price\"]
    duty[\"duty\"]
    end
    reserve --> price
    reserve -->|is_abroad?| duty
    sum_up[\"sum_up\"]
    price --> sum_up
    duty --> sum_up
    ship[\"ship<br/>after 1.5 s<br/>irreversible\"]
    sum_up --> ship
    done([completed])
    ship --> done
";
        assert_eq!(draw(&graph, None), expected);
    }

    #[test]
    fn an_instance_shows_the_last_that_happened_to_each_stage() {
        let graph = Graph::of(&ENTRY).unwrap();
        let line = |stage, event| HistoryEntry::new(0, stage, event, Timestamp::UNIX_EPOCH);
        let history = [
            line("reserve", HistoryEvent::Completed),
            line("duty", HistoryEvent::Skipped),
            line("price", HistoryEvent::Failed),
            line("reserve", HistoryEvent::Undone),
        ];
        let text = draw(&graph, Some(&history));
        for painted in ["class reserve undone", "class duty left", "class price failed"] {
            assert!(text.contains(painted), "{text}");
        }
        assert!(!text.contains("class ship"), "{text}");
    }
}
