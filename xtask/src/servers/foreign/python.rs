//! Python with pika.

use super::Language;
use crate::servers::process::guarded;

pub(super) const PYTHON: Language = Language {
    name: "python",
    // Debian's own one has Debian's packages, another one on the PATH has not.
    interpreters: &["python3", "/usr/bin/python3"],
    runs: &["--version"],
    loads: &["-c", "import pika"],
    // Lines leave at once, and no compiled files are left in the sources.
    options: &["-u", "-B"],
    variable: "PYTHONPATH",
    libraries: "",
    install: |python, folder| {
        let mut command = guarded(python);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        command.arg("--target").arg(folder).arg("pika");
        // As root it warns of system packages, which `--target` does not touch.
        command.env("PIP_ROOT_USER_ACTION", "ignore");
        Ok(command)
    },
    // Debian's Python has no pip unless somebody wanted it, so pika itself is asked for.
    packages: |_| vec!["python3-pika"],
    what_to_do: "install Python 3 with pika (`python3 -m pip install pika`, or Debian's `python3-pika`)",
};
