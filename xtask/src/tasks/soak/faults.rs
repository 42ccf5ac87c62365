//! What is done to the scene while it is under load.

use std::io;
use std::time::Duration;

use super::scene::Scene;

/// One way to hurt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) hurt: fn(&mut Scene) -> io::Result<()>,
}

/// All of them, in the order of a run.
pub(super) const FAULTS: &[Fault] =
    &[Fault { name: "none", hurt: nothing }, Fault { name: "kill-broker", hurt: kill_broker }];

/// The load alone: what does not work without a fault says nothing about faults.
fn nothing(scene: &mut Scene) -> io::Result<()> {
    scene.let_pass(Duration::from_secs(1));
    Ok(())
}

fn kill_broker(scene: &mut Scene) -> io::Result<()> {
    scene.node.kill()?;
    scene.node.start_again()
}
