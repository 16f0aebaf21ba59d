//! The house style as far as a program can check it: reads the source tree and fails with a list of what breaks a rule.

#[path = "house_style/documents.rs"]
mod documents;
#[path = "house_style/manifests.rs"]
mod manifests;
#[path = "house_style/rust.rs"]
mod rust;
#[path = "house_style/tree.rs"]
mod tree;

use manifests::manifest;
use rust::Code;
use tree::File;

/// Lines of code that one file may have.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function that fits a screen.
const FUNCTION_LINES: usize = 70;
/// How many of a hundred functions may be longer.
const LONG_FUNCTIONS_PERCENT_MAX: usize = 3;

/// Names that say nothing about what a module owns.
const EMPTY_NAMES: [&str; 8] = ["common", "helper", "helpers", "manager", "misc", "types", "util", "utils"];
/// Promises to come back, which nobody keeps. In two parts, so that this file does not break its own rule.
const PROMISES: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
/// Macros that must not be left behind.
const UNFINISHED: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Crates that touch the outside: files, sockets, clocks, threads, randomness.
const OUTSIDE_CRATES: [&str; 17] = [
    "async-std",
    "crossbeam",
    "crossbeam-channel",
    "getrandom",
    "io-uring",
    "libc",
    "mio",
    "monoio",
    "nix",
    "parking_lot",
    "polling",
    "rayon",
    "rustix",
    "signal-hook",
    "smol",
    "socket2",
    "tokio",
];

/// Fails with everything that `rule` finds.
#[track_caller]
fn hold(rule: impl FnOnce(&[File]) -> Vec<String>) {
    let findings = rule(&tree::read());
    assert!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
}

fn rust_files(files: &[File]) -> impl Iterator<Item = (&File, Code)> {
    files.iter().filter(|file| file.is_one_of(&["rs"])).map(|file| (file, Code::new(&file.text)))
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    hold(|files| {
        let script_lines = |file: &File| {
            let comment = if file.is_one_of(&["mjs"]) { "//" } else { "#" };
            let is_code = |line: &&str| !line.is_empty() && !line.starts_with(comment);
            file.text.lines().map(str::trim).filter(is_code).count()
        };
        let scripts = files.iter().filter(|file| file.is_one_of(&["mjs", "py", "sh"]));
        let scripts = scripts.map(|file| (file, script_lines(file)));
        let sizes = rust_files(files).map(|(file, code)| (file, code.line_count())).chain(scripts);
        sizes
            .filter(|(_, line_count)| *line_count > FILE_LINES_MAX)
            .map(|(file, line_count)| {
                format!("{}: {line_count} lines of code, {FILE_LINES_MAX} is the edge", file.path)
            })
            .collect()
    });
}

#[test]
fn functions_fit_a_screen() {
    hold(|files| {
        let (mut long, mut function_count) = (Vec::new(), 0);
        for (file, code) in rust_files(files) {
            for function in code.functions() {
                function_count += 1;
                if function.line_count > FUNCTION_LINES {
                    let place = file.place(function.start);
                    long.push(format!("{place}: {} has {} lines", function.name, function.line_count));
                }
            }
        }
        let is_within = long.len() * 100 <= function_count * LONG_FUNCTIONS_PERCENT_MAX;
        if is_within { Vec::new() } else { long }
    });
}

#[test]
fn modules_are_named_for_what_they_own() {
    hold(|files| {
        let mut findings = Vec::new();
        for file in files.iter().filter(|file| file.is_one_of(&["rs", "mjs", "py"])) {
            if file.path.ends_with("/mod.rs") {
                findings.push(format!("{}: a module foo is foo.rs, its parts are in foo/", file.path));
            }
            let names = file.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
            findings.extend(
                names
                    .filter(|name| EMPTY_NAMES.contains(name))
                    .map(|name| format!("{}: {name} says nothing about what it owns", file.path)),
            );
        }
        findings
    });
}

#[test]
fn every_file_says_what_it_owns() {
    hold(|files| {
        let is_silent = |file: &&File| file.is_one_of(&["rs"]) && !file.text.starts_with("//! ");
        files.iter().filter(is_silent).map(|file| format!("{}: begins without //!", file.path)).collect()
    });
}

#[test]
fn nothing_is_left_for_later() {
    hold(|files| {
        let mut findings = Vec::new();
        for file in files {
            for promise in PROMISES {
                let is_word = |offset: &usize| {
                    let rest = &file.text[offset + promise.len()..];
                    !file.text[..*offset].ends_with(char::is_alphanumeric)
                        && !rest.starts_with(char::is_alphanumeric)
                };
                let offsets = file.text.match_indices(promise).map(|(offset, _)| offset).filter(is_word);
                findings.extend(offsets.map(|offset| format!("{}: {promise}", file.place(offset))));
            }
        }
        for (file, code) in rust_files(files) {
            for name in UNFINISHED {
                findings.extend(code.find(name).map(|offset| format!("{}: {name}", file.place(offset))));
            }
        }
        findings
    });
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    hold(|files| {
        let mut findings = Vec::new();
        let test_modules: Vec<String> =
            rust_files(files).flat_map(|(file, code)| test_files(file, &code)).collect();
        let is_test = |file: &File| file.is_test() || test_modules.contains(&file.path);
        for (file, code) in rust_files(files).filter(|(file, _)| !is_test(file)) {
            let tests = code.test_ranges();
            let is_outside = |offset: &usize| !tests.iter().any(|range| range.contains(offset));
            let unwraps = code.find(".unwrap()").filter(is_outside);
            findings.extend(unwraps.map(|offset| format!("{}: unwrap", file.place(offset))));
        }
        findings
    });
}

/// The files of the modules that `file` declares for tests alone.
fn test_files(file: &File, code: &Code) -> Vec<String> {
    let stem = file.path.trim_end_matches(".rs");
    let folder = match stem.rsplit_once('/') {
        Some((folder, "lib" | "main")) => folder,
        _ => stem,
    };
    code.test_modules().map(|module| format!("{folder}/{module}.rs")).collect()
}

#[test]
fn one_module_is_unsafe_and_names_the_runtime() {
    hold(|files| {
        let mut findings = Vec::new();
        for (file, code) in rust_files(files) {
            if file.path == "src/rt.rs" || file.path.starts_with("src/rt/") {
                continue;
            }
            let is_kept_inside = |word: &str| matches!(word, "unsafe" | "monoio" | "io_uring");
            let words = code.words().filter(|(_, word)| is_kept_inside(word));
            findings.extend(words.map(|(offset, word)| format!("{}: {word}", file.place(offset))));
        }
        findings
    });
}

#[test]
fn dependencies_run_from_the_shell_to_the_protocol() {
    hold(|files| {
        let mut findings = Vec::new();
        for (folder, allowed) in [
            ("protocol", &[][..]),
            ("core-shards", &["protocol"]),
            ("loadtest", &["protocol"]),
            ("fuzz", &["protocol"]),
        ] {
            let manifest = manifest(files, &format!("{folder}/Cargo.toml"));
            let ours = ["protocol", "core-shards", "loadtest", "realtime"];
            let is_back = |name: &&&str| ours.contains(*name) && !allowed.contains(*name);
            let back = manifest.dependencies.iter().filter(is_back);
            findings.extend(back.map(|name| format!("{} depends on {name}", manifest.file.path)));
            let is_inside = |file: &File| {
                file.path.starts_with(&format!("{folder}/"))
                    || folder == "core-shards" && file.path.starts_with("tests/simulation/")
            };
            for (file, code) in rust_files(files).filter(|(file, _)| is_inside(file)) {
                let crates = ours.map(|name| name.replace('-', "_"));
                for (offset, word) in code.words() {
                    let is_path = code.after(offset + word.len()).starts_with("::");
                    let is_allowed = allowed.contains(&word) || word == folder.replace('-', "_");
                    if is_path && crates.iter().any(|name| name == word) && !is_allowed {
                        findings.push(format!("{}: names {word}", file.place(offset)));
                    }
                }
            }
        }
        findings
    });
}

#[test]
fn the_inner_crates_cannot_reach_outside() {
    hold(|files| {
        let mut findings = Vec::new();
        for folder in ["protocol", "core-shards"] {
            let manifest = manifest(files, &format!("{folder}/Cargo.toml"));
            let outside = manifest.dependencies.iter().filter(|name| OUTSIDE_CRATES.contains(*name));
            findings.extend(outside.map(|name| format!("{} depends on {name}", manifest.file.path)));
        }
        findings
    });
}

#[test]
fn every_crate_is_held_to_the_workspaces_lints() {
    hold(|files| {
        let manifests =
            ["Cargo.toml", "protocol/Cargo.toml", "core-shards/Cargo.toml", "loadtest/Cargo.toml"];
        let manifests = manifests.map(|path| manifest(files, path)).into_iter();
        manifests
            .filter(|manifest| !manifest.has_workspace_lints)
            .map(|manifest| format!("{}: without [lints] workspace = true", manifest.file.path))
            .collect()
    });
}

#[test]
fn every_dependency_has_its_reason() {
    hold(|files| {
        let decisions = files.iter().find(|file| file.path == "docs/DECISIONS.md");
        let decisions = decisions.map_or("", |file| &file.text);
        let mut findings = Vec::new();
        for folder in ["", "protocol/", "core-shards/", "loadtest/", "fuzz/"] {
            let manifest = manifest(files, &format!("{folder}Cargo.toml"));
            let is_silent = |name: &&&str| !decisions.contains(&format!("`{name}`"));
            let silent = manifest.dependencies.iter().filter(is_silent);
            findings.extend(
                silent.map(|name| format!("{}: {name} has no line in docs/DECISIONS.md", manifest.file.path)),
            );
        }
        findings
    });
}

#[test]
fn every_dependency_is_used() {
    hold(|files| {
        let mut findings = Vec::new();
        for folder in ["src/", "protocol/", "core-shards/", "loadtest/", "fuzz/"] {
            let manifest = match folder {
                "src/" => manifest(files, "Cargo.toml"),
                folder => manifest(files, &format!("{folder}Cargo.toml")),
            };
            let is_inside = |file: &File| match folder {
                "src/" => ["src/", "examples/", "benches/", "tests/"]
                    .iter()
                    .any(|start| file.path.starts_with(start)),
                "core-shards/" => file.path.starts_with(folder) || file.path.starts_with("tests/simulation/"),
                folder => file.path.starts_with(folder),
            };
            let sources: Vec<Code> =
                rust_files(files).filter(|(file, _)| is_inside(file)).map(|(_, code)| code).collect();
            let is_unused = |name: &&&str| {
                let word = name.replace('-', "_");
                !sources.iter().any(|code| code.words().any(|(_, used)| used == word))
            };
            let unused = manifest.dependencies.iter().filter(is_unused);
            findings.extend(unused.map(|name| format!("{}: {name} is used nowhere", manifest.file.path)));
        }
        findings
    });
}

#[test]
fn every_setting_is_in_the_readme() {
    hold(|files| {
        let text = |path: &str| files.iter().find(|file| file.path == path).map_or("", |file| &file.text);
        let readme = text("README.md");
        let settings = text("src/config/table.rs")
            .split("Setting::acted(\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        settings
            .filter(|setting| !readme.contains(&format!("`{setting}`")))
            .map(|setting| format!("README.md: {setting} is missing"))
            .collect()
    });
}

#[test]
fn the_architecture_names_what_exists() {
    hold(|files| {
        let document = files.iter().find(|file| file.path == "docs/ARCHITECTURE.md");
        let Some(document) = document else { return vec!["docs/ARCHITECTURE.md is missing".to_owned()] };
        let sources: String =
            files.iter().filter(|file| file.is_one_of(&["rs"])).map(|file| file.text.as_str()).collect();
        let exists = |name: &str| {
            let is_path = name.ends_with(".rs") || name.ends_with('/') || name.ends_with(".html");
            let is_identifier = name.chars().all(|letter| letter.is_alphanumeric() || "_:".contains(letter));
            if is_path && !name.starts_with('/') {
                return files.iter().any(|file| format!("/{}", file.path).contains(&format!("/{name}")));
            }
            !is_identifier || name.split("::").all(|part| sources.contains(part))
        };
        let missing = documents::names(document).into_iter().filter(|(_, name)| !exists(name));
        missing.map(|(offset, name)| format!("{}: {name} does not exist", document.place(offset))).collect()
    });
}

#[test]
fn links_between_documents_lead_somewhere() {
    hold(|files| {
        let mut findings = Vec::new();
        for document in files.iter().filter(|file| file.is_one_of(&["md"])) {
            for link in documents::links(document) {
                let is_folder = files.iter().any(|file| file.path.starts_with(&format!("{}/", link.path)));
                let target = files.iter().find(|file| file.path == link.path);
                let place = document.place(link.offset);
                if target.is_none() && !is_folder && !link.path.is_empty() {
                    findings.push(format!("{place}: {} is missing", link.path));
                }
                if let (Some(target), Some(heading)) = (target, &link.heading)
                    && !documents::headings(target).contains(heading)
                {
                    findings.push(format!("{place}: {} has no heading {heading}", link.path));
                }
            }
        }
        findings
    });
}

#[test]
fn no_path_of_a_developers_machine_is_written_down() {
    hold(|files| {
        let mut findings = Vec::new();
        for file in files.iter().filter(|file| !file.is_test()) {
            for path in ["/work", "/root", "/tmp", "/home"] {
                let is_path = |offset: &usize| {
                    let is_inner = |letter: char| letter.is_alphanumeric() || "_-./}".contains(letter);
                    let is_longer = |letter: char| letter.is_alphanumeric() || "_-".contains(letter);
                    !file.text[..*offset].ends_with(is_inner)
                        && !file.text[offset + path.len()..].starts_with(is_longer)
                };
                let offsets = file.text.match_indices(path).map(|(offset, _)| offset).filter(is_path);
                findings.extend(offsets.map(|offset| format!("{}: {path}", file.place(offset))));
            }
        }
        findings
    });
}
