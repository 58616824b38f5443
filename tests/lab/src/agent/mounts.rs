//! A container's view of the file system: the machine's file system, with volumes mounted where the
//! pod's spec says. Pure: this module generates a shell script, which runs in a separate mount
//! namespace and leaves nothing outside of it.
//!
//! The root is an empty tmpfs whose entries are links to the machine's root. Only the parent
//! directories of a mount point are real directories; their other entries are links too. So a mount
//! point need not exist on the machine, and nothing is created there. If something is mounted below
//! `/run` or `/var/run`, these directories show nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Path of the machine's root within a container's root.
const HOST: &str = ".host";
/// Directories that show none of the machine's entries.
const EMPTY: [&str; 2] = ["/run", "/var/run"];

/// Whether a volume is writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Writable.
    ReadWrite,
    /// Not writable.
    ReadOnly,
}

/// A mount of a file or directory of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Path on the machine; must exist.
    pub(crate) source: PathBuf,
    /// Whether the source is a single file (`subPath` of a key).
    pub(crate) file: bool,
    /// Path in the container; absolute.
    pub(crate) target: PathBuf,
    /// Whether it is writable.
    pub(crate) access: Access,
}

/// The error for an invalid mount path.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum MountError {
    /// The path is not absolute, is the root, or contains `..`.
    #[error("mount path {0:?} must be absolute, below the root, without \"..\"")]
    Path(PathBuf),
}

/// Returns the script that builds the view under `root` (an empty directory of the machine, over
/// which the container's root is mounted) and runs its arguments there, in `work_dir`. `entries`
/// lists a directory of the machine; it returns nothing for one that does not exist.
pub(crate) fn script(
    mounts: &[Mount],
    root: &Path,
    work_dir: &Path,
    entries: impl Fn(&Path) -> Vec<String>,
) -> Result<String, MountError> {
    let targets: BTreeMap<&Path, &Mount> =
        mounts.iter().map(|mount| (mount.target.as_path(), mount)).collect();
    // All parent directories of mount points, the root first.
    let mut real = BTreeSet::new();
    for target in targets.keys() {
        let plain = target.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !target.is_absolute() || !plain || *target == Path::new("/") {
            return Err(MountError::Path(target.to_path_buf()));
        }
        // Below another mount, the entries are those of that volume, not the machine's.
        let above = || target.ancestors().skip(1);
        if !above().any(|dir| targets.contains_key(dir)) {
            real.extend(above().map(Path::to_path_buf));
        }
    }
    let inside = |path: &Path| quote(&root.join(path.strip_prefix("/").unwrap_or(path)));
    // The container's PATH can be anything: find the tools with a fixed one.
    let mut script = String::from("set -e\npath=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin\n");
    let mut line = |text: String| {
        script.push_str(&text);
        script.push('\n');
    };
    line(format!("mount -t tmpfs -o mode=755 tmpfs {}", quote(root)));
    let host = root.join(HOST);
    let mut dirs: Vec<String> = vec![quote(&host)];
    dirs.extend(real.iter().filter(|dir| dir.parent().is_some()).map(|dir| inside(dir)));
    let tops = targets.iter().filter(|(target, _)| target.parent().is_some_and(|dir| real.contains(dir)));
    dirs.extend(tops.clone().filter(|(_, mount)| !mount.file).map(|(target, _)| inside(target)));
    line(format!("mkdir -p {}", dirs.join(" ")));
    line(format!("mount --rbind / {}", quote(&host)));
    for dir in real.iter().filter(|dir| !EMPTY.iter().any(|empty| dir.starts_with(empty))) {
        let taken = |name: &String| {
            let path = dir.join(name);
            real.contains(&path) || targets.contains_key(path.as_path())
        };
        let links: Vec<String> = entries(dir)
            .into_iter()
            .filter(|name| !taken(name))
            .map(|name| {
                quote(&Path::new("/").join(HOST).join(dir.strip_prefix("/").unwrap_or(dir)).join(name))
            })
            .collect();
        if !links.is_empty() {
            line(format!("ln -s {} {}/", links.join(" "), inside(dir)));
        }
    }
    for (target, mount) in &targets {
        let place = inside(target);
        let nested = !target.parent().is_some_and(|dir| real.contains(dir));
        if mount.file {
            line(format!("touch {place}"));
        } else if nested {
            line(format!("mkdir -p {place}"));
        }
        line(format!("mount --bind {} {place}", quote(&mount.source)));
    }
    // Last, so that the mount point of a nested mount can still be created in a read-only one.
    for (target, _) in targets.iter().filter(|(_, mount)| mount.access == Access::ReadOnly) {
        // Without root, flags of the machine's mount can't be removed, so they must be named.
        let place = inside(target);
        line(format!("mount -o remount,bind,ro {place} || mount -o remount,bind,ro,nosuid,nodev {place}"));
    }
    line("chroot=$(command -v chroot); PATH=$path".to_owned());
    line(format!(
        "exec \"$chroot\" {} /bin/sh -c 'cd \"$0\" && exec \"$@\"' {} \"$@\"",
        quote(root),
        quote(work_dir)
    ));
    Ok(script)
}

/// Quotes a path for a shell.
fn quote(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str, access: Access) -> Mount {
        Mount { source: "/lab/v".into(), file: false, target: target.into(), access }
    }

    fn entries(dir: &Path) -> Vec<String> {
        let names: &[&str] = match dir.to_str().unwrap() {
            "/" => &["etc", "run", "usr", "var"],
            "/var" => &["lib", "run"],
            "/var/run" | "/run" => &["secret-of-the-machine"],
            "/etc" => &["hosts", "it's"],
            _ => &[],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn built(mounts: &[Mount]) -> Vec<String> {
        let script = script(mounts, Path::new("/lab/root"), Path::new("/"), entries).unwrap();
        script.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_token_is_mounted_where_the_machine_lacks_the_directory() {
        let lines = built(&[mount("/var/run/secrets/k/sa", Access::ReadOnly)]);
        assert_eq!(
            lines,
            [
                "set -e",
                "path=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "mount -t tmpfs -o mode=755 tmpfs '/lab/root'",
                "mkdir -p '/lab/root/.host' '/lab/root/var' '/lab/root/var/run' '/lab/root/var/run/secrets' \
                 '/lab/root/var/run/secrets/k' '/lab/root/var/run/secrets/k/sa'",
                "mount --rbind / '/lab/root/.host'",
                "ln -s '/.host/etc' '/.host/run' '/.host/usr' '/lab/root/'/",
                "ln -s '/.host/var/lib' '/lab/root/var'/",
                "mount --bind '/lab/v' '/lab/root/var/run/secrets/k/sa'",
                "mount -o remount,bind,ro '/lab/root/var/run/secrets/k/sa' || \
                 mount -o remount,bind,ro,nosuid,nodev '/lab/root/var/run/secrets/k/sa'",
                "chroot=$(command -v chroot); PATH=$path",
                "exec \"$chroot\" '/lab/root' /bin/sh -c 'cd \"$0\" && exec \"$@\"' '/' \"$@\"",
            ]
        );
    }

    #[test]
    fn other_entries_of_a_directory_with_a_mount_remain_and_names_are_quoted() {
        let lines = built(&[mount("/etc/app", Access::ReadWrite)]);
        assert!(
            lines.contains(&"ln -s '/.host/etc/hosts' '/.host/etc/it'\\''s' '/lab/root/etc'/".to_owned()),
            "{lines:#?}"
        );
        assert!(!lines.iter().any(|line| line.contains("remount")));
    }

    #[test]
    fn a_nested_mount_is_mounted_in_the_outer_volume() {
        let lines = built(&[mount("/data/inner", Access::ReadWrite), mount("/data", Access::ReadOnly)]);
        let position = |text: &str| {
            lines.iter().position(|line| line == text).unwrap_or_else(|| panic!("{text} {lines:#?}"))
        };
        let outer = position("mount --bind '/lab/v' '/lab/root/data'");
        let place = position("mkdir -p '/lab/root/data/inner'");
        let inner = position("mount --bind '/lab/v' '/lab/root/data/inner'");
        let last = lines.iter().rposition(|line| line.starts_with("mount -o remount,bind,ro")).unwrap();
        assert!(outer < place && place < inner && inner < last);
    }

    #[test]
    fn a_single_file_is_mounted_on_a_file() {
        let mut file = mount("/etc/app.yaml", Access::ReadWrite);
        file.file = true;
        let lines = built(&[file]);
        assert!(lines.contains(&"touch '/lab/root/etc/app.yaml'".to_owned()), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.starts_with("mkdir") && line.contains("app.yaml")));
    }

    #[test]
    fn paths_that_escape_the_root_are_rejected() {
        for bad in ["relative", "/", "/a/../b"] {
            let mounts = [mount(bad, Access::ReadWrite)];
            assert!(script(&mounts, Path::new("/r"), Path::new("/"), |_| Vec::new()).is_err(), "{bad}");
        }
    }
}
