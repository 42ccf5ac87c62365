//! Clients from elsewhere, which know nothing of Mmate and share no mistake with it: Python's `pika` and
//! Node's `amqplib`.
//!
//! A further language is a [`Language`] in a file of its own.

mod node;
mod python;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use super::Availability;
use super::packages::{self, InstallPolicy};
use super::process::{Guard, guarded};
use super::programs::{Prefer, find_program, succeeds};
use super::scratch::random_u64;

const INSTALL_TIMEOUT: Duration = Duration::from_secs(3 * 60);

/// A language with a client library for AMQP: how both are found and got.
#[derive(Debug)]
struct Language {
    /// The name of its folder below `target/foreign`.
    name: &'static str,
    /// Names and paths of its interpreter, in order of preference.
    interpreters: &'static [&'static str],
    /// Ends well in an interpreter that is new enough.
    runs: &'static [&'static str],
    /// Ends well if the client library can be loaded, too.
    loads: &'static [&'static str],
    /// What the interpreter is given before the path of a program.
    options: &'static [&'static str],
    /// The environment variable that names a folder of libraries ..
    variable: &'static str,
    /// .. and where that is below the folder that `install` filled.
    libraries: &'static str,
    /// The command that puts the library into a folder and changes nothing else on the machine.
    install: fn(interpreter: &Path, folder: &Path) -> io::Result<Command>,
    /// The Debian packages without which `install` cannot do it on this machine.
    packages: fn(&Language) -> Vec<&'static str>,
    /// What a developer can do.
    what_to_do: &'static str,
}

/// An interpreter that can load a client library for AMQP.
#[derive(Debug, Clone)]
pub struct ForeignClient {
    language: &'static Language,
    interpreter: PathBuf,
    /// Where the library is, if it is not among the interpreter's own.
    libraries: Option<PathBuf>,
}

impl ForeignClient {
    /// Finds Python with pika; else puts pika into the target folder with `pip`, which changes nothing on the
    /// machine; else, if `policy` lets it, installs Debian's `python3-pika`.
    pub fn python(policy: InstallPolicy) -> Availability<Self> {
        Self::find_or_install(&python::PYTHON, policy)
    }

    /// Finds Node 18 or later with amqplib; else puts amqplib into the target folder with `npm`, which changes
    /// nothing on the machine; for that, if `policy` lets it, it installs Debian's `nodejs` and `npm`.
    pub fn node(policy: InstallPolicy) -> Availability<Self> {
        Self::find_or_install(&node::NODE, policy)
    }

    fn find_or_install(language: &'static Language, policy: InstallPolicy) -> Availability<Self> {
        let why = match Self::find_or_add_library(language) {
            Ok(client) => return Availability::Ready(client),
            Err(why) => why,
        };
        let missing = (language.packages)(language);
        if policy == InstallPolicy::FindOnly || missing.is_empty() {
            return skipped(language, &why);
        }
        let installed = packages::install(&missing).map_err(|error| format!("{why}; {error}"));
        match installed.and_then(|()| Self::find_or_add_library(language)) {
            Ok(client) => Availability::Ready(client),
            Err(why) => skipped(language, &why),
        }
    }

    /// The client, or why there is none.
    fn find_or_add_library(language: &'static Language) -> Result<Self, String> {
        let folder = libraries_folder(language);
        let added = folder.as_ref().map(|folder| folder.join(language.libraries));
        let clients = |libraries: Option<PathBuf>| {
            language.interpreters.iter().map(move |interpreter| {
                let (interpreter, libraries) = (PathBuf::from(interpreter), libraries.clone());
                Self { language, interpreter, libraries }
            })
        };
        let in_folder = added.iter().flat_map(|added| clients(Some(added.clone())));
        let mut found = clients(None).chain(in_folder);
        if let Some(client) = found.find(|client| client.ends_well(language.loads)) {
            return Ok(client);
        }
        let folder = folder.ok_or("failed to find cargo's target folder")?;
        let mut why = "failed to find the interpreter".to_owned();
        let mut tried = Vec::new();
        for client in clients(added).filter(|client| client.ends_well(language.runs)) {
            // The same program under another name would fail again, after as long a wait for the network.
            let program = client.program();
            if tried.contains(&program) {
                continue;
            }
            tried.push(program);
            match install(language, &client.interpreter, &folder) {
                Ok(()) if client.ends_well(language.loads) => return Ok(client),
                Ok(()) => why = "the library is installed and cannot be loaded".to_owned(),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }

    /// A command that runs a program of the language; it is started by [`Guard::spawn`].
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = guarded(&self.interpreter);
        self.name_libraries(&mut command);
        command.args(self.language.options).arg(program);
        command
    }

    /// The file of the interpreter, whatever it is called by.
    fn program(&self) -> Option<PathBuf> {
        let name = self.interpreter.to_str()?;
        let file = find_program(name, &[], Prefer::Path)?;
        fs::canonicalize(file).ok()
    }

    fn ends_well(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(&self.interpreter);
        self.name_libraries(&mut command);
        succeeds(command.args(arguments))
    }

    fn name_libraries(&self, command: &mut Command) {
        if let Some(libraries) = &self.libraries {
            command.env(self.language.variable, libraries);
        }
    }
}

impl Language {
    /// Whether there is an interpreter that is new enough.
    fn is_there(&self) -> bool {
        self.interpreters
            .iter()
            .any(|interpreter| succeeds(Command::new(interpreter).args(self.runs)))
    }
}

fn skipped(language: &Language, why: &str) -> Availability<ForeignClient> {
    let Language { name, what_to_do, .. } = language;
    Availability::Skipped { reason: format!("no foreign client for {name}: {why}: {what_to_do}") }
}

/// A folder below cargo's target folder, which cargo marks with a `CACHEDIR.TAG`.
fn libraries_folder(language: &Language) -> Option<PathBuf> {
    let this = env::current_exe().ok()?;
    let target = this.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file())?;
    Some(target.join("foreign").join(language.name))
}

/// Installs beside the folder and renames, so that whoever looks finds all of it or nothing.
fn install(language: &Language, interpreter: &Path, folder: &Path) -> io::Result<()> {
    let beside = folder.with_extension(format!("{:016x}", random_u64()));
    let mut command = (language.install)(interpreter, &beside)?;
    fs::create_dir_all(&beside)?;
    let ended = Guard::new(None)?.spawn(command.stdout(Stdio::null()))?.wait(INSTALL_TIMEOUT)?;
    if !ended.is_some_and(|status| status.success()) {
        // Litter at worst; the error is what matters.
        let _ = fs::remove_dir_all(&beside);
        return Err(io::Error::other("failed to install the library, see above"));
    }
    match fs::rename(&beside, folder) {
        // Somebody else was faster, and theirs is as good.
        Err(_) if folder.is_dir() => fs::remove_dir_all(&beside),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A language that this machine cannot have.
    static NOWHERE: Language = Language {
        name: "nowhere",
        interpreters: &["mmate-no-such-program"],
        packages: |_| Vec::new(),
        ..node::NODE
    };

    fn reason(language: &'static Language) -> String {
        let client = ForeignClient::find_or_install(language, InstallPolicy::FindOnly);
        client.required().unwrap_err().to_string()
    }

    #[test]
    fn absence_says_what_to_do() {
        let reason = reason(&NOWHERE);
        assert!(reason.contains("nowhere: failed to find the interpreter: install"), "{reason}");
        for (language, advice) in [(&python::PYTHON, "pip install pika"), (&node::NODE, "npm")] {
            let text = skipped(language, "none").required().unwrap_err().to_string();
            assert!(text.contains(language.name) && text.contains(advice), "{text}");
        }
    }

    #[test]
    fn a_library_that_cannot_be_installed_is_an_error_and_leaves_nothing_behind() {
        static FAILING: Language = Language {
            name: "failing",
            interpreters: &["sh"],
            runs: &["-c", "exit 0"],
            loads: &["-c", "exit 1"],
            install: |_, _| {
                let mut command = guarded("sh");
                command.args(["-c", "exit 1"]);
                Ok(command)
            },
            ..node::NODE
        };
        let reason = reason(&FAILING);
        assert!(reason.contains("failed to install the library, see above"), "{reason}");
        let folder = libraries_folder(&FAILING).unwrap();
        let left = fs::read_dir(folder.parent().unwrap()).unwrap();
        let left: Vec<_> =
            left.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        assert!(!left.iter().any(|name| name.starts_with("failing")), "{left:?}");
    }
}
