//! What is done to the scene while it is under load.

use std::io;
use std::time::Duration;

use xtask::servers::proxy::{Action, Moment, Nonsense, Sender, methods};

use super::programs::lock;
use super::scene::Scene;

/// How long a chosen moment of the protocol may take to come.
const MOMENT_TIMEOUT: Duration = Duration::from_secs(15);
/// A moment of the flow comes by itself; one of connecting only after a loss.
const FLOW_MOMENT_TIMEOUT: Duration = Duration::from_millis(300);
/// How long one step's recovery may take before the next step follows anyway.
const STEP_RECOVERY_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than the service waits for one answer of the broker.
const SLOW_ANSWER: Duration = Duration::from_secs(12);
const ALARM: Duration = Duration::from_secs(4);
/// More than twice the heartbeat of the scene.
const SILENCE: Duration = Duration::from_secs(6);
/// How long a node of a cluster stays dead: long enough for an election.
const DEAD: Duration = Duration::from_secs(3);
/// After a minute of silence the nodes of a cluster part for good, which no client can mend.
const LEADER_FREEZE_MAX: Duration = Duration::from_secs(30);
const KILLS: u32 = 4;
const RESETS: u32 = 6;

/// One way to hurt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) hurt: fn(&mut Scene) -> io::Result<()>,
    pub(super) manner: Manner,
}

/// What a round must know of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It is done a second time in the recovery from the first.
    Twice,
    /// It consists of many faults already.
    Itself,
    /// It destroys messages that wait, so that the load rests meanwhile.
    Resting,
    /// Nothing is cut off, so that nothing may come twice.
    Orderly,
}

const fn fault(
    name: &'static str,
    manner: Manner,
    hurt: fn(&mut Scene) -> io::Result<()>,
) -> Fault {
    Fault { name, hurt, manner }
}

/// All of them, in the order of a run.
pub(super) const FAULTS: &[Fault] = &[
    fault("none", Manner::Orderly, nothing),
    fault("kill-broker", Manner::Twice, kill_broker),
    fault("restart-broker", Manner::Twice, restart_broker),
    fault("freeze-broker", Manner::Twice, freeze_broker),
    fault("reset-steps", Manner::Itself, reset_at_each_step),
    fault("resets", Manner::Itself, resets),
    fault("half-open", Manner::Twice, half_open),
    fault("slow-consume-ok", Manner::Twice, slow_consume_ok),
    fault("channel-404", Manner::Twice, channel_404),
    fault("channel-406", Manner::Twice, channel_406),
    fault("delete-queues", Manner::Resting, delete_queues),
    fault("memory-alarm", Manner::Twice, memory_alarm),
    fault("kill-service", Manner::Itself, kill_service),
    fault("crash-windows", Manner::Itself, crash_windows),
    fault("rolling-services", Manner::Orderly, rolling_services),
    fault("cut-shutdown", Manner::Twice, cut_shutdown),
];

/// Those of a cluster.
pub(super) const CLUSTER_FAULTS: &[Fault] = &[
    fault("none", Manner::Orderly, nothing),
    fault("rolling-cluster", Manner::Itself, rolling_cluster),
    fault("kill-leader", Manner::Twice, kill_leader),
    fault("freeze-leader", Manner::Twice, freeze_leader),
    fault("kill-service", Manner::Itself, kill_service),
    fault("rolling-services", Manner::Orderly, rolling_services),
];

/// The load alone: what does not work without a fault says nothing about faults.
fn nothing(scene: &mut Scene) -> io::Result<()> {
    scene.let_pass(Duration::from_secs(1));
    Ok(())
}

/// As a power cut would.
fn kill_broker(scene: &mut Scene) -> io::Result<()> {
    // A queue that is a second old may lose everything when its broker is killed, whatever clients do.
    scene.broker.node().write_down()?;
    scene.broker.node().wait_until_all_registered()?;
    scene.broker.node().kill()?;
    scene.broker.node().start_again()
}

fn restart_broker(scene: &mut Scene) -> io::Result<()> {
    scene.broker.node().restart()
}

/// Connections stay open, and nobody answers.
fn freeze_broker(scene: &mut Scene) -> io::Result<()> {
    scene.broker.node().pause()?;
    scene.let_pass(scene.props.freeze);
    scene.broker.node().resume()
}

const CLIENT_STEPS: [(&str, (u16, u16)); 12] = [
    ("start-ok", methods::START_OK),
    ("tune-ok", methods::TUNE_OK),
    ("open", methods::OPEN),
    ("channel.open", methods::CHANNEL_OPEN),
    ("confirm.select", methods::CONFIRM_SELECT),
    ("queue.declare", methods::QUEUE_DECLARE),
    ("queue.bind", methods::QUEUE_BIND),
    ("qos", methods::QOS),
    ("consume", methods::CONSUME),
    ("publish", methods::PUBLISH),
    ("ack", methods::ACK),
    ("connection.open, 2nd", methods::OPEN),
];

const BROKER_STEPS: [(&str, (u16, u16)); 10] = [
    ("start", methods::START),
    ("tune", methods::TUNE),
    ("open-ok", methods::OPEN_OK),
    ("channel.open-ok", methods::CHANNEL_OPEN_OK),
    ("confirm.select-ok", methods::CONFIRM_SELECT_OK),
    ("queue.declare-ok", methods::QUEUE_DECLARE_OK),
    ("consume-ok", methods::CONSUME_OK),
    ("deliver", methods::DELIVER),
    ("confirm", methods::ACK),
    ("consume-ok, 2nd", methods::CONSUME_OK),
];

/// The connection ends at each step of the protocol, one after the other; most of them come only while
/// the service recovers from the one before.
fn reset_at_each_step(scene: &mut Scene) -> io::Result<()> {
    let client = CLIENT_STEPS.map(|step| (Sender::Client, step));
    let broker = BROKER_STEPS.map(|step| (Sender::Broker, step));
    for (sender, (name, method)) in client.into_iter().chain(broker) {
        let skip = u32::from(name.ends_with("2nd"));
        let moment = Moment { skip, ..Moment::of(sender, method) };
        scene.proxy.at(moment.clone(), Action::Reset);
        if !scene.proxy.wait_for_moment(FLOW_MOMENT_TIMEOUT) {
            scene.proxy.at(moment, Action::Reset);
            scene.proxy.reset();
            expect_moment(scene, &format!("the reset at {name}"));
        }
        scene.wait_for(STEP_RECOVERY_TIMEOUT, |scene| scene.is_ready());
    }
    Ok(())
}

/// A fault that did not happen proves nothing, so it must not pass for one that did.
fn expect_moment(scene: &Scene, what: &str) {
    if !scene.proxy.wait_for_moment(MOMENT_TIMEOUT) {
        lock(&scene.ledger).incident(format!("the fault did not happen: {what}"));
    }
}

/// The connections end again and again, also while messages that came after the loss are being handled.
fn resets(scene: &mut Scene) -> io::Result<()> {
    for _ in 0..RESETS {
        scene.proxy.reset();
        let wait = Duration::from_millis(100 + scene.random(500));
        scene.let_pass(wait);
    }
    Ok(())
}

fn half_open(scene: &mut Scene) -> io::Result<()> {
    scene.proxy.stall();
    scene.let_pass(SILENCE);
    scene.proxy.go_on();
    Ok(())
}

/// The broker's word that it delivers comes later than the service waits for it.
fn slow_consume_ok(scene: &mut Scene) -> io::Result<()> {
    let moment = Moment::of(Sender::Broker, methods::CONSUME_OK);
    scene.proxy.at(moment, Action::Delay(SLOW_ANSWER));
    scene.proxy.reset();
    expect_moment(scene, "the slow consume-ok");
    scene.let_pass(SLOW_ANSWER);
    Ok(())
}

fn channel_404(scene: &mut Scene) -> io::Result<()> {
    close_channels(scene, Nonsense::MissingQueue)
}

fn channel_406(scene: &mut Scene) -> io::Result<()> {
    close_channels(scene, Nonsense::UnknownDelivery)
}

fn close_channels(scene: &mut Scene, nonsense: Nonsense) -> io::Result<()> {
    scene.wait_for(STEP_RECOVERY_TIMEOUT, |scene| scene.is_ready());
    if scene.proxy.misbehave(nonsense)? == 0 {
        lock(&scene.ledger).incident("the fault did not happen: there is no consumer's channel");
    }
    Ok(())
}

/// The broker cancels their consumers. All but the queue of the service's own publishes, which go on.
fn delete_queues(scene: &mut Scene) -> io::Result<()> {
    let delete = r#"[begin
        {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, N)),
        {ok, _} = rabbit_amqqueue:delete(Q, false, false, <<"operator">>)
    end || N <- [<<"cmd.soak.Work">>, <<"cmd.soak.Timed">>, <<"qry.soak.Ask">>, <<"evt.soak.Happened.soak">>]]."#;
    scene.broker.node().ctl(&["eval", delete])?;
    Ok(())
}

/// The broker takes nothing from publishers.
fn memory_alarm(scene: &mut Scene) -> io::Result<()> {
    scene.broker.node().ctl(&["set_vm_memory_high_watermark", "absolute", "1MiB"])?;
    scene.let_pass(ALARM);
    scene.broker.node().ctl(&["set_vm_memory_high_watermark", "absolute", "512MiB"])?;
    Ok(())
}

/// All nodes are restarted in order, one after the other, as an upgrade does.
fn rolling_cluster(scene: &mut Scene) -> io::Result<()> {
    for index in 0..scene.broker.nodes().len() {
        let node = &scene.broker.nodes()[index];
        node.restart()?;
        node.ctl(&["await_online_nodes", "3", "--timeout", "60"])?;
        // The next node goes only when the queues can do without it.
        scene.wait_until_quorum_holds()?;
        scene.wait_until_healthy(MOMENT_TIMEOUT)?;
    }
    Ok(())
}

/// The node that leads the busiest queue dies and comes back.
fn kill_leader(scene: &mut Scene) -> io::Result<()> {
    let leader = scene.leader()?;
    scene.broker.nodes()[leader].wait_until_all_registered()?;
    scene.broker.nodes()[leader].kill()?;
    scene.let_pass(DEAD);
    scene.broker.nodes()[leader].start_again()
}

/// The node that leads the busiest queue does not answer, and nobody is told.
fn freeze_leader(scene: &mut Scene) -> io::Result<()> {
    let leader = scene.leader()?;
    scene.broker.nodes()[leader].pause()?;
    scene.let_pass(scene.props.freeze.min(LEADER_FREEZE_MAX));
    scene.broker.nodes()[leader].resume()
}

/// At random moments, also while it boots.
fn kill_service(scene: &mut Scene) -> io::Result<()> {
    for kill in 0..KILLS {
        if kill % 2 == 0 {
            scene.wait_until_healthy(MOMENT_TIMEOUT)?;
        }
        let wait = Duration::from_millis(20 + scene.random(600));
        scene.let_pass(wait);
        scene.services[0].program.kill()?;
        scene.replace_the_dead()?;
    }
    Ok(())
}

/// The service is killed in every gap between an effect and its ack.
fn crash_windows(scene: &mut Scene) -> io::Result<()> {
    let publish = |exchange, key| Moment {
        address: Some((exchange, key)),
        ..Moment::of(Sender::Client, methods::PUBLISH)
    };
    let (result, reply) = (publish("mmate.events", "evt."), publish("", "soak.replies"));
    let (dead, later) = (publish("", "dlq."), publish("mmate.delay", ""));
    let own = publish("mmate.commands", "cmd.soak.Plain");
    let (confirm, ack) =
        (Moment::of(Sender::Broker, methods::ACK), Moment::of(Sender::Client, methods::ACK));
    // What passes first, if anything; then where it dies.
    let windows = [
        ("handled, results not published", None, result.clone()),
        ("results published, not confirmed to it", Some(result), confirm.clone()),
        ("results confirmed, not answered", None, reply.clone()),
        ("answered, not confirmed to it", Some(reply), confirm.clone()),
        ("everything left, not acknowledged", None, ack.clone()),
        ("failed, retry not published", None, later.clone()),
        ("retry published, not confirmed to it", Some(later.clone()), confirm.clone()),
        ("retry published, not acknowledged", Some(later), ack.clone()),
        ("failed, dead letter not published", None, dead.clone()),
        ("dead letter published, not confirmed to it", Some(dead.clone()), confirm.clone()),
        ("dead letter published, not acknowledged", Some(dead), ack),
        ("own publish not sent", None, own.clone()),
        ("own publish not confirmed to it", Some(own), confirm),
    ];
    for (name, before, moment) in windows {
        if !scene.wait_until_healthy(MOMENT_TIMEOUT)? {
            return Ok(());
        }
        let kill = Action::Do(scene.services[0].program.killer());
        match before {
            None => scene.proxy.at(moment, kill),
            Some(before) => scene.proxy.at(before, Action::Then(moment, Box::new(kill))),
        }
        expect_moment(scene, name);
        // The proxy's thread kills; an orchestrator sees it when it is done.
        scene.wait_for(MOMENT_TIMEOUT, |scene| !scene.is_ready());
    }
    Ok(())
}

/// Two instances, replaced one after the other by asking them to end.
fn rolling_services(scene: &mut Scene) -> io::Result<()> {
    scene.start_service()?;
    for _ in 0..2 {
        scene.wait_until_healthy(MOMENT_TIMEOUT)?;
        scene.end_first_service()?;
        scene.start_service()?;
    }
    scene.wait_until_healthy(MOMENT_TIMEOUT)?;
    scene.end_first_service()
}

/// The connection ends while the service ends in order: there is nothing to be saved, and nothing hangs.
fn cut_shutdown(scene: &mut Scene) -> io::Result<()> {
    scene.wait_until_healthy(MOMENT_TIMEOUT)?;
    scene.proxy.at(Moment::of(Sender::Client, methods::CANCEL), Action::Reset);
    scene.services[0].program.ask_to_end()?;
    expect_moment(scene, "the reset at cancel");
    if !scene.wait_for(Duration::from_secs(70), |scene| !scene.services[0].is_running()) {
        lock(&scene.ledger).incident("the service does not end when its connection is cut");
    }
    scene.replace_the_dead()
}
