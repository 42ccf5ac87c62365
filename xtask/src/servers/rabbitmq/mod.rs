//! A private RabbitMQ node without containers: start, kill, freeze, start again.
//!
//! ```no_run
//! use xtask::servers::{RabbitNode, StartOptions};
//!
//! let node = RabbitNode::start(&StartOptions::default())?;
//! println!("connect to {}", node.amqp_url());
//! node.kill()?; // as a power cut would
//! node.start_again()?; // same port, same data
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`RabbitCluster`] is several of them that form a cluster.

mod cluster;
mod control;
mod durability;
mod handshake;
mod install;
mod launch;
mod node;
mod options;

pub use cluster::RabbitCluster;
pub use handshake::answers_amqp;
pub use install::Installation;
pub use node::RabbitNode;
pub use options::{StartOptions, TlsFiles};
