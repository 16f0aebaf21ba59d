//! Engine.IO sessions on many cores, for any [`Application`].
//!
//! ```text
//! accept ─> http ─┬─> polling requests ─┐
//!                 └─> websocket ────────┼─> packet ─> Core::turn(application) ─> frames ─> egress ─> socket
//! other cores ──> postman ──────────────┘                                    └─> mail ──> other cores
//! ```
//!
//! One [`core::Core`] per thread holds everything; [`core::Core::turn`] is the only meeting point of
//! tasks and state. Nothing of the state is held across an await.

mod answers;
pub mod application;
mod backlog;
mod budget;
mod clock;
pub mod core;
pub mod drain;
mod echo;
mod egress;
mod forwarding;
pub mod handle;
mod heartbeat;
mod http;
mod ingest;
mod joining;
mod link;
mod listen;
mod mailbox;
mod meter;
pub mod metrics;
mod pings;
mod polling;
pub mod postbox;
mod requests;
mod secrets;
pub mod settings;
mod state;
pub mod threads;
mod upgrade;
mod websocket;

pub use application::{Application, Incoming, Opening, Payload, Reply, Step};
pub use handle::CoreHandle;
pub use postbox::Postbox;
pub use settings::{Settings, Surface, SurfaceKind};
