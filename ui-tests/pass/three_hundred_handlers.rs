//! As many handlers as a large service has: all of them register, each once.

use mmate::handler::{Context, HandlerResult, State};
use mmate::{handler, message};

#[message(command, reply = Done)]
pub struct Work {
    pub id: u64,
}

#[message(reply)]
pub struct Done {
    pub id: u64,
}

pub struct Counter;

macro_rules! ten_handlers {
    ($($module:ident)*) => {$(
        mod $module {
            use super::*;
            ten_handlers!(@ a b c d e f g h i j);
        }
    )*};
    (@ $($name:ident)*) => {$(
        #[handler(concurrency = 4, prefetch = 8, timeout = "30s", retry(attempts = 3, backoff = fixed("1s")))]
        async fn $name(work: Work, counter: State<Counter>, context: Context) -> HandlerResult<Done> {
            let _ = (counter, context);
            Ok(Done { id: work.id })
        }
    )*};
}

ten_handlers! {
    m00 m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 m11 m12 m13 m14
    m15 m16 m17 m18 m19 m20 m21 m22 m23 m24 m25 m26 m27 m28 m29
}

fn main() {
    let handlers = mmate::handler::registered_handlers();
    assert_eq!(handlers.len(), 300);
    let mut names: Vec<_> = handlers.iter().map(|entry| (entry.location.module, entry.name)).collect();
    names.dedup();
    assert_eq!(names.len(), 300);
}
