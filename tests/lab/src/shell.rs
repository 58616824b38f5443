//! Commands inside the lab.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
};

use crate::{components, paths::Layout};

/// Variables that would route a client out of the lab.
const PROXIES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Sets the lab's environment for a command: KUBECONFIG, PATH (the lab's programs first),
/// `LAB_NAME`, `LAB_DIR`, `LAB_GATEWAY`, `LAB_PROMETHEUS`.
pub fn environment(layout: &Layout, command: &mut Command) {
    for name in PROXIES {
        command.env_remove(name);
    }
    let run = layout.run();
    command
        .env("KUBECONFIG", layout.kubeconfig("admin"))
        .env("PATH", path(layout.bin(), env::var_os("PATH").as_deref()))
        .env("LAB_NAME", layout.name().to_string())
        .env("LAB_DIR", &run)
        // helm's cache is part of the lab, not of the user's home.
        .env("HELM_CACHE_HOME", run.join("helm"))
        .env("HELM_CONFIG_HOME", run.join("helm"))
        .env("HELM_DATA_HOME", run.join("helm"))
        .envs(components::addresses());
}

/// Returns a PATH with the lab's programs first. The system's directories are appended: `nft` and
/// `ip` are there, and not every user has them on the PATH.
fn path(bin: PathBuf, inherited: Option<&OsStr>) -> OsString {
    let mut folders = vec![bin];
    folders.extend(inherited.map(env::split_paths).into_iter().flatten());
    for system in ["/usr/sbin", "/sbin"].map(PathBuf::from) {
        if !folders.contains(&system) {
            folders.push(system);
        }
    }
    env::join_paths(folders).unwrap_or_else(|_| inherited.unwrap_or_default().to_owned())
}

/// Replaces this process with the command, or with the user's shell without one. Returns only if
/// that fails. Must be called inside the namespace.
pub fn become_command(layout: &Layout, args: &[String]) -> io::Error {
    let shell = env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let (program, rest) = args.split_first().map_or((&shell, &[][..]), |(program, rest)| (program, rest));
    let mut command = Command::new(program);
    command.args(rest);
    environment(layout, &mut command);
    command.exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_the_lab_come_first_on_the_path() {
        let joined = path("/lab/bin".into(), Some(OsStr::new("/usr/bin:/usr/sbin")));
        assert_eq!(joined, "/lab/bin:/usr/bin:/usr/sbin:/sbin");
        assert_eq!(path("/lab/bin".into(), None), "/lab/bin:/usr/sbin:/sbin");
    }
}
