//! Guards one HS256 token: 43,800 instructions (3.2 us) for a good one, as every reconnect has, 31,600 for a forged.

#[path = "setup/measure.rs"]
mod measure;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use realtime::auth::{AuthSettings, Denial, Verifier};
use serde_json::json;

const SECRET: &str = "a secret that only benchmarks know, 32+ bytes";

fn sign(secret: &str) -> String {
    let claims = json!({
        "sub": "9f1c2d3e-0000-4000-8000-000000000001",
        "name": "Ann Example",
        "roles": ["member", "moderator"],
        "iat": 1_772_359_201,
        "exp": 4_000_000_000_u64,
    });
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).expect("the claims are JSON and the key fits")
}

fn tokens(criterion: &mut Criterion) {
    let settings = AuthSettings { secret: Some(SECRET.to_owned()), ..AuthSettings::default() };
    let verifier = Verifier::new(settings).expect("a secret fits HS256");
    let (good, forged) = (sign(SECRET), sign("another secret"));
    let mut group = criterion.benchmark_group("tokens");
    group.throughput(Throughput::Elements(1));
    group.bench_function("good", |bencher| {
        bencher.iter(|| assert!(verifier.verify(black_box(&good)).is_ok()));
    });
    group.bench_function("forged", |bencher| {
        bencher.iter(|| assert_eq!(verifier.verify(black_box(&forged)).err(), Some(Denial::Signature)));
    });
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    tokens(&mut criterion);
    criterion.final_summary();
}
