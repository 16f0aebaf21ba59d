#!/usr/bin/env bash
# Three nodes, one Redis and a round-robin balancer as plain processes on this machine: what compose.yml describes.
#
#     deploy/three-nodes.sh start | status | rolling-restart | kill N | start-node N | stop
#
# Needs redis-server and nginx; builds the binary unless NODE_BIN names one. Every REALTIME_… variable is passed on.

set -euo pipefail

readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly state=${THREE_NODES_STATE:-${CARGO_TARGET_DIR:-$root/target}/three-nodes}
readonly first_port=${THREE_NODES_PORT:-3101}
readonly redis_port=$((first_port + 4))
readonly ready_seconds_max=30
readonly stop_seconds_max=20

# The balancer has the first port, the nodes those after it.
node_port() { echo $((first_port + $1)); }

main() {
  local command=${1:-help} number=${2:-}
  case $command in
    start) start ;;
    status) status ;;
    rolling-restart) for number in 1 2 3; do stop_node "$number" && start_node "$number"; done ;;
    kill) kill -KILL "$(pid_of "node-$(checked "$number")")" && forget "node-$number" ;;
    start-node) start_node "$(checked "$number")" ;;
    stop) stop ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && [[ $command == help ]] ;;
  esac
}

start() {
  for tool in redis-server nginx curl; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
  done
  mkdir -p "$state"
  binary >/dev/null
  if [[ -z ${REALTIME_REDIS_URL:-} ]]; then
    launch redis redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$state" --save "" \
      --appendonly yes --maxmemory-policy noeviction
  fi
  local number
  for number in 1 2 3; do start_node "$number"; done
  start_balancer
  echo "http://127.0.0.1:$first_port"
}

# Where the binary is; builds it if nobody says.
binary() {
  if [[ -n ${NODE_BIN:-} ]]; then realpath "$NODE_BIN" && return; fi
  cargo build --locked --release --manifest-path "$root/Cargo.toml" --bin realtime >&2
  echo "${CARGO_TARGET_DIR:-$root/target}/release/realtime"
}

start_node() {
  local number=$1
  ! (exec 3<>"/dev/tcp/127.0.0.1/$(node_port "$number")") 2>/dev/null ||
    fail "something listens on port $(node_port "$number") already"
  REALTIME_HOST=127.0.0.1 REALTIME_PORT=$(node_port "$number") REALTIME_REDIS_ENABLED=true \
    REALTIME_REDIS_URL=${REALTIME_REDIS_URL:-redis://127.0.0.1:$redis_port} launch "node-$number" "$(binary)"
  for ((waited = 0; waited < ready_seconds_max * 10; waited++)); do
    ! curl -sf -o /dev/null "http://127.0.0.1:$(node_port "$number")/readyz" || return 0
    is_running "node-$number" || fail "node $number ended: $state/node-$number.log"
    sleep 0.1
  done
  fail "node $number is not ready: $state/node-$number.log"
}

# Asks a node to go, and waits until everybody on it has been sent to the others.
stop_node() {
  local pid
  pid=$(pid_of "node-$1")
  kill -TERM "$pid"
  for ((waited = 0; waited < stop_seconds_max * 10; waited++)); do
    if ! kill -0 "$pid" 2>/dev/null; then forget "node-$1" && return 0; fi
    sleep 0.1
  done
  fail "node $1 does not end"
}

start_balancer() {
  local number
  sed "s/listen 3101/listen 127.0.0.1:$first_port/" "$root/deploy/nginx.conf" >"$state/nginx.conf"
  cp "$root/deploy/upstream.conf" "$state/upstream.conf"
  for number in 1 2 3; do
    sed -i "s/node-$number:3101/127.0.0.1:$(node_port "$number")/" "$state/upstream.conf"
  done
  launch balancer nginx -p "$state" -c "$state/nginx.conf" -e "$state/balancer.log" -g "daemon off; pid $state/nginx.pid;"
}

status() {
  local number
  for number in 1 2 3; do
    echo "node-$number: $(curl -s -m 2 "http://127.0.0.1:$(node_port "$number")/health" || echo unreachable)"
  done
  local name
  for name in balancer redis; do
    if is_running "$name"; then echo "$name: runs"; else echo "$name: is not run from here"; fi
  done
}

# The balancer first, so that nobody is sent to a node that goes.
stop() {
  local name
  for name in balancer node-1 node-2 node-3 redis; do
    is_running "$name" || continue
    kill -TERM "$(pid_of "$name")"
  done
  for ((waited = 0; waited < stop_seconds_max * 10; waited++)); do
    if ! compgen -G "$state/*.pid" >/dev/null; then return 0; fi
    for name in balancer node-1 node-2 node-3 redis nginx; do is_running "$name" || forget "$name"; done
    sleep 0.1
  done
  fail "not everything ended: $state"
}

# Starts a process that outlives this script.
launch() {
  local name=$1
  shift
  ! is_running "$name" || fail "$name runs already"
  nohup setsid "$@" >>"$state/$name.log" 2>&1 </dev/null &
  echo $! >"$state/$name.pid"
}

is_running() { [[ -f $state/$1.pid ]] && kill -0 "$(<"$state/$1.pid")" 2>/dev/null; }

pid_of() {
  is_running "$1" || fail "$1 does not run"
  cat "$state/$1.pid"
}

forget() { rm -f "$state/$1.pid"; }

checked() {
  [[ $1 =~ ^[123]$ ]] || fail "say which node: 1, 2 or 3"
  echo "$1"
}

fail() {
  echo "deploy/three-nodes.sh: $*" >&2
  exit 1
}

main "$@"
