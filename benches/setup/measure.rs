//! How every benchmark measures: with the node's allocator, and briefly, so that all of them together take two minutes.

use std::time::Duration;

use criterion::Criterion;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A measurement of about two seconds for each number; the command line may ask for more.
pub(crate) fn briefly() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(30)
        .without_plots()
        .configure_from_args()
}
