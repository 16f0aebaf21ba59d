//! Rust source as far as the rules need it: what is code, what is a test, where functions begin and end.

use std::ops::Range;

/// What stands before an item that is compiled for tests alone.
const TEST_ONLY: &str = "#[cfg(test)]";

/// Rust source with comments, strings and character literals blanked out. Offsets and lines are those of the source.
pub(crate) struct Code {
    text: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Offset of the word `fn`.
    pub(crate) start: usize,
    /// Lines from `fn` to the closing brace that hold code.
    pub(crate) line_count: usize,
}

impl Code {
    /// Reads a source text.
    pub(crate) fn new(source: &str) -> Self {
        let bytes = source.as_bytes();
        let mut code = bytes.to_vec();
        let mut at = 0;
        while at < bytes.len() {
            let (end, filler) = match literal_or_comment(bytes, at) {
                Some(found) => found,
                None => (at + 1, None),
            };
            if let Some(filler) = filler {
                for byte in &mut code[at..end] {
                    if *byte != b'\n' {
                        *byte = filler;
                    }
                }
            }
            at = end;
        }
        Self { text: String::from_utf8_lossy(&code).into_owned() }
    }

    /// How many lines hold code.
    pub(crate) fn line_count(&self) -> usize {
        code_lines(&self.text)
    }

    /// The words of the code with their offsets: identifiers, keywords, numbers.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at + self.text[at..].find(is_word)?;
            let rest = &self.text[start..];
            at = start + rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            Some((start, &self.text[start..at]))
        })
    }

    /// Offsets at which `pattern` stands in the code.
    pub(crate) fn find<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.text.match_indices(pattern).map(|(offset, _)| offset)
    }

    /// What follows a place in the code.
    pub(crate) fn after(&self, offset: usize) -> &str {
        &self.text[offset..]
    }

    /// Where the items that are compiled for tests alone begin and end.
    pub(crate) fn test_ranges(&self) -> Vec<Range<usize>> {
        self.find(TEST_ONLY).filter_map(|start| Some(start..self.block_end(start)?)).collect()
    }

    /// The modules in files of their own that are compiled for tests alone.
    pub(crate) fn test_modules(&self) -> impl Iterator<Item = &str> {
        self.find(TEST_ONLY).filter_map(|start| {
            let (declaration, _) = self.text[start + TEST_ONLY.len()..].split_once([';', '{'])?;
            let is_elsewhere = self.block_end(start).is_none();
            declaration.trim().strip_prefix("mod ").filter(|_| is_elsewhere)
        })
    }

    /// Every function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let words: Vec<(usize, &str)> = self.words().collect();
        let mut functions = Vec::new();
        for pair in words.windows(2) {
            let [(start, "fn"), (name_start, name)] = *pair else { continue };
            // `fn(u8) -> u8` is a type.
            if self.text[start + 2..name_start].trim() != "" {
                continue;
            }
            if let Some(end) = self.block_end(start) {
                let line_count = code_lines(&self.text[start..end]);
                functions.push(Function { name: name.to_owned(), start, line_count });
            }
        }
        functions
    }

    /// The end of the braces that an item opens; `None` if it ends in a semicolon and has none.
    fn block_end(&self, start: usize) -> Option<usize> {
        let (mut braces, mut brackets) = (0, 0);
        for (offset, byte) in self.text.bytes().enumerate().skip(start) {
            match byte {
                b'(' | b'[' => brackets += 1,
                b')' | b']' => brackets -= 1,
                b';' if braces == 0 && brackets == 0 => return None,
                b'{' => braces += 1,
                b'}' => {
                    braces -= 1;
                    if braces <= 0 {
                        return Some(offset + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Where the literal or comment that begins at `at` ends, and what it is blanked with: comments with spaces, so that
/// their lines are empty, literals with quotes. No filler: skip this far, it is code.
fn literal_or_comment(bytes: &[u8], at: usize) -> Option<(usize, Option<u8>)> {
    let rest = &bytes[at..];
    let found = match rest[0] {
        b'/' if rest.starts_with(b"//") => (at + line_end(rest), Some(b' ')),
        b'/' if rest.starts_with(b"/*") => (at + block_comment_end(rest), Some(b' ')),
        b'"' => (at + string_end(rest), Some(b'"')),
        b'\'' => match character_end(rest) {
            Some(length) => (at + length, Some(b'"')),
            // A lifetime.
            None => (at + 1, None),
        },
        first if is_word(char::from(first)) => {
            let length = rest.iter().position(|byte| !is_word(char::from(*byte))).unwrap_or(rest.len());
            match raw_string_end(&rest[..length], &rest[length..]) {
                Some(end) => (at + length + end, Some(b'"')),
                None => (at + length, None),
            }
        }
        _ => return None,
    };
    Some(found)
}

fn line_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

fn block_comment_end(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `'a'`, `'\n'` and `'\u{7f}'` are characters, `'a` is a lifetime.
fn character_end(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(&bytes[1..bytes.len().min(13)]).into_owned();
    let mut letters = text.char_indices();
    match letters.next()? {
        (_, '\\') => text[2..].find('\'').map(|length| 1 + 2 + length + 1),
        _ => letters.next().filter(|(_, letter)| *letter == '\'').map(|(offset, _)| 1 + offset + 1),
    }
}

/// The end of a raw string whose prefix is `word`, counted from behind the prefix.
fn raw_string_end(word: &[u8], rest: &[u8]) -> Option<usize> {
    if !matches!(word, b"r" | b"br" | b"cr") {
        return None;
    }
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.resize(1 + hashes, b'#');
    let inside = &rest[hashes + 1..];
    let length = inside.windows(closing.len()).position(|window| window == closing).unwrap_or(inside.len());
    Some((hashes + 1 + length + closing.len()).min(rest.len()))
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn code_lines(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty()).count()
}

#[test]
fn comments_and_literals_are_no_code() {
    let check = |source: &str, expected: &[&str]| {
        let code = Code::new(source);
        let words: Vec<&str> = code.words().map(|(_, word)| word).collect();
        assert_eq!(words, expected, "{source}");
    };
    check("a // b\nc", &["a", "c"]);
    check("a /* b /* c */ d */ e", &["a", "e"]);
    check(r#"a "b \" c" d"#, &["a", "d"]);
    check(r##"a r#"b " c"# d"##, &["a", "d"]);
    check("a 'b' '\\'' 'c d", &["a", "c", "d"]);
    check("&'static str '/'", &["static", "str"]);
    check("a 'ä' b", &["a", "b"]);
}

#[test]
fn functions_and_tests_have_an_end() {
    let source = "fn one(f: fn(u8) -> u8) -> [u8; 2] {\n    // why\n\n    { 1 }\n}\nfn two();\n\
                  #[cfg(test)]\nmod trial;\n#[cfg(test)]\nmod tests {\n    fn three() {}\n}\nfn four() {}\n";
    let code = Code::new(source);
    let functions: Vec<_> =
        code.functions().into_iter().map(|found| (found.name, found.line_count)).collect();
    let expected = [("one", 3), ("three", 1), ("four", 1)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(functions, expected);
    let [tests] = &code.test_ranges()[..] else { panic!("there is one test module") };
    assert_eq!(code.test_modules().collect::<Vec<_>>(), ["trial"]);
    assert!(source[tests.clone()].ends_with("fn three() {}\n}"));
}
