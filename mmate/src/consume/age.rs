//! Since when a message has been in this process, at the longest.
//!
//! Messages that were fetched in advance lie in the transport's buffer, and nobody notes when they came; but
//! brokers count, and take away what is not acknowledged for long.

use tokio::time::Instant;

/// Bounds the age of the messages of one subscription.
#[derive(Debug)]
pub(super) struct Age {
    /// Nothing in the buffer came before.
    since: Instant,
    /// As many messages as may be in the buffer are taken from here on; then it moves up.
    mark: Instant,
    to_take: u16,
    prefetch: u16,
}

impl Age {
    pub(super) fn new(prefetch: u16) -> Self {
        let now = Instant::now();
        Self { since: now, mark: now, to_take: prefetch, prefetch }
    }

    /// The buffer is empty: what comes next comes later.
    pub(super) fn nothing_left(&mut self) {
        *self = Self::new(self.prefetch);
    }

    /// A message is taken from the buffer; gives a time before which it did not come.
    pub(super) fn of_next(&mut self) -> Instant {
        if self.to_take == 0 {
            // All that could be there at the mark has been taken since.
            (self.since, self.mark, self.to_take) = (self.mark, Instant::now(), self.prefetch);
        }
        self.to_take = self.to_take.saturating_sub(1);
        self.since
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const PREFETCH: u16 = 4;

    /// A broker that fills the buffer, and a consumer that takes and settles: no message is older than said.
    fn check(steps: &[(u8, u64)]) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut age, mut buffer, mut taken) = (Age::new(PREFETCH), VecDeque::new(), 0);
            for (what, wait_ms) in steps {
                tokio::time::advance(Duration::from_millis(*wait_ms)).await;
                match what {
                    0 if buffer.len() + taken < usize::from(PREFETCH) => {
                        buffer.push_back(Instant::now());
                    }
                    1 => match buffer.pop_front() {
                        Some(came) => {
                            let since = age.of_next();
                            assert!(since <= came, "said to be younger than it is");
                            taken += 1;
                        }
                        None => age.nothing_left(),
                    },
                    _ => taken = taken.saturating_sub(1),
                }
            }
        });
    }

    proptest! {
        #[test]
        fn no_message_is_older_than_said(
            steps in proptest::collection::vec((0..3_u8, 0..100_u64), 0..200),
        ) {
            check(&steps);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_full_buffer_the_bound_follows_at_two_buffers_distance() {
        let mut age = Age::new(PREFETCH);
        let began = Instant::now();
        let mut bounds = Vec::new();
        for _ in 0..16 {
            tokio::time::advance(Duration::from_secs(1)).await;
            bounds.push((age.of_next() - began).as_secs());
        }
        assert_eq!(bounds, [0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 5, 5, 9, 9, 9, 9]);
    }
}
