//! Load, latency objectives and density for Socket.IO servers that speak the chat dialect.
//!
//! The path of a run: [`cli`] says what is wanted, one file of [`scenario`] (or [`compare`]) is what happens, a
//! [`fleet`] of threads holds the [`connection`]s, the [`schedule`] says when a message is due whatever the
//! server does, the [`tally`] of every receiver says what was lost, doubled or reordered, [`sampling`] reads
//! what the server used, and the [`report`] is held against the [`objectives`].

mod answer;
pub mod chance;
pub mod cli;
pub mod clock;
pub mod compare;
pub mod connection;
pub mod descriptors;
pub mod dialect;
pub mod fleet;
pub mod http;
pub mod latency;
pub mod ledger;
pub mod mark;
pub mod objectives;
pub mod progress;
pub mod record;
pub mod report;
pub mod sampling;
pub mod scenario;
pub mod schedule;
pub mod seating;
pub mod sources;
pub mod speech;
pub mod tally;
pub mod target;
pub mod token;
