//! Asks the permission webhook, on threads of its own: a core never waits for somebody else's server. What is worth asking,
//! and how long an answer holds, is the cores' business; here questions go out and verdicts come back.

mod exchange;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use core_shards::access::{Outcome, Question, Verdict};
use crossbeam_channel::{Receiver, Sender, bounded};

use exchange::Exchange;

/// Questions that are asked at the same time.
pub const WORKERS: usize = 16;

/// Questions that wait for a worker. Reached: [`Permissions::ask`] gives the question back, and the user is refused.
pub const QUEUE_MAX: usize = 1_024;

/// Stack of a worker: a TLS handshake needs a tenth of it.
const STACK_BYTES: usize = 1 << 20;

/// How long a denial holds if the webhook does not say, at most.
const DENIED_TTL_MS: u64 = 5_000;

/// How long a failure holds: long enough that a broken webhook is not asked for every retry.
const FAILED_TTL_MS: u64 = 1_000;

/// Where to ask and how.
#[derive(Clone, Debug)]
pub struct PermissionSettings {
    /// The webhook: `http` or `https`.
    pub url: String,
    /// Signs questions, if there is one.
    pub secret: Option<String>,
    /// Sent as `X-Plugin-Secret`, if there is one.
    pub plugin_secret: Option<String>,
    /// How long an answer may take, and how long a question may wait for its turn.
    pub timeout: Duration,
    /// How long a permission holds if the webhook does not say, in milliseconds.
    pub allowed_ttl_ms: u64,
}

/// How questions ended. Written by all workers.
#[derive(Debug, Default)]
pub struct PermissionMetrics {
    /// Questions by [`Outcome`].
    pub outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Microseconds that the webhook took for those that were asked, in sum.
    pub asked_us: AtomicU64,
    /// Questions that the webhook was asked.
    pub asked: AtomicU64,
}

impl PermissionMetrics {
    fn count(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The way to the workers, one for each core. When the last is dropped, the workers end with the questions that wait.
#[derive(Clone)]
pub struct Permissions {
    queue: Sender<Waiting>,
    metrics: Arc<PermissionMetrics>,
}

struct Waiting {
    question: Question,
    since: Instant,
}

impl Permissions {
    /// Starts the workers. `answer` is called on their threads, once for each question that [`ask`](Self::ask) took.
    ///
    /// # Errors
    /// The system's, if it has no more threads.
    pub fn start(
        settings: &PermissionSettings,
        answer: impl Fn(Question, Verdict) + Send + Clone + 'static,
    ) -> std::io::Result<Self> {
        let (queue, questions) = bounded(QUEUE_MAX);
        let metrics = Arc::<PermissionMetrics>::default();
        let exchange = Exchange::new(settings);
        for number in 0..WORKERS {
            let worker = Worker {
                questions: questions.clone(),
                exchange: exchange.clone(),
                metrics: metrics.clone(),
                patience: settings.timeout,
                allowed_ttl_ms: settings.allowed_ttl_ms,
            };
            let answer = answer.clone();
            let thread = std::thread::Builder::new().name(format!("permission-{number}"));
            thread.stack_size(STACK_BYTES).spawn(move || worker.run(answer))?;
        }
        Ok(Self { queue, metrics })
    }

    /// Asks, without waiting.
    ///
    /// # Errors
    /// The question, if too many wait already: it counts as [`Outcome::Busy`], and no verdict will come.
    pub fn ask(&self, question: Question) -> Result<(), Question> {
        let waiting = Waiting { question, since: Instant::now() };
        self.queue.try_send(waiting).map_err(|error| {
            self.metrics.count(Outcome::Busy);
            error.into_inner().question
        })
    }

    /// How questions ended.
    pub fn metrics(&self) -> &PermissionMetrics {
        &self.metrics
    }
}

struct Worker {
    questions: Receiver<Waiting>,
    exchange: Exchange,
    metrics: Arc<PermissionMetrics>,
    patience: Duration,
    allowed_ttl_ms: u64,
}

impl Worker {
    /// Wakes for each question, and ends when the last [`Permissions`] is gone.
    fn run(self, answer: impl Fn(Question, Verdict)) {
        for Waiting { question, since } in &self.questions {
            // Behind a webhook that hangs, questions would wait for minutes; nobody waits that long for a join.
            let verdict = match since.elapsed() > self.patience {
                true => self.verdict(Outcome::Timeout, None),
                false => self.ask(&question),
            };
            self.metrics.count(verdict.outcome);
            answer(question, verdict);
        }
    }

    fn ask(&self, question: &Question) -> Verdict {
        let begin = Instant::now();
        // A broken library is a denial, not a worker less.
        let asked = catch_unwind(AssertUnwindSafe(|| self.exchange.ask(question)));
        let asked_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.metrics.asked.fetch_add(1, Ordering::Relaxed);
        self.metrics.asked_us.fetch_add(asked_us, Ordering::Relaxed);
        match asked.unwrap_or(Err(Outcome::Unreachable)) {
            Ok(reply) if reply.is_allowed => self.verdict(Outcome::Allowed, reply.ttl_ms),
            Ok(reply) => self.verdict(Outcome::Denied, reply.ttl_ms),
            Err(outcome) => self.verdict(outcome, None),
        }
    }

    fn verdict(&self, outcome: Outcome, ttl_ms: Option<u64>) -> Verdict {
        let usual_ms = match outcome {
            Outcome::Allowed => self.allowed_ttl_ms,
            Outcome::Denied => DENIED_TTL_MS.min(self.allowed_ttl_ms),
            _ => FAILED_TTL_MS.min(self.allowed_ttl_ms),
        };
        Verdict { is_allowed: outcome == Outcome::Allowed, ttl_ms: ttl_ms.unwrap_or(usual_ms), outcome }
    }
}

#[cfg(test)]
mod tests;
