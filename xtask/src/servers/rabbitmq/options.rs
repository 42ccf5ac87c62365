//! What a test may ask of its node, and the configuration file that comes of it.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::Installation;

/// How a node is started; `StartOptions::default()` suits most tests.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// Whether the management plugin is on, with its HTTP interface on a port of its own.
    pub management: bool,
    /// Names of further plugins. Some of them listen on fixed ports of all interfaces unless
    /// [`StartOptions::extra_config`] says otherwise.
    pub plugins: Vec<String>,
    /// Opens a second listener that speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Further lines of `rabbitmq.conf`; a key that is set here replaces the default one.
    pub extra_config: String,
    /// How long the node may take until it answers.
    pub ready_timeout: Duration,
    /// The RabbitMQ to run; the one of this machine when `None`.
    pub installation: Option<Installation>,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            management: false,
            plugins: Vec::new(),
            tls: None,
            extra_config: String::new(),
            // Four seconds on an idle machine; a loaded one gets ample time.
            ready_timeout: Duration::from_secs(120),
            installation: None,
        }
    }
}

/// PEM files of a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates that client certificates are checked against.
    pub authority: PathBuf,
    /// The server's certificate; it must name `localhost` as a subject alternative name.
    pub certificate: PathBuf,
    /// The key of the server's certificate.
    pub key: PathBuf,
}

/// The loopback ports of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) amqp: u16,
    /// Erlang nodes talk to each other here, `rabbitmqctl` too.
    pub(super) distribution: u16,
    /// The node's own port mapper, so that nothing is shared with other nodes.
    pub(super) epmd: u16,
    pub(super) management: u16,
    pub(super) tls: u16,
}

impl StartOptions {
    /// The text of `rabbitmq.conf`.
    pub(super) fn config_text(&self, ports: &Ports) -> String {
        let mut text = String::new();
        for (key, value) in self.default_settings(ports) {
            if !self.sets(key) {
                let _infallible = writeln!(text, "{key} = {value}");
            }
        }
        text + self.extra_config.trim_end() + "\n"
    }

    /// The text of the `enabled_plugins` file, an Erlang list of atoms.
    pub(super) fn enabled_plugins_text(&self) -> String {
        let management = self.management.then_some("rabbitmq_management");
        let further = self.plugins.iter().map(String::as_str);
        let names: Vec<&str> = management.into_iter().chain(further).collect();
        format!("[{}].\n", names.join(","))
    }

    fn default_settings(&self, ports: &Ports) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("listeners.tcp.1", format!("127.0.0.1:{}", ports.amqp)),
            ("loopback_users", "none".to_owned()),
            ("log.console", "false".to_owned()),
            // A share of the machine's memory would block publishers on a small machine.
            ("vm_memory_high_watermark.absolute", "512MiB".to_owned()),
            ("disk_free_limit.absolute", "50MB".to_owned()),
        ];
        if self.management {
            settings.push(("management.tcp.ip", "127.0.0.1".to_owned()));
            settings.push(("management.tcp.port", ports.management.to_string()));
        }
        if let Some(files) = &self.tls {
            settings.push(("listeners.ssl.1", format!("127.0.0.1:{}", ports.tls)));
            settings.push(("ssl_options.cacertfile", files.authority.display().to_string()));
            settings.push(("ssl_options.certfile", files.certificate.display().to_string()));
            settings.push(("ssl_options.keyfile", files.key.display().to_string()));
            settings.push(("ssl_options.verify", "verify_peer".to_owned()));
            settings.push(("ssl_options.fail_if_no_peer_cert", "false".to_owned()));
        }
        settings
    }

    fn sets(&self, key: &str) -> bool {
        let keys = self.extra_config.lines().filter_map(|line| line.split_once('='));
        keys.map(|(name, _)| name.trim()).any(|name| name == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: Ports = Ports { amqp: 1, distribution: 2, epmd: 3, management: 4, tls: 5 };

    #[test]
    fn every_listener_is_on_loopback() {
        let files = TlsFiles { authority: "a".into(), certificate: "c".into(), key: "k".into() };
        let options =
            StartOptions { management: true, tls: Some(files), ..StartOptions::default() };
        let text = options.config_text(&PORTS);
        assert!(text.contains("listeners.tcp.1 = 127.0.0.1:1\n"));
        assert!(text.contains("listeners.ssl.1 = 127.0.0.1:5\n"));
        assert!(text.contains("management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = 4\n"));
    }

    #[test]
    fn an_extra_setting_replaces_the_default_one() {
        let extra_config = "disk_free_limit.absolute = 1GB\nheartbeat = 5".to_owned();
        let text = StartOptions { extra_config, ..StartOptions::default() }.config_text(&PORTS);
        assert!(!text.contains("50MB"));
        assert!(text.ends_with("disk_free_limit.absolute = 1GB\nheartbeat = 5\n"));
    }

    #[test]
    fn plugins_are_an_erlang_list() {
        let none = StartOptions::default();
        assert_eq!(none.enabled_plugins_text(), "[].\n");
        let plugins = vec!["rabbitmq_stream".to_owned()];
        let two = StartOptions { management: true, plugins, ..StartOptions::default() };
        assert_eq!(two.enabled_plugins_text(), "[rabbitmq_management,rabbitmq_stream].\n");
    }
}
