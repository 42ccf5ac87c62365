//! A new instance is kept once, as it was given.

use super::bench::Bench;
use super::{Checked, ensure, ensure_empty, ensure_eq, list};
use crate::store::{HistoryEvent, Instance, NewInstance};

list![
    a_new_instance_is_kept_as_it_was_given,
    a_new_instance_begins_its_history,
    a_new_instance_is_there_for_others,
    an_instance_is_created_once,
    an_unknown_instance_is_not_there,
    an_instance_keeps_texts_in_any_language,
    an_instance_keeps_a_book_of_a_mebibyte,
    preparing_twice_changes_nothing,
];

async fn a_new_instance_is_kept_as_it_was_given(bench: &Bench) -> Checked {
    let new = bench.new_instance(7);
    bench.store().create(&new).await?;
    ensure_eq!(bench.get(new.id).await?, Instance::pending(&new), "the new instance");
    Ok(())
}

async fn a_new_instance_begins_its_history(bench: &Bench) -> Checked {
    let new = bench.new_instance(7);
    bench.store().create(&new).await?;
    let history = bench.store().history(new.id).await?;
    let [line] = &*history else {
        return Err(super::Failure::new(format!("the history is {history:?}")));
    };
    ensure_eq!(line.event, HistoryEvent::Started, "what happened");
    ensure_eq!((line.seq, line.position, line.attempt), (1, 0, 0), "place, position and attempt");
    ensure_eq!((line.at, &*line.stage), (new.at, ""), "time and stage");
    ensure_eq!(line.reason, None, "the reason");
    Ok(())
}

async fn a_new_instance_is_there_for_others(bench: &Bench) -> Checked {
    let started = bench.started(0).await?;
    let other = bench.other().await?;
    ensure_eq!(other.get(started.id).await?, Some(started), "the instance in another store");
    Ok(())
}

async fn an_instance_is_created_once(bench: &Bench) -> Checked {
    let first = bench.new_instance(1);
    bench.store().create(&first).await?;
    let mut second = NewInstance { id: first.id, ..bench.new_instance(2) };
    second.workflow = bench.name("another");
    ensure!(!bench.store().create(&second).await?, "the same id was kept a second time");
    ensure_eq!(bench.get(first.id).await?, Instance::pending(&first), "the first instance");
    ensure_eq!(bench.events(first.id).await?, [HistoryEvent::Started], "its history");
    Ok(())
}

async fn an_unknown_instance_is_not_there(bench: &Bench) -> Checked {
    let id = bench.id();
    ensure_eq!(bench.store().get(id).await?, None, "an unknown instance");
    ensure_empty(&bench.store().history(id).await?, "its history")?;
    Ok(())
}

async fn an_instance_keeps_texts_in_any_language(bench: &Bench) -> Checked {
    let mut new = bench.new_instance(0);
    new.workflow += " Überweisung 'zurück'; -- \"$1\" \\ %";
    new.graph = "グラフ ✓ 🧾".to_owned();
    new.book = "{\"ключ\":\"значение\",\"a\":\"\\u0000\\n\",\"名\":\"مرحبا 👩‍👧\"}".to_owned();
    bench.store().create(&new).await?;
    ensure_eq!(bench.get(new.id).await?, Instance::pending(&new), "the instance");
    Ok(())
}

async fn an_instance_keeps_a_book_of_a_mebibyte(bench: &Bench) -> Checked {
    let mut new = bench.new_instance(0);
    // Nothing that could be compressed away.
    let mut book = String::with_capacity(1 << 20);
    while book.len() < 1 << 20 {
        book.push_str(&bench.id().simple().to_string());
    }
    new.book = book;
    bench.store().create(&new).await?;
    let kept = bench.get(new.id).await?;
    ensure!(kept.book == new.book, "of {} bytes {} came back", new.book.len(), kept.book.len());
    Ok(())
}

async fn preparing_twice_changes_nothing(bench: &Bench) -> Checked {
    let instance = bench.claimed(&bench.name("owner")).await?;
    bench.store().prepare().await?;
    bench.other().await?.prepare().await?;
    ensure_eq!(bench.get(instance.id).await?, instance, "the instance");
    Ok(())
}
