//! The project's own text files. What is built, downloaded or generated is not among them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read the tree fails")]

use std::fs;
use std::path::Path;

/// Folders that hold nothing of ours.
const FOREIGN_FOLDERS: [&str; 9] =
    [".git", ".cache", ".venv", "__pycache__", "artifacts", "corpus", "coverage", "node_modules", "target"];
/// Files that tools write.
const GENERATED_FILES: [&str; 3] = [".git", "Cargo.lock", "package-lock.json"];

/// One file.
pub(crate) struct File {
    /// From the root of the project, with slashes, such as `src/main.rs`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl File {
    /// Whether the name ends in `.` and one of `extensions`.
    pub(crate) fn is_one_of(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Whether the file is in a folder for tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "benches" | "fuzz"))
    }

    /// `path:line` of a place in the text.
    pub(crate) fn place(&self, offset: usize) -> String {
        let line = 1 + self.text[..offset].bytes().filter(|byte| *byte == b'\n').count();
        format!("{}:{line}", self.path)
    }
}

/// Every file of the project, in the order of their paths.
pub(crate) fn read() -> Vec<File> {
    let mut files = Vec::new();
    read_folder(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.iter().any(|file| file.path == "src/main.rs"), "the tree is not where it was built");
    files
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !FOREIGN_FOLDERS.contains(&name.as_str()) {
            read_folder(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() && !GENERATED_FILES.contains(&name.as_str()) {
            // What is not text has no style.
            files.extend(fs::read_to_string(entry.path()).ok().map(|text| File { path, text }));
        }
    }
}
