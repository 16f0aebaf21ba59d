//! The chat node from start to stop: what is decided once, told to the operator, and undone at the end.

use std::sync::{Arc, OnceLock};

use core_shards::cursor::RunId;
use core_shards::{Limits, Mail, Placement, Question, Shard, ShardMetrics};
use protocol::engine_io::sid::NodeName;

use crate::auth::{SharedVerifier, Verifier};
use crate::chat::{ChatMetrics, ChatNode, Parts};
use crate::config::Config;
use crate::engine::Postbox;
use crate::engine::threads::{Engine, Stopper};
use crate::permissions::{PermissionSettings, Permissions};
use crate::redis::StoreMetrics;
use crate::routes::{RedisHealth, Routes, Surroundings, VERSION, hash_of};
use crate::rt::{DriverChoice, choose_driver};
use crate::store::{Store, StoreSettings};

/// A running chat node.
pub struct Node {
    engine: Engine<ChatNode>,
}

impl Node {
    /// Starts the node. When this returns, clients can connect.
    ///
    /// # Errors
    /// A sentence for the operator that says what to change.
    pub fn start(config: &Config) -> Result<Self, String> {
        config.check()?;
        let core_count = config.cores.unwrap_or_else(cores_allowed);
        let driver = choose_driver(config.io_driver, usize::from(core_count))?;
        let verifier = Arc::new(Verifier::new(config.auth())?);
        let memory_bytes = config.memory_bytes();
        let limits = config.limits(memory_bytes, core_count);
        report(config, core_count, &driver);
        report_memory(config, memory_bytes, &limits, core_count);
        let engine = start_engine(config, limits, core_count, &driver, verifier)
            .map_err(|error| format!("cannot listen on {}: {error}", config.address()))?;
        tracing::info!(address = %engine.address, "ready");
        Ok(Self { engine })
    }

    /// A way to end the node, from any thread.
    pub fn stopper(&self) -> Stopper<ChatNode> {
        self.engine.stopper()
    }

    /// Waits until the node has ended.
    pub fn wait(self) {
        self.engine.wait();
        tracing::info!("stopped");
    }

    /// Where the node listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.engine.address
    }
}

fn start_engine(
    config: &Config,
    limits: Limits,
    core_count: u16,
    driver: &DriverChoice,
    verifier: SharedVerifier,
) -> std::io::Result<Engine<ChatNode>> {
    let placement = Placement::new(core_count, (random_u64(), random_u64()));
    let placement = match &config.redis {
        Some(redis) => placement.joined(redis.partitions),
        None => placement,
    };
    let run = RunId::from_random(placement.hash("run"));
    let name = format!("realtime-{}", run.as_str());
    let store_settings = config.redis.as_ref().map(|redis| StoreSettings::new(redis, &limits, name));
    let stores: Vec<Arc<StoreMetrics>> = match &store_settings {
        Some(_) => (0..core_count).map(|_| Arc::default()).collect(),
        None => Vec::new(),
    };
    let shards: Vec<Arc<ShardMetrics>> = (0..core_count).map(|_| Arc::default()).collect();
    let doors: Vec<Arc<ChatMetrics>> = (0..core_count).map(|_| Arc::default()).collect();
    let redis = Arc::new(RedisHealth::new(stores.clone(), shards.clone(), config.health_check_interval_ms));
    let limits = Arc::new(limits);
    let (driver, pages) = (driver.driver, config.pages.clone());
    let config_hash = hash_of(config.shown());
    let postbox = Arc::new(OnceLock::new());
    let permissions =
        config.permissions().map(|settings| start_permissions(settings, &postbox)).transpose()?;
    let mut settings = config.engine();
    settings.node = config.redis.as_ref().and_then(|_| NodeName::parse(run.as_str()));
    let engine = Engine::start(settings, driver, core_count, config.address(), move |core, shared, now| {
        let (metrics, door) = (shards[core.index()].clone(), doors[core.index()].clone());
        let shard = Shard::new(core, placement, Limits::clone(&limits), metrics, random_u64(), now);
        let routes = Routes::new(Surroundings {
            shared: shared.clone(),
            shards: shards.clone(),
            doors: doors.clone(),
            verifier: verifier.clone(),
            permissions: permissions.clone(),
            driver,
            redis: redis.clone(),
            pages: pages.clone(),
            config_hash,
        });
        let store = store_settings
            .clone()
            .map(|settings| Store::new(settings, core, placement, run, stores[core.index()].clone()));
        let parts = Parts {
            verifier: verifier.clone(),
            routes: Arc::new(routes),
            permissions: permissions.clone(),
            limits: limits.clone(),
            store,
        };
        ChatNode::new(core, placement, shard, parts, door)
    })?;
    let _ = postbox.set(engine.postbox());
    Ok(engine)
}

/// Starts the threads that ask the permission webhook. Their answers come back as mail.
fn start_permissions(
    settings: &PermissionSettings,
    postbox: &Arc<OnceLock<Postbox<ChatNode>>>,
) -> std::io::Result<Permissions> {
    /// How often an answer is tried to be delivered; each time takes seconds. Sessions whose answer is lost would wait
    /// for ever.
    const ATTEMPTS: usize = 100;
    let postbox = postbox.clone();
    Permissions::start(settings, move |question: Question, verdict| {
        let core = question.core;
        let mut letter = Mail::Verdict(Box::new(question), verdict);
        for _ in 0..ATTEMPTS {
            match postbox.wait().post(core, letter) {
                Ok(()) => return,
                Err(returned) => letter = returned,
            }
        }
        tracing::error!(core = core.0, "an answer of the permission webhook found no room");
    })
}

/// Tells the operator what was decided.
fn report(config: &Config, core_count: u16, driver: &DriverChoice) {
    tracing::info!(version = VERSION, "realtime starts");
    tracing::info!("{}", config.summary());
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!(cores = core_count, driver = %driver.driver, reason = driver.reason, "reactors");
    if config.is_insecure() {
        tracing::warn!("development mode: anybody who can reach the port can be anyone");
    }
}

/// Adds up what the node may need, and warns of what does not fit.
fn report_memory(config: &Config, memory_bytes: Option<usize>, limits: &Limits, core_count: u16) {
    let bill = |purpose, bytes_max: usize| tracing::info!(bytes_max, purpose, "memory bill");
    for item in limits.memory.bill() {
        bill(item.purpose, item.bytes * usize::from(core_count));
    }
    let sessions = config.max_connections as usize;
    bill("sessions that do not read", sessions * config.max_queue_bytes as usize);
    let needed = limits.memory.bytes() * usize::from(core_count) + sessions * SESSION_BYTES;
    bill("all bounds of what is remembered reached, and every session idle", needed);
    match memory_bytes {
        Some(allowed) if allowed < needed => tracing::warn!(
            allowed,
            needed,
            "the memory allowed is less than what may be needed: allow more, or fewer sessions or cores"
        ),
        Some(allowed) => tracing::info!(allowed, "memory"),
        None => tracing::warn!("nobody says how much memory there is: set REALTIME_MEMORY_MAX"),
    }
}

/// What an idle session that has joined one channel costs in user memory; measured, see the README.
const SESSION_BYTES: usize = 1_024;

/// The cores that this process may use: affinity and container quotas count.
fn cores_allowed() -> u16 {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the kernel gives randomness once it has booted");
    u64::from_le_bytes(bytes)
}
