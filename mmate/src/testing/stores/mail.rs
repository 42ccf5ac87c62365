//! Mail is kept for whoever waits for it, now or later, until it is read.

use super::bench::Bench;
use super::{Checked, Failure, ensure_empty, ensure_eq, list};
use crate::store::{HistoryEntry, HistoryEvent, Instance, Mail, Save, Saved, WorkflowStatus};

list![
    mail_is_kept_until_it_is_read,
    mail_is_kept_once_per_address_and_id,
    the_oldest_mail_of_an_address_is_given,
    mail_of_another_address_is_not_given,
    mail_finds_those_that_wait,
    mail_does_not_find_those_that_wait_elsewhere,
    mail_that_comes_again_finds_those_that_wait,
    mail_that_was_read_is_known_when_it_comes_again,
    mail_that_was_read_finds_nobody,
    a_change_that_reads_what_was_read_is_not_made,
    a_change_that_reads_what_never_came_is_not_made,
    reading_uses_up_one_piece_of_mail,
    mail_keeps_texts_in_any_language,
    mail_keeps_a_body_of_a_mebibyte,
    old_mail_is_removed,
    old_mail_is_removed_also_if_it_was_read,
    no_more_mail_is_removed_than_asked_for,
    the_oldest_mail_is_removed_first,
    mail_for_another_workflow_is_left_to_others,
];

impl Bench {
    fn mail(&self, address: &str, id: &str, seconds: i64) -> Mail {
        let body = format!("{{\"id\":\"{id}\",\"at\":{seconds}}}");
        let [workflow] = self.workflows();
        Mail::new(&workflow, &self.name(address), id, body, self.at(seconds))
    }

    async fn posted(&self, address: &str, id: &str, seconds: i64) -> Result<Mail, Failure> {
        let mail = self.mail(address, id, seconds);
        self.store().post(&mail).await?;
        Ok(mail)
    }

    async fn oldest(&self, address: &str) -> Result<Option<Mail>, Failure> {
        Ok(self.store().mail(&self.name(address)).await?)
    }

    /// An instance that waits at an address.
    async fn waiting(&self, address: &str, seconds: i64) -> Result<Instance, Failure> {
        let started = self.started(seconds).await?;
        let taken = self.claim(&started, &self.name("owner")).await?;
        let mut save = Save::of(&taken, "{}".to_owned(), self.at(seconds));
        (save.awaits, save.keep) = (Some(self.name(address)), false);
        self.saved(&save).await
    }

    /// Reads a piece of mail as an instance does.
    async fn read(&self, mail: &Mail) -> Checked {
        let taken = self.claimed(&self.name("reader")).await?;
        let mut save = Save::of(&taken, "{}".to_owned(), self.at(1));
        save.read = Some((mail.address.clone(), mail.id.clone()));
        self.saved(&save).await.map(drop)
    }
}

async fn mail_is_kept_until_it_is_read(bench: &Bench) -> Checked {
    let mail = bench.posted("a", "1", 5).await?;
    ensure_eq!(bench.oldest("a").await?, Some(mail.clone()), "the mail");
    let other = bench.other().await?;
    ensure_eq!(other.mail(&mail.address).await?, Some(mail.clone()), "the mail in another store");
    bench.read(&mail).await?;
    ensure_eq!(bench.oldest("a").await?, None, "the mail after it was read");
    Ok(())
}

async fn mail_is_kept_once_per_address_and_id(bench: &Bench) -> Checked {
    let first = bench.posted("a", "1", 5).await?;
    bench.posted("a", "1", 6).await?;
    ensure_eq!(bench.oldest("a").await?, Some(first.clone()), "the first mail");
    let elsewhere = bench.posted("b", "1", 7).await?;
    ensure_eq!(bench.oldest("b").await?, Some(elsewhere), "the same id elsewhere");
    bench.read(&first).await?;
    ensure_eq!(bench.oldest("a").await?, None, "the mail after it was read once");
    Ok(())
}

async fn the_oldest_mail_of_an_address_is_given(bench: &Bench) -> Checked {
    let mut all = Vec::new();
    for (id, seconds) in [("z", 1), ("m", 2), ("a", 3)] {
        all.push(bench.posted("a", id, seconds).await?);
    }
    for mail in all {
        ensure_eq!(bench.oldest("a").await?, Some(mail.clone()), "the oldest mail");
        bench.read(&mail).await?;
    }
    ensure_eq!(bench.oldest("a").await?, None, "what is left");
    Ok(())
}

async fn mail_of_another_address_is_not_given(bench: &Bench) -> Checked {
    bench.posted("a", "1", 1).await?;
    for address in ["A", "a ", "", "b", "%"] {
        ensure_eq!(bench.oldest(address).await?, None, format!("mail at `{address}`"));
    }
    Ok(())
}

async fn mail_finds_those_that_wait(bench: &Bench) -> Checked {
    let later = bench.waiting("a", 2).await?;
    let earlier = bench.waiting("a", 1).await?;
    let found = bench.store().post(&bench.mail("a", "1", 5)).await?;
    ensure_eq!(found, [earlier, later], "those that are found");
    Ok(())
}

async fn mail_does_not_find_those_that_wait_elsewhere(bench: &Bench) -> Checked {
    bench.started(0).await?;
    bench.waiting("A", 1).await?;
    let waited = bench.waiting("a", 2).await?;
    let taken = bench.claim(&waited, &bench.name("owner")).await?;
    bench.saved(&Save { awaits: None, ..Save::of(&taken, "{}".to_owned(), bench.at(3)) }).await?;
    let found = bench.store().post(&bench.mail("a", "1", 5)).await?;
    ensure_empty(&found, "those that are found")?;
    Ok(())
}

async fn mail_that_comes_again_finds_those_that_wait(bench: &Bench) -> Checked {
    let mail = bench.posted("a", "1", 1).await?;
    let waiting = bench.waiting("a", 2).await?;
    ensure_eq!(bench.store().post(&mail).await?, [waiting], "those that are found");
    Ok(())
}

async fn mail_that_was_read_is_known_when_it_comes_again(bench: &Bench) -> Checked {
    let mail = bench.posted("a", "1", 1).await?;
    bench.read(&mail).await?;
    bench.posted("a", "1", 2).await?;
    ensure_eq!(bench.oldest("a").await?, None, "the mail after it came again");
    let other = bench.other().await?;
    other.post(&mail).await?;
    ensure_eq!(other.mail(&mail.address).await?, None, "the mail in another store");
    let next = bench.posted("a", "2", 3).await?;
    ensure_eq!(bench.oldest("a").await?, Some(next), "the next mail");
    Ok(())
}

async fn mail_that_was_read_finds_nobody(bench: &Bench) -> Checked {
    let mail = bench.posted("a", "1", 1).await?;
    bench.read(&mail).await?;
    let waiting = bench.waiting("a", 2).await?;
    ensure_empty(&bench.store().post(&mail).await?, "those that are found")?;
    let found = bench.store().post(&bench.mail("a", "2", 3)).await?;
    ensure_eq!(found, [waiting], "those that other mail finds");
    Ok(())
}

/// Checks that a change which reads this mail is not made, for that reason or because it comes too late.
async fn ensure_unreadable(bench: &Bench, mail: &Mail) -> Checked {
    let taken = bench.claimed(&bench.name("second")).await?;
    let mut save = Save::of(&taken, "{\"read\":true}".to_owned(), bench.at(5));
    (save.next, save.status) = (taken.position + 1, WorkflowStatus::Running);
    save.history = vec![HistoryEntry::new(0, "s", HistoryEvent::Completed, bench.at(5))];
    save.read = Some((mail.address.clone(), mail.id.clone()));
    ensure_eq!(bench.store().save(&save).await?, Saved::MailGone, "the change");
    ensure_eq!(bench.get(taken.id).await?, taken, "the instance");
    ensure_eq!(bench.events(taken.id).await?, [HistoryEvent::Started], "its history");
    save.position = 7;
    ensure_eq!(bench.store().save(&save).await?, Saved::TooLate, "the change of another position");
    Ok(())
}

async fn a_change_that_reads_what_was_read_is_not_made(bench: &Bench) -> Checked {
    let mail = bench.posted("a", "1", 1).await?;
    let left = bench.posted("a", "2", 2).await?;
    bench.read(&mail).await?;
    ensure_unreadable(bench, &mail).await?;
    ensure_eq!(bench.oldest("a").await?, Some(left), "the mail beside it");
    Ok(())
}

async fn a_change_that_reads_what_never_came_is_not_made(bench: &Bench) -> Checked {
    bench.posted("a", "1", 1).await?;
    ensure_unreadable(bench, &bench.mail("a", "2", 1)).await?;
    ensure_unreadable(bench, &bench.mail("b", "1", 1)).await
}

async fn reading_uses_up_one_piece_of_mail(bench: &Bench) -> Checked {
    let first = bench.posted("a", "1", 1).await?;
    let second = bench.posted("a", "2", 2).await?;
    let elsewhere = bench.posted("b", "1", 3).await?;
    bench.read(&first).await?;
    ensure_eq!(bench.oldest("a").await?, Some(second), "the mail beside it");
    ensure_eq!(bench.oldest("b").await?, Some(elsewhere), "the mail of that id elsewhere");
    Ok(())
}

async fn mail_keeps_texts_in_any_language(bench: &Bench) -> Checked {
    let mut mail = bench.mail("Bestellung Ä'\"$1 🧾 注文", "ид-'1'", 1);
    mail.body = "{\"ключ\":\"значение\",\"a\":\"\\u0000\"}".to_owned();
    bench.store().post(&mail).await?;
    ensure_eq!(bench.store().mail(&mail.address).await?, Some(mail.clone()), "the mail");
    bench.read(&mail).await?;
    ensure_eq!(bench.store().mail(&mail.address).await?, None, "the mail after it was read");
    Ok(())
}

async fn mail_keeps_a_body_of_a_mebibyte(bench: &Bench) -> Checked {
    let mut mail = bench.mail("a", "1", 1);
    mail.body = "ß".repeat(1 << 19);
    bench.store().post(&mail).await?;
    let kept = bench.oldest("a").await?.map(|mail| mail.body.len());
    ensure_eq!(kept, Some(1 << 20), "the bytes that came back");
    Ok(())
}

async fn old_mail_is_removed(bench: &Bench) -> Checked {
    bench.posted("a", "1", 1).await?;
    let later = bench.posted("b", "1", 2).await?;
    ensure_eq!(
        bench.store().purge_mail(&bench.workflows(), bench.at(2), 10).await?,
        1,
        "how much is removed"
    );
    ensure_eq!(bench.oldest("a").await?, None, "the old mail");
    ensure_eq!(bench.oldest("b").await?, Some(later), "the later mail");
    Ok(())
}

async fn old_mail_is_removed_also_if_it_was_read(bench: &Bench) -> Checked {
    let mail = bench.posted("a", "1", 1).await?;
    bench.read(&mail).await?;
    let removed = bench.store().purge_mail(&bench.workflows(), bench.at(2), 10).await?;
    ensure_eq!(removed, 1, "how much is removed");
    let again = bench.posted("a", "1", 3).await?;
    ensure_eq!(bench.oldest("a").await?, Some(again), "what comes again after that");
    Ok(())
}

async fn no_more_mail_is_removed_than_asked_for(bench: &Bench) -> Checked {
    for (id, seconds) in [("1", 1), ("2", 2), ("3", 3)] {
        bench.posted("a", id, seconds).await?;
    }
    ensure_eq!(
        bench.store().purge_mail(&bench.workflows(), bench.at(9), 2).await?,
        2,
        "how much is removed"
    );
    ensure_eq!(bench.oldest("a").await?.map(|mail| mail.id), Some("3".to_owned()), "what is left");
    ensure_eq!(
        bench.store().purge_mail(&bench.workflows(), bench.at(9), 2).await?,
        1,
        "how much is removed then"
    );
    Ok(())
}

async fn the_oldest_mail_is_removed_first(bench: &Bench) -> Checked {
    let later = bench.posted("a", "1", 3).await?;
    bench.posted("b", "1", 1).await?;
    bench.posted("c", "1", 2).await?;
    let removed = bench.store().purge_mail(&bench.workflows(), bench.at(9), 2).await?;
    ensure_eq!(removed, 2, "how much is removed");
    ensure_eq!(bench.oldest("a").await?, Some(later), "what is left");
    Ok(())
}

async fn mail_for_another_workflow_is_left_to_others(bench: &Bench) -> Checked {
    let theirs = Mail { workflow: bench.name("other"), ..bench.mail("a", "1", 1) };
    bench.store().post(&theirs).await?;
    bench.posted("b", "1", 2).await?;
    let removed = bench.store().purge_mail(&bench.workflows(), bench.at(9), 1).await?;
    ensure_eq!(removed, 1, "how much is removed");
    ensure_eq!(bench.oldest("a").await?, Some(theirs), "what is left to others");
    let removed = bench.store().purge_mail(&[bench.name("other")], bench.at(9), 1).await?;
    ensure_eq!(removed, 1, "how much the others remove");
    Ok(())
}
