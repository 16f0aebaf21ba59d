//! The bodies of REST requests and answers: JSON to words, words to JSON. Routes, statuses, headers and who may ask are
//! decided elsewhere; a body that reads well says nothing about whether its `userId` is the caller's.

mod answer;
mod broadcast;
mod poll;
mod post;

pub use answer::{
    PollAnswer, push_broadcast_done, push_message_repeated, push_message_stored, push_poll,
    push_presence_list, push_presence_set, push_rest_failure, push_success,
};
pub use broadcast::{
    BATCH_EVENTS_MAX, BATCH_ROOMS_MAX, BroadcastPost, Invalidation, ROOMS_MAX, parse_batch, parse_broadcast,
    parse_invalidation,
};
pub use poll::{POLL_MESSAGES_MAX, POLL_WAIT_S_MAX, PollQuery, parse_poll};
pub use post::{MessagePost, PresencePost, TypingPost, parse_message, parse_presence, parse_typing};
