//! Asking through the bridge, and answering with a handler.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mmate::prelude::*;
use mmate::runtime::Running;

use super::service::Service;
use crate::callers::{Ask, Callers};
use crate::figures::Sample;
use crate::question::{OrderPriced, PriceOrder};
use crate::rounds::Program;

#[handler(queue = "bench.questions")]
pub(crate) async fn price_order(question: PriceOrder) -> Result<OrderPriced> {
    Ok(question.answer())
}

/// Asks and answers in one process, with an app for each.
#[derive(Debug)]
pub(crate) struct Asking {
    service: Service,
    callers: Callers,
}

impl Asking {
    /// A program that has not begun.
    pub(crate) fn new(service: &Service, callers: &Callers) -> Self {
        Self { service: service.clone(), callers: callers.clone() }
    }
}

impl Program for Asking {
    fn name(&self) -> &'static str {
        "Mmate"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, crate::Result<Sample>> {
        Box::pin(async move {
            let answering = self.service.start_answering().await?;
            let asker = Arc::new(Asker::start(&self.service, self.callers.count).await?);
            let sample = self.callers.measure(&asker, messages).await?;
            if let Some(asker) = Arc::into_inner(asker) {
                asker.stop().await;
            }
            answering.stop().await;
            Ok(sample)
        })
    }
}

/// An app that only asks.
#[derive(Debug)]
pub(crate) struct Asker {
    app: Running,
}

impl Asker {
    /// Connects; the reply queue is made at the first question.
    pub(crate) async fn start(service: &Service, callers: u16) -> crate::Result<Self> {
        Ok(Self { app: service.start_asking(callers).await? })
    }

    /// Ends its connections, and the reply queue with them.
    pub(crate) async fn stop(self) {
        self.app.stop().await;
    }
}

impl Ask for Asker {
    async fn ask(&self, question: PriceOrder) -> crate::Result<OrderPriced> {
        Ok(self.app.bridge().ask(question).await?)
    }
}
