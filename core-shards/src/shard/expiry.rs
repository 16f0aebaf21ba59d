//! The end of a token: a session is warned, given time to refresh, then closed. At most one deadline of a session
//! counts, whatever its tokens say.

use protocol::chat::event::{self, Failure};
use protocol::codes::{CloseReason, ErrorCode};

use super::{Deadline, Identity, Shard};
use crate::Now;
use crate::ids::SessionId;
use crate::limits::{EXPIRY_GRACE_MS, Expiry};
use crate::outputs::Outputs;

impl Shard {
    /// A deadline of the session has come: the token's time may be over, or the grace after it.
    pub(super) fn token_expired(&mut self, id: SessionId, now: Now, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let now_ms = now.monotonic_ms();
        if session.particulars.looked_at_ms() > now_ms {
            // Left from a token with another end; the deadline that counts is still on the wheel.
            return;
        }
        session.particulars.set_looked_at_ms(u64::MAX);
        let expires_at_ms = session.particulars.expires_at_ms();
        if expires_at_ms > now_ms {
            // Refreshed since, perhaps with a token that is not to be watched.
            return if expires_at_ms < u64::MAX {
                self.look_at(id, expires_at_ms)
            };
        }
        if expires_at_ms + EXPIRY_GRACE_MS <= now_ms {
            return out.close(id, CloseReason::TokenExpired);
        }
        self.look_at(id, expires_at_ms + EXPIRY_GRACE_MS);
        self.metrics.refusals[ErrorCode::TokenExpired as usize].increment();
        let failure = Failure {
            code: ErrorCode::TokenExpired,
            message: "the token expired: send auth:refresh within 60 s",
            event: "auth:refresh",
            channel: None,
            retry_after_s: None,
        };
        out.send(id, |frame| event::push_error(frame, &failure, now.unix_ms));
    }

    /// Deadlines run on the monotonic clock from here on: a jump of the wall clock expires nobody.
    pub(super) fn watch_expiry(&mut self, id: SessionId, identity: &Identity, now: Now) {
        let (Some(expires_at), Expiry::Disconnect) = (identity.expires_at_unix_ms, self.limits.expiry) else {
            return;
        };
        let expires_at_ms = now.monotonic_ms().saturating_add(expires_at.saturating_sub(now.unix_ms));
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.particulars.set_expires_at_ms(expires_at_ms);
        // An earlier deadline finds the later end when it fires: a refresh costs the wheel nothing.
        if expires_at_ms < session.particulars.looked_at_ms() {
            self.look_at(id, expires_at_ms);
        }
    }

    fn look_at(&mut self, id: SessionId, deadline_ms: u64) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.particulars.set_looked_at_ms(deadline_ms);
        }
        self.arm(deadline_ms, Deadline::TokenExpiry(id));
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Trial;
    use super::*;
    use crate::limits::{DEADLINES_VOID_MAX, Limits};

    /// Tokens of the tests end so long after the trial begins.
    const LIFE_MS: u64 = 10_000;
    /// Deadlines fire up to a tick late.
    const TICK_MS: u64 = 64;

    fn trial() -> Trial {
        Trial::new(Limits { expiry: Expiry::Disconnect, ..Limits::default() })
    }

    fn is_warning(packets: &[String]) -> bool {
        matches!(packets, [warning] if warning.starts_with(r#"42["error",{"type":"auth","code":"TOKEN_EXPIRED""#))
    }

    #[test]
    fn an_expired_session_is_warned_and_closed_after_the_grace() {
        let mut trial = trial();
        let session = trial.connect(0, "7", Some(LIFE_MS));
        assert!(trial.pass(LIFE_MS - 1).is_empty());
        assert!(is_warning(&trial.pass(1 + TICK_MS)));
        assert!(trial.pass(EXPIRY_GRACE_MS - 2 * TICK_MS).is_empty());
        assert_eq!(trial.closes(), []);
        assert!(trial.pass(2 * TICK_MS).is_empty());
        assert_eq!(trial.closes(), [(session, CloseReason::TokenExpired)]);
        assert_eq!(trial.shard.holdings().deadlines, 0);
    }

    #[test]
    fn a_refresh_within_the_grace_keeps_the_session() {
        let mut trial = trial();
        let session = trial.connect(0, "7", Some(LIFE_MS));
        assert!(is_warning(&trial.pass(LIFE_MS + TICK_MS)));
        trial.refresh(session, "7", Some(2 * EXPIRY_GRACE_MS), None);
        assert!(trial.pass(2 * EXPIRY_GRACE_MS - LIFE_MS - 2 * TICK_MS).is_empty());
        assert!(is_warning(&trial.pass(LIFE_MS)));
        assert_eq!(trial.closes(), []);
    }

    #[test]
    fn a_refresh_with_an_endless_token_ends_the_watch() {
        let mut trial = trial();
        let session = trial.connect(0, "7", Some(LIFE_MS));
        trial.refresh(session, "7", None, None);
        assert!(trial.pass(LIFE_MS + EXPIRY_GRACE_MS + TICK_MS).is_empty());
        assert_eq!((trial.closes(), trial.shard.holdings().deadlines), (Vec::new(), 0));
    }

    #[test]
    fn a_refresh_with_a_shorter_token_counts() {
        let mut trial = trial();
        let session = trial.connect(0, "7", Some(LIFE_MS));
        trial.refresh(session, "7", Some(LIFE_MS / 2), None);
        assert!(is_warning(&trial.pass(LIFE_MS / 2 + TICK_MS)));
        assert!(trial.pass(LIFE_MS / 2).is_empty());
        assert!(trial.pass(EXPIRY_GRACE_MS).is_empty());
        assert_eq!(trial.closes().len(), 1);
    }

    #[test]
    fn refreshing_the_same_token_warns_once_and_closes_once() {
        let mut trial = trial();
        let session = trial.connect(0, "7", Some(LIFE_MS));
        for _ in 0..100 {
            trial.refresh(session, "7", Some(LIFE_MS), None);
        }
        assert_eq!(trial.shard.holdings().deadlines, 1);
        assert!(is_warning(&trial.pass(LIFE_MS + TICK_MS)));
        assert!(trial.pass(EXPIRY_GRACE_MS + TICK_MS).is_empty());
        assert_eq!(trial.closes().len(), 1);
    }

    #[test]
    fn a_jump_of_the_wall_clock_expires_nobody() {
        let mut trial = trial();
        trial.connect(0, "7", Some(LIFE_MS));
        trial.now.unix_ms += 3_600_000;
        assert!(trial.pass(LIFE_MS - TICK_MS).is_empty());
        trial.now.unix_ms -= 7_200_000;
        assert!(is_warning(&trial.pass(2 * TICK_MS)));
    }

    #[test]
    fn tokens_are_for_the_handshake_alone_when_expiry_is_ignored() {
        let mut trial = Trial::new(Limits::default());
        trial.connect(0, "7", Some(LIFE_MS));
        assert_eq!(trial.shard.holdings().deadlines, 0);
        assert!(trial.pass(LIFE_MS + EXPIRY_GRACE_MS).is_empty());
        assert_eq!(trial.closes(), []);
    }

    #[test]
    fn sessions_that_came_and_went_do_not_pile_up_deadlines() {
        let mut trial = trial();
        let kept = trial.connect(0, "7", Some(LIFE_MS));
        for _ in 0..2 * DEADLINES_VOID_MAX {
            let session = trial.connect(1, "8", Some(3_600_000));
            trial.disconnect(session);
        }
        assert!(trial.shard.holdings().deadlines <= DEADLINES_VOID_MAX + 4);
        assert!(is_warning(&trial.pass(LIFE_MS + TICK_MS)));
        trial.pass(EXPIRY_GRACE_MS + TICK_MS);
        assert_eq!(trial.closes(), [(kept, CloseReason::TokenExpired)]);
    }

    #[test]
    fn no_end_of_a_token_overflows() {
        let mut trial = trial();
        trial.now.unix_ms = 0;
        trial.connect(0, "7", Some(u64::MAX));
        assert!(trial.pass(LIFE_MS).is_empty());
    }
}
