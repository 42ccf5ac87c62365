//! Who buys on credit is asked about first, at a bureau that may take its time.

use mmate::prelude::*;
use tokio::sync::watch;

/// Customers who buy on credit.
const ON_CREDIT: [&str; 1] = ["charles"];

/// The bureau. Like many of its kind it is slow: this one answers nobody until it opens.
#[derive(Debug, Default)]
pub struct CreditBureau(watch::Sender<bool>);

#[provider]
async fn credit_bureau() -> CreditBureau {
    CreditBureau::default()
}

impl CreditBureau {
    /// Resolves when the bureau has nothing against the customer, which is when it is open.
    pub async fn check(&self, customer_id: &str) {
        if ON_CREDIT.contains(&customer_id) {
            // It ends with an error only if the bureau is gone, and with it the app.
            let _ = self.0.subscribe().wait_for(|open| *open).await;
        }
    }

    /// Opens, for the rest of the day.
    pub fn open(&self) {
        self.0.send_replace(true);
    }
}
