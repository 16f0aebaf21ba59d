//! Markdown documents: where their links go.

use super::tree::File;

/// A link to something in the project.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Offset in the document.
    pub(crate) offset: usize,
    /// The file from the root of the project; empty for the root itself.
    pub(crate) path: String,
    /// The heading, if the link names one.
    pub(crate) heading: Option<String>,
}

/// The relative links of a document. What stands in code is no link.
pub(crate) fn links(document: &File) -> Vec<Link> {
    let mut links = Vec::new();
    let (mut offset, mut is_in_fence) = (0, false);
    for line in document.text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            is_in_fence = !is_in_fence;
        }
        if !is_in_fence {
            links.extend(line_links(line).map(|(at, target)| link(document, offset + at, target)));
        }
        offset += line.len();
    }
    links
}

fn line_links(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.match_indices("](").filter_map(move |(at, _)| {
        let is_in_code = line[..at].matches('`').count() % 2 == 1;
        let target = line[at + 2..].split([')', ' ']).next()?;
        let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
        (!is_in_code && !is_elsewhere && !target.is_empty()).then_some((at, target))
    })
}

fn link(document: &File, offset: usize, target: &str) -> Link {
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading.to_owned())),
        None => (target, None),
    };
    if path.is_empty() {
        return Link { offset, path: document.path.clone(), heading };
    }
    let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Link { offset, path: parts.join("/"), heading }
}

/// The headings of a document as links spell them.
pub(crate) fn headings(document: &File) -> Vec<String> {
    let mut is_in_fence = false;
    let is_heading = |line: &&str| {
        is_in_fence ^= line.starts_with("```");
        !is_in_fence && line.starts_with('#')
    };
    document.text.lines().filter(is_heading).map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

/// What a document says in code: spans between backticks, and the words of pictures that can only be names.
pub(crate) fn names(document: &File) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let (mut offset, mut is_in_fence) = (0, false);
    for line in document.text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        if line.starts_with("```") {
            is_in_fence = !is_in_fence;
            continue;
        }
        let words: Vec<&str> = if is_in_fence {
            let is_name = |word: &&str| word.contains("::") || word.contains('_');
            line.split(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter))
                .filter(is_name)
                .collect()
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        names.extend(words.into_iter().map(|word| (start, word.trim_matches(':'))));
    }
    names
}

fn slug(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    heading
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn links_are_resolved_from_their_document() {
    let text = "[a](../src/main.rs) `[b](c)` [d](e.md#f-g) [h](https://x/y)\n```\n[i](j)\n```\n[k](#l)\n";
    let document = File { path: "docs/X.md".to_owned(), text: text.to_owned() };
    let found: Vec<_> = links(&document).into_iter().map(|link| (link.path, link.heading)).collect();
    let expected = [("src/main.rs", None), ("docs/e.md", Some("f-g")), ("docs/X.md", Some("l"))]
        .map(|(path, heading)| (path.to_owned(), heading.map(str::to_owned)));
    assert_eq!(found, expected);
    assert_eq!(slug("What `it` is, & why"), "what-it-is--why");
}
