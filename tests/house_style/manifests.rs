//! What the crates' manifests say: which crates each depends on, and whether the workspace's lints hold in it.

#![expect(clippy::panic, reason = "a test without its manifest fails")]

use super::tree::File;

/// A manifest taken apart, line by line.
pub(crate) struct Manifest<'a> {
    /// The file.
    pub(crate) file: &'a File,
    /// Names of the crates in all sections of dependencies, those for tests and builds included.
    pub(crate) dependencies: Vec<&'a str>,
    /// Whether the workspace's lints hold.
    pub(crate) has_workspace_lints: bool,
}

/// The manifest at `path`.
pub(crate) fn manifest<'a>(files: &'a [File], path: &str) -> Manifest<'a> {
    let file = files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is missing"));
    let (mut dependencies, mut has_workspace_lints, mut section) = (Vec::new(), false, "");
    for line in file.text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            // `[dependencies.name]` opens one dependency.
            dependencies.extend(section.split_once("dependencies.").map(|(_, name)| name));
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let key = key.trim();
        if section.ends_with("dependencies") && section != "workspace.dependencies" {
            dependencies.push(key.trim_end_matches(".workspace"));
        }
        // `name = { package = "other" }` depends on the other.
        if let Some((_, renamed)) = value.split_once("package = \"") {
            dependencies.extend(renamed.split('"').next());
        }
        has_workspace_lints |= section == "lints" && key == "workspace" && value.trim() == "true";
    }
    Manifest { file, dependencies, has_workspace_lints }
}

#[test]
fn every_way_to_write_a_dependency_is_read() {
    let text = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\nb.workspace = true # why\n# c = \"1\"\n\
                d = { version = \"1\", package = \"e\" }\n[target.'cfg(unix)'.dev-dependencies]\nf = \"1\"\n\
                [dependencies.g]\nversion = \"1\"\n[lints]\nworkspace = true\n";
    let files = [File { path: "Cargo.toml".to_owned(), text: text.to_owned() }];
    let manifest = manifest(&files, "Cargo.toml");
    assert_eq!(manifest.dependencies, ["a", "b", "d", "e", "f", "g"]);
    assert!(manifest.has_workspace_lints);
}
