//! Several private nodes that are one broker.

use std::fmt::Write;
use std::io;

use super::node::{START_ATTEMPTS_MAX, Surroundings, cookie, node_name};
use super::{Installation, RabbitNode, StartOptions};
use crate::servers::InstallPolicy;
use crate::servers::ports::free_port;

/// How many nodes a cluster has: the fewest that keep a quorum when one is gone.
const NODES: usize = 3;

/// A cluster of three RabbitMQ nodes, of which each can be killed, frozen and started again by
/// itself through [`RabbitCluster::nodes`]. Dropping it ends all of them.
///
/// ```no_run
/// use xtask::servers::{RabbitCluster, StartOptions};
///
/// let cluster = RabbitCluster::start(&StartOptions::default())?;
/// println!("connect to {}", cluster.amqp_urls());
/// cluster.nodes()[0].kill()?; // the other two go on
/// cluster.nodes()[0].start_again()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RabbitCluster {
    nodes: Vec<RabbitNode>,
}

impl RabbitCluster {
    /// Starts three nodes at once and waits until each answers AMQP and knows the others. Takes 20 to 30
    /// seconds and 400 MB.
    ///
    /// # Errors
    ///
    /// When RabbitMQ is not on this machine, or when a node does not answer in time.
    pub fn start(options: &StartOptions) -> io::Result<Self> {
        let installation = match options.installation.clone() {
            Some(installation) => installation,
            None => Installation::find_or_install(InstallPolicy::FindOnly).required()?,
        };
        let mut attempt = 1;
        loop {
            let cluster = Self::prepare(&installation, options)?;
            match cluster.form() {
                Ok(()) => return Ok(cluster),
                Err(_)
                    if attempt < START_ATTEMPTS_MAX
                        && cluster.nodes.iter().any(RabbitNode::lost_a_port) =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The nodes, in the order of [`RabbitCluster::amqp_urls`].
    #[must_use]
    pub fn nodes(&self) -> &[RabbitNode] {
        &self.nodes
    }

    /// Where clients connect, as the user `guest`: the URLs of all nodes with commas between them.
    #[must_use]
    pub fn amqp_urls(&self) -> String {
        self.nodes.iter().map(RabbitNode::amqp_url).collect::<Vec<_>>().join(",")
    }

    /// The place in [`RabbitCluster::nodes`] of the node that leads a queue of the virtual host `/`; asked
    /// of the first node that runs.
    ///
    /// # Errors
    ///
    /// When there is no such queue, no node runs, or the queue has no leader.
    pub fn leader_of(&self, queue: &str) -> io::Result<usize> {
        let listed = self.any_running()?.ctl(&["--quiet", "list_queues", "name", "leader"])?;
        let leader = listed.lines().find_map(|line| line.strip_prefix(queue)?.strip_prefix('\t'));
        self.nodes
            .iter()
            .position(|node| leader == Some(node.name()))
            .ok_or_else(|| io::Error::other(format!("failed to find the leader of `{queue}`")))
    }

    fn any_running(&self) -> io::Result<&RabbitNode> {
        let running = self.nodes.iter().find(|node| node.pid().is_some());
        running.ok_or_else(|| io::Error::other("failed to ask the cluster: no node runs"))
    }

    fn prepare(installation: &Installation, options: &StartOptions) -> io::Result<Self> {
        let names: Vec<String> = (0..NODES).map(|_| node_name()).collect();
        let options = StartOptions {
            extra_config: with_peers(&options.extra_config, &names),
            ..options.clone()
        };
        let (cookie, epmd_port) = (cookie(), free_port()?);
        let mut nodes: Vec<RabbitNode> = Vec::with_capacity(NODES);
        for name in names {
            let epmd = nodes.first().map(RabbitNode::epmd);
            let surroundings = Surroundings { name, cookie: cookie.clone(), epmd_port, epmd };
            nodes.push(RabbitNode::prepare(installation.clone(), &options, surroundings)?);
        }
        Ok(Self { nodes })
    }

    fn form(&self) -> io::Result<()> {
        // All at once: each waits for its peers before it makes a cluster of its own.
        self.nodes.iter().try_for_each(RabbitNode::begin)?;
        self.nodes.iter().try_for_each(RabbitNode::answer)?;
        let count = NODES.to_string();
        self.any_running()?.ctl(&["await_online_nodes", &count, "--timeout", "60"]).map(drop)
    }
}

fn with_peers(extra_config: &str, names: &[String]) -> String {
    let mut text = format!(
        "{}\ncluster_formation.peer_discovery_backend = classic_config\n",
        extra_config.trim_end()
    );
    for (number, name) in (1..).zip(names) {
        let _infallible =
            writeln!(text, "cluster_formation.classic_config.nodes.{number} = {name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_all_names() {
        let names = ["a@localhost".to_owned(), "b@localhost".to_owned()];
        let text = with_peers("heartbeat = 5\n", &names);
        assert!(text.starts_with("heartbeat = 5\ncluster_formation."), "{text}");
        assert!(text.contains("nodes.1 = a@localhost\n"), "{text}");
        assert!(text.ends_with("nodes.2 = b@localhost\n"), "{text}");
    }
}
