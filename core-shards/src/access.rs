//! Who may join what, before a join is sent to the channel's home: the rules, in their order. Who a user is, and what
//! a webhook answered, is found out elsewhere; [`cache`] remembers answers, [`question`] is what is asked.

pub mod cache;
pub mod question;

use protocol::chat::room::{self, RoomKind};

pub use cache::{AccessCache, AccessKey, Asked, Concluded};
pub use question::{Outcome, Question, Verdict};

/// Patterns that one token's [`Grants`] may hold; those after them are not looked at.
pub const GRANTS_MAX: usize = 256;

/// What a user is told who is not one of a room's owners.
const NOT_YOURS: &str = "you are not in this room";
/// What a user is told whose token lists channels, and not this one.
const NOT_GRANTED: &str = "your token does not name this channel";
/// What a user is told who has no grant for a private channel.
const PRIVATE: &str = "this channel is private";
/// What a user is told where channels are shut unless somebody opens them.
const SHUT: &str = "nothing lets you into this channel";

/// What a user is told whom the permission webhook turns away, or could not be asked about.
pub const NOT_PERMITTED: &str = "you may not join this channel";

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The user may join.
    Allow,
    /// The user may not, and is told this.
    Deny(&'static str),
    /// The permission webhook decides.
    Ask,
}

/// What the operator decided about channels. The default is the node's own: staff everywhere, private names shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    /// Roles that may join everything but the direct conversations of others.
    pub admin_roles: Box<[Box<str>]>,
    /// Channels whose names begin so need a grant.
    pub private_prefixes: Box<[Box<str>]>,
    /// Whether a channel that no rule names is open.
    pub default_allows: bool,
    /// Whether there is somebody to ask.
    pub has_webhook: bool,
}

impl AccessRules {
    /// Staff of the products in the field.
    pub const ADMIN_ROLES: [&str; 3] = ["owner", "admin", "service"];
    /// Names that look private.
    pub const PRIVATE_PREFIXES: [&str; 3] = ["private-", "private:", "dm:"];

    fn is_private(&self, channel: &str) -> bool {
        self.private_prefixes.iter().any(|prefix| channel.starts_with(&**prefix))
    }

    /// Whether somebody with these roles is staff.
    pub fn is_admin(&self, roles: &[Box<str>]) -> bool {
        roles.iter().any(|role| self.admin_roles.contains(role))
    }
}

impl Default for AccessRules {
    fn default() -> Self {
        Self {
            admin_roles: Self::ADMIN_ROLES.map(Box::from).into(),
            private_prefixes: Self::PRIVATE_PREFIXES.map(Box::from).into(),
            default_allows: true,
            has_webhook: false,
        }
    }
}

/// The channels that a token names.
///
/// `general` and `channel:general` mean one channel, `team-*` and `channel:team-*` the channels that begin so,
/// `thread:9*` threads. A pattern without a kind is about channels only, so that `d*` opens no direct conversation;
/// `*` alone is about everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    patterns: Box<[Pattern]>,
    is_exclusive: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// Any kind if none.
    kind: Option<RoomKind>,
    id: Box<str>,
    /// Whether ids that begin with `id` match, too.
    is_prefix: bool,
}

impl Grants {
    /// Takes the patterns of a token. Exclusive: what they do not name is shut.
    ///
    /// Patterns that could match no room, such as empty or overlong ones, are left out, and so is what comes after
    /// the first [`GRANTS_MAX`]: an exclusive token then opens less, never more.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>, is_exclusive: bool) -> Self {
        let fits = |pattern: &&str| !pattern.is_empty() && pattern.len() <= room::NAME_BYTES_MAX;
        let patterns = patterns.into_iter().filter(fits).take(GRANTS_MAX).map(Pattern::new).collect();
        Self { patterns, is_exclusive }
    }

    /// Whether a room is named. `channel` is canonical.
    pub fn name(&self, channel: &str) -> bool {
        let (kind, id) = room::split(channel);
        self.patterns.iter().any(|pattern| pattern.matches(kind, id))
    }

    /// How many patterns there are.
    pub fn count(&self) -> usize {
        self.patterns.len()
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let (text, is_prefix) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
        if text.is_empty() {
            return Self { kind: None, id: Box::default(), is_prefix };
        }
        let (kind, id) = match text.strip_prefix("channel:") {
            Some(id) => (RoomKind::Channel, id),
            None => room::split(text),
        };
        Self { kind: Some(kind), id: id.into(), is_prefix }
    }

    fn matches(&self, kind: RoomKind, id: &str) -> bool {
        let is_named = if self.is_prefix { id.starts_with(&*self.id) } else { id == &*self.id };
        is_named && self.kind.is_none_or(|of| of == kind)
    }
}

/// Decides about a join. `channel` is canonical; `grants` are those of the token, if it names channels at all.
///
/// The first rule that has an opinion holds: ownership of `user:` and `dm:` rooms, staff, the token, the webhook,
/// private names, the default.
pub fn decide(
    rules: &AccessRules,
    user: &str,
    roles: &[Box<str>],
    grants: Option<&Grants>,
    channel: &str,
) -> Access {
    let is_admin = rules.is_admin(roles);
    match ownership(user, channel) {
        Some(true) => return Access::Allow,
        Some(false) if is_admin && room::split(channel).0 == RoomKind::User => return Access::Allow,
        // What two people say to each other is no business of the staff.
        Some(false) => return Access::Deny(NOT_YOURS),
        None if is_admin => return Access::Allow,
        None => {}
    }
    match grants {
        Some(grants) if grants.name(channel) => Access::Allow,
        Some(grants) if grants.is_exclusive => Access::Deny(NOT_GRANTED),
        _ if rules.has_webhook => Access::Ask,
        _ if rules.is_private(channel) => Access::Deny(PRIVATE),
        _ if rules.default_allows => Access::Allow,
        _ => Access::Deny(SHUT),
    }
}

/// Whether a room is the user's own; none if its name does not say whose it is.
///
/// `user:7` is open to user 7 alone; `dm:7:9` to users 7 and 9, whose ids may hold colons themselves. `dm:x1` is a
/// conversation under an id of its own, so other rules decide.
fn ownership(user: &str, channel: &str) -> Option<bool> {
    match room::split(channel) {
        (RoomKind::User, owner) => Some(owner == user),
        (RoomKind::Direct, pair) if pair.contains(':') => {
            let follows = pair.strip_prefix(user).is_some_and(|rest| rest.starts_with(':'));
            let precedes = pair.strip_suffix(user).is_some_and(|rest| rest.ends_with(':'));
            Some(follows || precedes)
        }
        (RoomKind::Direct | RoomKind::Channel | RoomKind::Thread, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: Access = Access::Allow;
    const ASK: Access = Access::Ask;

    fn roles(role: &str) -> Vec<Box<str>> {
        role.split_whitespace().map(Box::from).collect()
    }

    #[test]
    fn rooms_of_others_stay_closed() {
        let check = |user, role, channel, expected| {
            let rules = AccessRules { default_allows: false, has_webhook: true, ..AccessRules::default() };
            let all = Grants::new(["*"], true);
            assert_eq!(decide(&rules, user, &roles(role), Some(&all), channel), expected, "{user} {channel}");
        };
        check("7", "", "user:7", ALLOW);
        check("7", "", "user:77", Access::Deny(NOT_YOURS));
        check("7", "admin", "user:77", ALLOW);
        check("7", "", "dm:7:9", ALLOW);
        check("9", "", "dm:7:9", ALLOW);
        check("8", "", "dm:7:9", Access::Deny(NOT_YOURS));
        check("8", "admin", "dm:7:9", Access::Deny(NOT_YOURS));
        check("", "", "dm:7:9", Access::Deny(NOT_YOURS));
        check("a:b", "", "dm:a:b:c", ALLOW);
    }

    #[test]
    fn the_first_rule_with_an_opinion_holds() {
        let (open, shut) =
            (AccessRules::default(), AccessRules { default_allows: false, ..Default::default() });
        let asks = AccessRules { has_webhook: true, ..Default::default() };
        let (exclusive, additive) = (Grants::new(["a", "dm:x"], true), Grants::new(["a", "dm:x"], false));
        let check = |rules: &AccessRules, role: &str, grants: Option<&Grants>, channel: &str, expected| {
            let decided = decide(rules, "7", &roles(role), grants, channel);
            assert_eq!(decided, expected, "{role} {channel}");
        };
        check(&open, "", None, "general", ALLOW);
        check(&open, "", None, "test-channel-realtime-1", ALLOW);
        check(&open, "", None, "thread:9", ALLOW);
        check(&open, "", None, "private-channel", Access::Deny(PRIVATE));
        check(&open, "", None, "private:x", Access::Deny(PRIVATE));
        check(&open, "", None, "privateer", ALLOW);
        check(&open, "", None, "dm:x", Access::Deny(PRIVATE));
        check(&open, "member admin", None, "private-channel", ALLOW);
        check(&open, "Admin administrator", None, "private-channel", Access::Deny(PRIVATE));
        check(&open, "", Some(&exclusive), "a", ALLOW);
        check(&open, "", Some(&exclusive), "dm:x", ALLOW);
        check(&open, "", Some(&exclusive), "b", Access::Deny(NOT_GRANTED));
        check(&open, "owner", Some(&exclusive), "b", ALLOW);
        check(&open, "", Some(&additive), "b", ALLOW);
        check(&open, "", Some(&additive), "private-b", Access::Deny(PRIVATE));
        check(&shut, "", Some(&additive), "a", ALLOW);
        check(&shut, "", Some(&additive), "b", Access::Deny(SHUT));
        check(&shut, "", None, "general", Access::Deny(SHUT));
        check(&asks, "", None, "general", ASK);
        check(&asks, "", None, "private-channel", ASK);
        check(&asks, "", None, "dm:x", ASK);
        check(&asks, "", Some(&additive), "b", ASK);
        check(&asks, "", Some(&exclusive), "b", Access::Deny(NOT_GRANTED));
        check(&asks, "", Some(&exclusive), "a", ALLOW);
        check(&asks, "service", None, "private-channel", ALLOW);
    }

    #[test]
    fn patterns_open_what_they_name_and_nothing_beside_it() {
        let check = |pattern: &str, channel: &str, expected: bool| {
            assert_eq!(Grants::new([pattern], true).name(channel), expected, "{pattern} {channel}");
        };
        check("general", "general", true);
        check("channel:general", "general", true);
        check("general", "general-2", false);
        check("general*", "general-2", true);
        check("channel:general*", "general", true);
        check("general", "thread:general", false);
        check("general", "dm:general", false);
        check("*", "dm:x", true);
        check("*", "general", true);
        check("channel:*", "general", true);
        check("channel:*", "dm:x", false);
        check("d*", "dm:x", false);
        check("d*", "design", true);
        check("dm:*", "dm:x", true);
        check("dm:*", "dmx", false);
        check("thread:9*", "thread:95", true);
        check("thread:9*", "95", false);
        check("private:*", "private:x", true);
        check("a*b", "axb", false);
        check("a*b", "a*b", true);
        check("**", "a", false);
        check("**", "*a", true);
        check("", "general", false);
    }

    #[test]
    fn grants_are_bounded_and_what_falls_out_stays_shut() {
        let names: Vec<String> = (0..GRANTS_MAX + 10).map(|number| format!("c{number}")).collect();
        let grants = Grants::new(names.iter().map(String::as_str), true);
        assert_eq!(grants.count(), GRANTS_MAX);
        assert!(grants.name("c0") && !grants.name(&format!("c{GRANTS_MAX}")));
        let long = "x".repeat(room::NAME_BYTES_MAX + 1);
        assert_eq!(Grants::new([long.as_str(), ""], true).count(), 0);
    }
}
