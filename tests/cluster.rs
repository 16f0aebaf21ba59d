//! What three nodes on one Redis promise while nodes, Redis and the ways between them break: the real binary, a real
//! redis-server or a cluster of six, a balancer that remembers nobody, and a checker that reads what every client heard.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a promise that was broken ends the test")]
#![allow(dead_code, reason = "what one kind of set-up needs is not called by all")]

#[path = "cluster/alone.rs"]
mod alone;
#[path = "cluster/balancer.rs"]
mod balancer;
#[path = "cluster/chaos.rs"]
mod chaos;
#[path = "cluster/checker.rs"]
mod checker;
#[path = "cluster/churn.rs"]
mod churn;
#[path = "cluster/client.rs"]
mod client;
#[path = "cluster/clocks.rs"]
mod clocks;
#[path = "cluster/deployed.rs"]
mod deployed;
#[path = "cluster/diary.rs"]
mod diary;
#[path = "cluster/faults_of_clusters.rs"]
mod faults_of_clusters;
#[path = "cluster/faults_of_networks.rs"]
mod faults_of_networks;
#[path = "cluster/faults_of_nodes.rs"]
mod faults_of_nodes;
#[path = "cluster/faults_of_redis.rs"]
mod faults_of_redis;
#[path = "cluster/http.rs"]
mod http;
#[path = "cluster/namespace.rs"]
mod namespace;
#[path = "cluster/node.rs"]
mod node;
#[path = "cluster/polling.rs"]
mod polling;
#[path = "cluster/presence.rs"]
mod presence;
#[path = "cluster/pushes.rs"]
mod pushes;
#[path = "cluster/redis.rs"]
mod redis;
#[path = "cluster/site.rs"]
mod site;
#[path = "cluster/stock.rs"]
mod stock;
#[path = "cluster/together.rs"]
mod together;
#[path = "cluster/visitor.rs"]
mod visitor;
#[path = "cluster/weather.rs"]
mod weather;
#[path = "cluster/wire.rs"]
mod wire;
