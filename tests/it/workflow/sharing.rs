//! Two services whose instances are in one store: each looks after its own, and neither is in the other's way.

use std::sync::Arc;
use std::time::Duration;

use mmate::App;
use mmate::contract::Source;
use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running};
use mmate::store::{InstanceFilter, MemoryStore, WorkflowStore, connect};
use mmate::transport::memory::MemoryTransport;
use mmate_tests::eventually;
use mmate_tests::postgres::with_empty_database;
use uuid::Uuid;

use super::apart::Apart;

/// Says that the grain of a field is in the barn.
#[message(event, aggregate = "field", key = field)]
struct GrainCame {
    field: u32,
    sacks: u32,
}

/// The bakery's workflow.
#[payload]
struct Bread {
    field: u32,
    sacks: u32,
}

#[workflow(id = "bread")]
impl Bread {
    #[stage(delay = "1s")]
    async fn heat(&mut self) {}

    #[stage(wait_for = GrainCame, key = field, within = "24h")]
    async fn bake(&mut self, event: GrainCame) {
        self.sacks = event.sacks;
    }
}

/// The brewery's workflow, which waits for the same.
#[payload]
struct Beer {
    field: u32,
    sacks: u32,
}

#[workflow(id = "beer")]
impl Beer {
    #[stage(delay = "1s")]
    async fn heat(&mut self) {}

    #[stage(wait_for = GrainCame, key = field, within = "24h")]
    async fn brew(&mut self, event: GrainCame) {
        self.sacks = event.sacks;
    }
}

/// A village with one store for all.
struct Village<F> {
    open: F,
    source: Source,
}

impl<F: Fn(&Source) -> Arc<dyn WorkflowStore>> Village<F> {
    fn service(&self, name: &str, transport: &MemoryTransport) -> AppBuilder {
        let transport = Arc::new(Apart(transport.clone())) as Arc<dyn mmate::transport::Transport>;
        App::builder()
            .name(name)
            .transport(transport)
            .source(self.source.clone())
            .workflow_store((self.open)(&self.source))
            .config("workflows.lost_after", "1s")
            .config("workflows.check_every", "200ms")
    }

    async fn bakery(&self, transport: &MemoryTransport) -> Running {
        // What it keeps is its own affair.
        let service = self.service("bakery", transport).config("workflows.keep", "5s");
        service.workflow::<Bread>().start().await.unwrap()
    }

    async fn brewery(&self, transport: &MemoryTransport) -> Running {
        self.service("brewery", transport).workflow::<Beer>().start().await.unwrap()
    }

    fn broker(&self) -> MemoryTransport {
        MemoryTransport::new().source(self.source.clone())
    }

    /// An event comes to both; what one does with it is not the other's affair.
    async fn share_an_event(&self) {
        let broker = self.broker();
        let (bakery, brewery) = (self.bakery(&broker).await, self.brewery(&broker).await);
        let (bread, beer) = (bakery.workflows().unwrap(), brewery.workflows().unwrap());
        let (loaf, pint) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let loaf = bread.start(Bread { field: 7, sacks: 0 }).id(loaf).await.unwrap().id;
        let pint = beer.start(Beer { field: 7, sacks: 0 }).id(pint).await.unwrap().id;
        eventually("both wait", || async {
            let (loaf, pint) = (bread.get(loaf).await.unwrap(), beer.get(pint).await.unwrap());
            loaf.unwrap().stage == "bake" && pint.unwrap().stage == "brew"
        })
        .await;
        bakery.publisher().publish(GrainCame { field: 7, sacks: 3 }).await.unwrap();
        assert_eq!(bread.wait(loaf, "20s").await.unwrap().completed().unwrap().sacks, 3);
        assert_eq!(beer.wait(pint, "20s").await.unwrap().completed().unwrap().sacks, 3);
        let listed = beer.list(&InstanceFilter::default()).await.unwrap();
        let listed: Vec<&str> = listed.iter().map(|view| &*view.instance.workflow).collect();
        assert_eq!(listed, ["beer"], "those of the other are not listed");
        eventually("the bread is eaten", || async { bread.get(loaf).await.unwrap().is_none() })
            .await;
        assert!(beer.get(pint).await.unwrap().is_some(), "the beer is kept");
        bakery.stop().await;
        brewery.stop().await;
    }

    /// Both have an instance whose messages are lost with the broker. The bakery looks after its own, long before there
    /// is a brewery again.
    async fn lose_messages(&self) {
        let broker = self.broker();
        let (bakery, brewery) = (self.bakery(&broker).await, self.brewery(&broker).await);
        let (loaf, pint) = (Uuid::from_u128(3), Uuid::from_u128(4));
        let beer = brewery.workflows().unwrap();
        let pint = beer.start(Beer { field: 8, sacks: 0 }).id(pint).await.unwrap().id;
        let bread = bakery.workflows().unwrap();
        let loaf = bread.start(Bread { field: 8, sacks: 0 }).id(loaf).await.unwrap().id;
        drop((bakery, brewery));
        let store = (self.open)(&self.source);
        let before = store.get(pint.uuid()).await.unwrap().unwrap();
        let broker = self.broker();
        let bakery = self.bakery(&broker).await;
        let bread = bakery.workflows().unwrap();
        eventually("the bakery has found its own", || async {
            bread.get(loaf).await.unwrap().unwrap().stage == "bake"
        })
        .await;
        assert!(self.source.now() > before.due_at.unwrap(), "the brewery's was due as well");
        assert_eq!(store.get(pint.uuid()).await.unwrap().unwrap(), before);
        let brewery = self.brewery(&broker).await;
        let beer = brewery.workflows().unwrap();
        eventually("the brewery has found its own", || async {
            beer.get(pint).await.unwrap().unwrap().stage == "brew"
        })
        .await;
        for service in [bakery, brewery] {
            service.stop().await;
        }
        store.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_services_with_one_store_look_after_their_own_instances() {
    let began = tokio::time::Instant::now();
    let source = Source::seeded(3, move || began.elapsed());
    let store = MemoryStore::new(source.clone());
    let open = move |_: &Source| Arc::new(store.clone()) as Arc<dyn WorkflowStore>;
    let village = Village { open, source };
    village.share_an_event().await;
    village.lose_messages().await;
}

#[tokio::test]
async fn two_services_with_one_postgres_look_after_their_own_instances() {
    with_empty_database(|url| async move {
        let open = move |source: &Source| connect(&url, source.clone()).unwrap();
        let village = Village { open, source: Source::system() };
        village.share_an_event().await;
        village.lose_messages().await;
    })
    .await;
}

/// Two workflows of one program are two subscribers as well.
#[tokio::test(start_paused = true)]
async fn an_event_comes_to_every_workflow_that_waits_for_it() {
    let app = TestApp::builder().workflow::<Bread>().workflow::<Beer>().start().await.unwrap();
    let workflows = app.workflows();
    let loaf = workflows.start(Bread { field: 9, sacks: 0 }).await.unwrap().id;
    let pint = workflows.start(Beer { field: 9, sacks: 0 }).await.unwrap().id;
    app.advance(Duration::from_secs(60)).await;
    app.publish(GrainCame { field: 9, sacks: 4 }).await.unwrap();
    assert_eq!(workflows.wait(loaf, "20s").await.unwrap().completed().unwrap().sacks, 4);
    assert_eq!(workflows.wait(pint, "20s").await.unwrap().completed().unwrap().sacks, 4);
}
