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

pub mod application;
mod clock;
pub mod core;
mod echo;
mod egress;
mod heartbeat;
mod http;
mod ingest;
mod link;
mod listen;
mod mailbox;
pub mod metrics;
mod polling;
mod requests;
pub mod settings;
mod state;
pub mod threads;
mod upgrade;
mod websocket;

pub use application::{Application, Incoming, Opening, Payload, Step};
pub use settings::{Settings, Surface, SurfaceKind};
