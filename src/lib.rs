//! The shell around the shards: one reactor per core, sockets, mail between cores, HTTP routes.
//!
//! [`rt`] is the reactor, [`engine`] carries Engine.IO sessions for any [`engine::Application`], and
//! [`chat`] is the application that the `realtime` binary serves.

pub mod auth;
pub mod chat;
pub mod config;
pub mod engine;
pub mod healthcheck;
pub mod memory;
pub mod node;
pub mod permissions;
pub mod redis;
pub mod routes;
pub mod rt;
pub mod store;
