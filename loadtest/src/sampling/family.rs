//! The processes that a process has started, and those that they have started: a server may be several.

use std::collections::BTreeMap;
use std::fs;

/// How many processes below one are looked at.
const FAMILY_MAX: usize = 256;

/// The living processes below `pid`, in no order that means anything.
///
/// The kernel's own lists of children are asked, which cost a reading for each thread; a kernel without them has all
/// its processes read instead, which costs milliseconds where there are hundreds.
pub(super) fn descendants(pid: u32) -> Vec<u32> {
    // A list of our own is there if the kernel has such lists at all, whatever has become of `pid`.
    if children_by_kernel(std::process::id()).is_some() {
        return below(pid, |parent| children_by_kernel(parent).unwrap_or_default());
    }
    let mut children = children_by_parent();
    below(pid, |parent| children.remove(&parent).unwrap_or_default())
}

/// Children, their children, and so on.
fn below(pid: u32, mut children: impl FnMut(u32) -> Vec<u32>) -> Vec<u32> {
    let mut found = children(pid);
    let mut next = 0;
    while next < found.len() && found.len() < FAMILY_MAX {
        found.extend(children(found[next]));
        next += 1;
    }
    found
}

/// The children that each thread of `pid` has started; `None` if there is no such process, or no such list.
fn children_by_kernel(pid: u32) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let children = match fs::read_to_string(task.path().join("children")) {
            Ok(children) => children,
            // A thread that has ended since it was listed has no children any more.
            Err(_) if !task.path().exists() => continue,
            Err(_) => return None,
        };
        found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Some(found)
}

/// The children of every process that may be read.
fn children_by_parent() -> BTreeMap<u32, Vec<u32>> {
    let mut children = BTreeMap::<u32, Vec<u32>>::new();
    // What cannot be read has ended, or is none of ours.
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat"));
        if let Some(parent) = stat.ok().as_deref().and_then(parent) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

/// Field 4 of `/proc/<pid>/stat`, counted after the name in parentheses.
fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// A shell with a shell below it, both of which end with their standard input.
    fn family() -> Child {
        let shell = Command::new("sh").args(["-c", "sh -c 'read line; :'; :"]).stdin(Stdio::piped()).spawn();
        shell.expect("there is a shell")
    }

    #[test]
    fn grandchildren_are_found_and_strangers_are_not() {
        let mut child = family();
        let (own, strangers) = (std::process::id(), u32::MAX);
        // The inner shell is there once the outer one has started it.
        while descendants(child.id()).is_empty() {
            std::thread::yield_now();
        }
        let found = descendants(own);
        assert!(found.contains(&child.id()) && found.contains(&descendants(child.id())[0]), "{found:?}");
        assert!(descendants(strangers).is_empty());
        let mut children = children_by_parent();
        let scanned = below(own, |parent| children.remove(&parent).unwrap_or_default());
        assert!(scanned.contains(&child.id()), "both ways find the same: {scanned:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_hide_the_parent() {
        assert_eq!(parent("7 (a) b (c) S 3 7 7 0 -1"), Some(3));
        assert_eq!(parent("7 (a"), None);
    }
}
