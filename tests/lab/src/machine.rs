//! The requirements of the lab on the machine.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    fmt, io,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    parts::{self, Recipe, go, python},
    paths::Layout,
    say,
};

/// Returns a command of the system, found on the PATH or in Debian's directories of administrative
/// tools.
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", search_path(env::var_os("PATH").as_deref()));
    command
}

fn search_path(inherited: Option<&OsStr>) -> OsString {
    let mut path = inherited.unwrap_or_default().to_owned();
    path.push(if path.is_empty() { "/usr/sbin:/sbin:/usr/bin:/bin" } else { ":/usr/sbin:/sbin" });
    path
}

/// A requirement that the machine can lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// `ip`, which creates the network namespace.
    Iproute2,
    /// `nft`, which kube-proxy uses.
    Nftables,
    /// `setsid`, for processes that outlive the terminal.
    UtilLinux,
    /// Python with venv, for Traefik, and for Go if the machine has none.
    Venv,
}

impl Need {
    /// Returns Debian's package.
    fn package(self) -> &'static str {
        match self {
            Self::Iproute2 => "iproute2",
            Self::Nftables => "nftables",
            Self::UtilLinux => "util-linux",
            Self::Venv => "python3-venv",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.package())
    }
}

/// The reason why the machine can't run the lab.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Packages are missing, and the lab may not install them.
    #[error("this machine lacks {}; install it, as root, with:\n  {command}", list(missing))]
    Lacks {
        /// The missing requirements.
        missing: BTreeSet<Need>,
        /// The commands that install them.
        command: String,
    },
    /// A package manager failed.
    #[error("`{command}` failed:\n{output}")]
    Install {
        /// The command line.
        command: String,
        /// Its output.
        output: String,
    },
    /// A package manager could not be run.
    #[error("cannot run apt-get")]
    Run(#[source] io::Error),
}

fn list(needs: &BTreeSet<Need>) -> String {
    needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn commands(needs: &BTreeSet<Need>) -> String {
    format!("apt-get update && apt-get install -y {}", list(needs).replace(',', ""))
}

/// What the lab may do on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// Root on Debian or a derivative: packages may be installed.
    MayInstall,
    /// Otherwise: only report what is missing.
    MayOnlyReport,
}

/// What to do about missing requirements.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    Install,
    Tell,
}

fn plan(host: Host, missing: &BTreeSet<Need>) -> Plan {
    match host {
        _ if missing.is_empty() => Plan::Nothing,
        Host::MayInstall => Plan::Install,
        Host::MayOnlyReport => Plan::Tell,
    }
}

/// Makes sure that the machine has what `up` needs. Installs missing packages if that is allowed,
/// else returns an error that lists all of them.
pub fn ensure(layout: &Layout) -> Result<(), Error> {
    let debian = Path::new("/etc/debian_version").exists();
    let host =
        if debian && nix::unistd::geteuid().is_root() { Host::MayInstall } else { Host::MayOnlyReport };
    let missing = missing(layout);
    match plan(host, &missing) {
        Plan::Nothing => Ok(()),
        Plan::Install => {
            install(&missing)?;
            let missing = self::missing(layout);
            if missing.is_empty() {
                Ok(())
            } else {
                Err(Error::Lacks { command: commands(&missing), missing })
            }
        }
        Plan::Tell => Err(Error::Lacks { command: commands(&missing), missing }),
    }
}

/// Returns the missing requirements. Python is required only if something has to be installed with
/// it.
fn missing(layout: &Layout) -> BTreeSet<Need> {
    let mut missing = BTreeSet::new();
    for (need, program, args) in [
        (Need::Iproute2, "ip", ["-Version"]),
        (Need::Nftables, "nft", ["--version"]),
        (Need::UtilLinux, "setsid", ["--version"]),
    ] {
        if !runs(program, &args) {
            missing.insert(need);
        }
    }
    let todo = parts::missing(layout);
    let wheels = todo.iter().any(|item| matches!(item.recipe, Recipe::Traefik));
    let builds = todo.iter().any(|item| matches!(item.recipe, Recipe::GoBuild(_) | Recipe::GatewayApi));
    if (wheels || builds && go::on_path().is_none()) && python::find().is_none() {
        missing.insert(Need::Venv);
    }
    missing
}

fn runs(program: &str, args: &[&str]) -> bool {
    let status = tool(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn install(missing: &BTreeSet<Need>) -> Result<(), Error> {
    say(format_args!("installing {}", list(missing)));
    apt(&["update"])?;
    let mut args = vec!["install", "-y", "--no-install-recommends"];
    args.extend(missing.iter().map(|need| need.package()));
    apt(&args)
}

fn apt(args: &[&str]) -> Result<(), Error> {
    let out = tool("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(Error::Run)?;
    if out.status.success() {
        return Ok(());
    }
    let output = [out.stdout, out.stderr].concat();
    let output = String::from_utf8_lossy(&output).trim().to_owned();
    Err(Error::Install { command: format!("apt-get {}", args.join(" ")), output })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_installed_by_root_on_debian_only() {
        let some = BTreeSet::from([Need::Nftables]);
        assert_eq!(plan(Host::MayInstall, &some), Plan::Install);
        assert_eq!(plan(Host::MayOnlyReport, &some), Plan::Tell);
        for host in [Host::MayInstall, Host::MayOnlyReport] {
            assert_eq!(plan(host, &BTreeSet::new()), Plan::Nothing);
        }
    }

    #[test]
    fn the_message_lists_all_missing_packages_in_one_command() {
        let missing = BTreeSet::from([Need::Venv, Need::Iproute2]);
        let error = Error::Lacks { command: commands(&missing), missing };
        let text = error.to_string();
        assert!(text.contains("lacks iproute2, python3-venv"), "{text}");
        assert!(text.ends_with("apt-get update && apt-get install -y iproute2 python3-venv"), "{text}");
    }

    #[test]
    fn administrative_tools_are_found_without_being_on_the_path() {
        assert_eq!(search_path(Some(OsStr::new("/bin"))), "/bin:/usr/sbin:/sbin");
        assert_eq!(search_path(None), "/usr/sbin:/sbin:/usr/bin:/bin");
    }

    #[test]
    fn a_missing_program_does_not_run() {
        assert!(runs("sh", &["-c", "exit 0"]));
        assert!(!runs("no-such-program-of-the-lab", &[]));
    }
}
