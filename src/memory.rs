//! How much memory the process may use: that of its container, or of the machine.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that the process may use: the least of what its control groups (versions 1 and 2) and the machine allow. `None`
/// if nobody says.
pub fn allowed_bytes() -> Option<u64> {
    allowed_under(Path::new("/"))
}

/// The same of a machine whose files are under `root`.
fn allowed_under(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limits_of(line, &root.join("sys/fs/cgroup")));
    limits.chain(machine_bytes(root)).min()
}

/// The limits of one line of `/proc/self/cgroup`, `number:controllers:path`: of the group, and of those that it is in.
fn limits_of(line: &str, mount: &Path) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (mount, file) = match controllers {
        "" => (mount.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            (mount.join("memory"), "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let group = PathBuf::from(path.trim_start_matches('/'));
    let groups = group.ancestors().map(|group| mount.join(group).join(file));
    // `max` is no number, and so no limit.
    groups.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).collect()
}

fn machine_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))?;
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of 8 GiB with these files, and what may be used on it.
    fn check(name: &str, files: &[(&str, &str)], expected: Option<u64>) {
        let root = std::env::temp_dir().join(format!("realtime-memory-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = allowed_under(&root);
        let _ = fs::remove_dir_all(&root);
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn the_least_of_container_and_machine_counts() {
        const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");
        const GIB: u64 = 1 << 30;
        check("nothing", &[], None);
        check("machine", &[MEMINFO], Some(8 * GIB));
        let group = ("proc/self/cgroup", "0::/a/b\n");
        check("unlimited", &[MEMINFO, group, ("sys/fs/cgroup/a/b/memory.max", "max\n")], Some(8 * GIB));
        check("second", &[MEMINFO, group, ("sys/fs/cgroup/a/b/memory.max", "268435456\n")], Some(GIB / 4));
        check("parent", &[MEMINFO, group, ("sys/fs/cgroup/a/memory.max", "1073741824\n")], Some(GIB));
        check("namespaced", &[MEMINFO, group, ("sys/fs/cgroup/memory.max", "1073741824\n")], Some(GIB));
        let group = ("proc/self/cgroup", "3:cpu:/\n4:hugetlb,memory:/c\n");
        let limit = ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "536870912\n");
        check("first", &[MEMINFO, group, limit], Some(GIB / 2));
    }
}
