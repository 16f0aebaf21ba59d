//! HTTP/1.1 as a server reads it: bounded heads, strict framing, bodies, and the responses of a small JSON service.
//!
//! Owns what makes a request acceptable; where two readers of the same bytes could disagree, the request is refused.
//! It does not route, authenticate or time anything.

pub mod body;
pub mod cors;
pub mod error;
pub mod head;
pub mod query;
pub mod response;
pub mod scanner;

pub use body::BodyReader;
pub use cors::Cors;
pub use error::HttpError;
pub use head::{Framing, HeadLimits, Method, Request, Version, parse as parse_head};
pub use response::Response;
pub use scanner::Scanner;
