//! The judge of a run: holds what all clients heard against what all clients said. Says what was lost unannounced,
//! heard twice, out of order, or told at one place in two ways.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use super::diary::{Diary, Fate, Line, Said, Way};

/// What a run was worth, beside its findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Everything that breaks the promise, in words.
    pub(crate) findings: Vec<String>,
    /// Messages that were accepted.
    pub(crate) acked: usize,
    /// Messages that were refused, by code.
    pub(crate) refused: BTreeMap<String, usize>,
    /// Messages that nobody answered.
    pub(crate) unanswered: usize,
    /// Messages that were heard, by all clients together.
    pub(crate) heard: usize,
    /// Times that a client was told of a gap, or that it cannot have all that it asked for.
    pub(crate) announcements: usize,
    /// Accepted messages that a client did not hear and was told about.
    pub(crate) excused: usize,
}

/// Judges a run. The clients have stopped talking, and waited until they heard what they were owed.
pub(crate) fn judge(diaries: &[Diary]) -> Verdict {
    let mut verdict = Verdict::default();
    let said: HashMap<&str, &Said> =
        diaries.iter().flat_map(|diary| &diary.said).map(|(mark, said)| (mark.as_str(), said)).collect();
    for message in said.values() {
        match &message.fate {
            Fate::Open => verdict.unanswered += 1,
            Fate::Acked { .. } => verdict.acked += 1,
            Fate::Refused(code) => *verdict.refused.entry(code.clone()).or_default() += 1,
        }
    }
    for diary in diaries {
        verdict.heard += diary.message_count();
        verdict.announcements += diary.announcement_count();
        verdict.findings.extend(diary.complaints.iter().map(|what| format!("{}: {what}", diary.name)));
        for (channel, page) in &diary.pages {
            let reader = Reader { name: &diary.name, channel, page };
            verdict.findings.extend(reader.doubles());
            verdict.findings.extend(reader.disorder());
            verdict.findings.extend(reader.strangers(&said));
        }
    }
    verdict.findings.extend(contradictions(diaries));
    for (number, diary) in diaries.iter().enumerate() {
        owed(number, diary, diaries, &said, &mut verdict);
    }
    verdict
}

/// A message as it was heard.
#[derive(Clone, Copy)]
struct Heard<'a> {
    id: &'a str,
    offset: u64,
    /// How often the reader had joined.
    joins: usize,
    /// How often it had been told then that it does not get everything.
    beginnings: usize,
    /// From which offset on it gets everything since it was told so last.
    begun_at: u64,
}

impl Heard<'_> {
    /// Whether it may be heard although another one of the same was.
    fn may_follow(&self, former: &Self) -> bool {
        (former.offset == 0 && former.joins < self.joins)
            || (former.beginnings < self.beginnings && (self.offset == 0 || self.offset > self.begun_at))
    }
}

/// One client's page of one channel.
struct Reader<'a> {
    name: &'a str,
    channel: &'a str,
    page: &'a [(Instant, Line)],
}

impl Reader<'_> {
    fn finding(&self, what: &str) -> String {
        format!("{} in {}: {what}", self.name, self.channel)
    }

    /// What was heard twice, under one id or two. Who joined anew may hear once more what had come without a place, because
    /// only the node that it left knew of that; and at a node that is behind, which says so, what is after the position that it
    /// is told, or has none. If the sender went there, too, and said it again, it has another id.
    fn doubles(&self) -> Vec<String> {
        let mut ids: HashMap<&str, Heard<'_>> = HashMap::new();
        let mut marks: HashMap<(&str, &str), Heard<'_>> = HashMap::new();
        let (mut joins, mut beginnings, mut begun_at) = (0, 0, 0);
        let mut findings = Vec::new();
        let mut current = "";
        for (_, line) in self.page {
            current = epoch(line).unwrap_or(current);
            if let Line::Joined { offset, recovered, .. } = line {
                joins += 1;
                if *recovered == Some(false) {
                    (beginnings, begun_at) = (beginnings + 1, *offset);
                }
            }
            let Line::Message { id, offset, mark, .. } = line else { continue };
            let heard = Heard { id, offset: *offset, joins, beginnings, begun_at };
            let is_double = |former: &Heard<'_>| !heard.may_follow(former);
            if let Some(former) = marks.insert((mark, current), heard).filter(|former| former.id != id)
                && is_double(&former)
            {
                findings.push(self.finding(&format!("{mark} twice, as {} and {id}", former.id)));
            }
            if let Some(former) = ids.insert(id, heard).filter(is_double) {
                findings.push(self.finding(&format!("{id} twice, at {} and {offset}", former.offset)));
            }
        }
        findings
    }

    /// Places that do not rise within an epoch. Whoever is told that it does not get everything begins where it is told.
    fn disorder(&self) -> Vec<String> {
        let (mut epoch, mut last) = ("", 0);
        let mut findings = Vec::new();
        for (_, line) in self.page {
            match line {
                Line::Joined { epoch: of, .. } | Line::Announced { epoch: of, .. } if of != epoch => {
                    (epoch, last) = (of, 0);
                }
                Line::Joined { recovered: Some(false), offset, .. } => last = last.min(*offset),
                Line::Message { id, offset: offset @ 1.., .. } => {
                    if *offset <= last {
                        findings.push(self.finding(&format!("{id} at {offset} after {last} of {epoch}")));
                    }
                    last = last.max(*offset);
                }
                _ => {}
            }
        }
        findings
    }

    /// What was heard and is not what somebody said here, or was refused. A message of a former epoch may have another
    /// id than its sender knows: who forgot the epoch forgot the idempotency key too, and the sender said it again. So may one
    /// without a place: a node that was cut off could not know that its sender had said it elsewhere.
    fn strangers(&self, said: &HashMap<&str, &Said>) -> Vec<String> {
        let mut findings = Vec::new();
        let last_epoch = self.page.iter().rev().find_map(|(_, line)| epoch(line));
        let mut current = None;
        for (_, line) in self.page {
            current = epoch(line).or(current);
            let Line::Message { id, mark, offset, .. } = line else { continue };
            match said.get(mark.as_str()) {
                None => findings.push(self.finding(&format!("nobody said {mark}"))),
                Some(said) if said.channel != self.channel => {
                    findings.push(self.finding(&format!("{mark} was said in {}", said.channel)));
                }
                Some(Said { fate: Fate::Refused(code), .. }) => {
                    findings.push(self.finding(&format!("{mark} was refused with {code}")));
                }
                Some(Said { fate: Fate::Acked { id: acked, .. }, .. })
                    if acked != id && current == last_epoch && *offset > 0 =>
                {
                    findings.push(self.finding(&format!("{mark} is {id} here and {acked} for its sender")));
                }
                Some(_) => {}
            }
        }
        findings
    }
}

/// Places that hold two messages, and marks that have two places within an epoch.
fn contradictions(diaries: &[Diary]) -> Vec<String> {
    let mut at_place: HashMap<(&str, &str, u64), &str> = HashMap::new();
    let mut of_mark: HashMap<(&str, &str), &str> = HashMap::new();
    let mut findings = HashSet::new();
    for (channel, page) in diaries.iter().flat_map(|diary| &diary.pages) {
        let mut current = "";
        for (_, line) in page {
            current = epoch(line).unwrap_or(current);
            let Line::Message { id, mark, offset, .. } = line else { continue };
            if *offset > 0 {
                let other = of_mark.insert((mark, current), id).filter(|other| other != id);
                findings.extend(other.map(|other| {
                    let (one, two) = (other.min(id), other.max(id));
                    format!("{mark} is {one} and {two}")
                }));
                let place = (channel.as_str(), current, *offset);
                let other = at_place.insert(place, id).filter(|other| other != id);
                findings.extend(other.map(|other| {
                    let (one, two) = (other.min(id), other.max(id));
                    format!("{channel} {current} {offset} is {one} and {two}")
                }));
            }
        }
    }
    let mut findings: Vec<String> = findings.into_iter().collect();
    findings.sort_unstable();
    findings
}

/// Enters what a client should have heard and did not. It is owed what was accepted, or heard by anybody at a place,
/// and was said after its first join; unless it was told of a gap after that.
fn owed(number: usize, diary: &Diary, diaries: &[Diary], said: &HashMap<&str, &Said>, verdict: &mut Verdict) {
    for (channel, page) in &diary.pages {
        let Some(joined_at) =
            page.iter().find_map(|(at, line)| matches!(line, Line::Joined { .. }).then_some(*at))
        else {
            continue;
        };
        let heard: HashSet<&str> = page.iter().filter_map(|(_, line)| mark(line)).collect();
        let told_at = page.iter().rev().find_map(|(at, line)| is_announcement(line).then_some(*at));
        let others = diaries.iter().enumerate().filter(|(other, _)| *other != number);
        let seen = others.filter_map(|(_, other)| other.pages.get(channel)).flatten();
        let seen = seen.filter(|(_, line)| matches!(line, Line::Message { offset: 1.., .. }));
        let seen = seen.filter_map(|(_, line)| mark(line));
        let acked = said.iter().filter(|(_, said)| matches!(said.fate, Fate::Acked { .. }));
        let acked = acked.filter(|(_, said)| said.channel == *channel).map(|(mark, _)| *mark);
        let owed: HashSet<&str> = seen.chain(acked).filter(|mark| !heard.contains(mark)).collect();
        let mut missing: Vec<&str> = Vec::new();
        for mark in owed {
            let Some(said) = said.get(mark).filter(|said| said.at >= joined_at) else { continue };
            match told_at {
                Some(told_at) if told_at >= said.at => verdict.excused += 1,
                _ => missing.push(mark),
            }
        }
        missing.sort_unstable();
        verdict
            .findings
            .extend(missing.iter().map(|mark| format!("{} in {channel}: missed {mark}", diary.name)));
    }
}

/// The epoch that the line says is the channel's from here on.
fn epoch(line: &Line) -> Option<&str> {
    match line {
        Line::Joined { epoch, .. } | Line::Announced { epoch, .. } => Some(epoch),
        Line::Message { .. } => None,
    }
}

fn mark(line: &Line) -> Option<&str> {
    match line {
        Line::Message { mark, .. } => Some(mark),
        _ => None,
    }
}

/// Whether the line tells the client that it may have missed something.
pub(crate) fn is_announcement(line: &Line) -> bool {
    matches!(line, Line::Announced { .. } | Line::Joined { recovered: Some(false), .. })
}

/// A run of two clients in one channel: `one` says what is given with its fate; each hears the lines given.
#[cfg(test)]
fn run(said: &[(&str, Fate)], one: &[Line], two: &[Line]) -> Vec<String> {
    let start = Instant::now();
    let mut diaries = [Diary::new("one"), Diary::new("two")];
    for diary in &mut diaries {
        let epoch = "E".to_owned();
        let line = Line::Joined { epoch, offset: 0, recovered: None };
        diary.pages.entry("c".to_owned()).or_default().push((start, line));
    }
    for (mark, fate) in said {
        let said = Said { channel: "c".to_owned(), at: start, settled_at: None, fate: fate.clone() };
        diaries[0].said.insert((*mark).to_owned(), said);
    }
    for (diary, lines) in diaries.iter_mut().zip([one, two]) {
        for line in lines {
            diary.note("c", line.clone());
        }
    }
    judge(&diaries).findings
}

#[cfg(test)]
fn heard(mark: &str, offset: u64) -> Line {
    Line::Message { id: format!("id-{mark}"), mark: mark.to_owned(), offset, way: Way::Event }
}

#[cfg(test)]
fn acked(mark: &str, offset: u64) -> (&str, Fate) {
    (mark, Fate::Acked { id: format!("id-{mark}"), offset })
}

#[test]
fn a_run_without_faults_has_no_findings() {
    let said = [acked("a", 1), acked("b", 2)];
    let lines = [heard("a", 1), heard("b", 2)];
    assert_eq!(run(&said, &lines, &lines), [""; 0]);
}

#[test]
fn every_planted_fault_is_found() {
    let said = [acked("a", 1), acked("b", 2)];
    let lines = [heard("a", 1), heard("b", 2)];
    let check = |two: &[Line], expected: &str| {
        let findings = run(&said, &lines, two);
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:?}");
    };
    check(&[heard("a", 1)], "two in c: missed b");
    check(&[heard("a", 1), heard("b", 2), heard("b", 2)], "id-b twice");
    let early = Line::Message { id: "early".to_owned(), mark: "b".to_owned(), offset: 0, way: Way::Event };
    check(&[heard("a", 1), early, heard("b", 2)], "b twice, as early and id-b");
    check(&[heard("b", 2), heard("a", 1)], "id-a at 1 after 2");
    check(&[heard("a", 1), heard("x", 2)], "nobody said x");
    check(&[heard("a", 1), heard("x", 2)], "c E 2 is id-b and id-x");
    let other = Line::Message { id: "other".to_owned(), mark: "b".to_owned(), offset: 2, way: Way::Event };
    check(&[heard("a", 1), other], "b is id-b and other");
    let refused = [acked("a", 1), ("b", Fate::Refused("SERVER_BUSY".to_owned()))];
    let findings = run(&refused, &lines, &lines);
    assert!(findings[0].contains("b was refused with SERVER_BUSY"), "{findings:?}");
}

#[test]
fn a_message_may_become_another_only_when_its_epoch_is_forgotten() {
    let said = [acked("a", 1)];
    let before = Line::Message { id: "other".to_owned(), mark: "a".to_owned(), offset: 1, way: Way::Event };
    let news = |epoch: &str| Line::Announced {
        epoch: epoch.to_owned(),
        offset: 0,
        reason: "epoch-changed".to_owned(),
    };
    let forgotten = [before.clone(), news("F"), heard("a", 1)];
    assert_eq!(run(&said, &[news("F"), heard("a", 1)], &forgotten), [""; 0]);
    let findings = run(&said, &[heard("a", 1)], &[before, news("E"), heard("a", 2)]);
    assert!(findings.iter().any(|finding| finding.contains("a is other here")), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.contains("a is id-a and other")), "{findings:?}");
}

#[test]
fn what_was_announced_is_no_silent_loss() {
    let said = [acked("a", 1), acked("b", 2)];
    let news = Line::Announced { epoch: "E".to_owned(), offset: 2, reason: "gap".to_owned() };
    assert_eq!(run(&said, &[heard("a", 1), heard("b", 2)], &[news]), [""; 0]);
}

#[test]
fn what_came_without_a_place_may_come_again_to_whoever_joined_anew() {
    let said = [acked("a", 0), acked("b", 1)];
    let message = |id: &str, offset| {
        let (id, mark, way) = (id.to_owned(), "a".to_owned(), Way::Event);
        Line::Message { id, mark, offset, way }
    };
    let joined = |is_whole, offset| {
        let (epoch, recovered) = ("E".to_owned(), Some(is_whole));
        Line::Joined { epoch, offset, recovered }
    };
    let check = |two: &[Line], expected: usize| {
        let findings = run(&said, &[], two);
        let doubles =
            findings.iter().filter(|finding| finding.contains("two in c") && finding.contains("twice"));
        assert_eq!(doubles.count(), expected, "{findings:?}");
    };
    for again in ["id-a", "other"] {
        let again = |offset| message(again, offset);
        check(&[message("id-a", 0), again(1)], 1);
        check(&[message("id-a", 0), joined(true, 0), again(1)], 0);
        check(&[message("id-a", 0), joined(true, 0), again(1), joined(true, 0), again(1)], 1);
        // A node that is cut off says that it cannot know everything.
        check(&[message("id-a", 1), joined(true, 0), again(0)], 1);
        check(&[message("id-a", 1), joined(false, 0), again(0)], 0);
        check(&[message("id-a", 1), joined(false, 0), again(1)], 0);
        check(&[message("id-a", 1), joined(false, 1), again(1)], 1);
    }
}
