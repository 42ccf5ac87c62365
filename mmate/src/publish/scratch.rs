//! Where bodies are written, before they are copied to a place of their size.
//!
//! A body whose size is not known needs a large place, and the shared bytes that are made of it a second one to say how
//! large it was. One that is written where the last one of the same thread was finds that place in the processor's cache.

use std::cell::Cell;

use bytes::Bytes;

/// How much is kept for the next body, in bytes. What is larger is not copied.
const KEPT_MAX: usize = 16 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What is written, unless that fails. Whoever writes may call this again: it gets a place of its own.
pub(super) fn body<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let written = write(&mut scratch);
    if scratch.capacity() > KEPT_MAX {
        return written.map(|()| Bytes::from(scratch));
    }
    let body = written.map(|()| Bytes::copy_from_slice(&scratch));
    SCRATCH.set(scratch);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_is_whole_whatever_was_written_before() {
        let written = |bytes: usize| {
            body(|body| {
                body.extend(std::iter::repeat_n(b'x', bytes));
                Ok::<_, ()>(())
            })
        };
        for bytes in [100, 3, 0, KEPT_MAX, KEPT_MAX + 1, 100_000, 7] {
            assert_eq!(written(bytes).unwrap(), vec![b'x'; bytes]);
        }
        let failed = body(|body| {
            body.push(b'?');
            Err(())
        });
        assert_eq!((failed, written(2).unwrap()), (Err(()), Bytes::from("xx")));
    }

    #[test]
    fn a_body_may_be_written_while_another_one_is() {
        let outer = body(|outer| {
            outer.push(b'a');
            let inner = body(|inner| {
                inner.push(b'b');
                Ok::<_, ()>(())
            })?;
            outer.extend(inner);
            Ok::<_, ()>(())
        });
        assert_eq!(outer.unwrap(), Bytes::from("ab"));
    }
}
