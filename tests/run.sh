#!/usr/bin/env bash
# The test command: installs what the tests need, builds once, and runs everything on both drivers.
# Nothing is skipped: what cannot be run fails, and says what to install.

set -euo pipefail

readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly logs=$root/tests/.cache/run
readonly release=${CARGO_TARGET_DIR:-$root/target}/release
readonly fuzz_seconds=${FUZZ_SECONDS:-5}
# No step may take longer than this: a test that hangs is a test that fails.
readonly step_seconds_max=${STEP_SECONDS_MAX:-1500}

readonly steps=(tools format lint rust fuzz build clients-uring conformance-uring clients-epoll conformance-epoll cluster comparison)

describe() {
  case $1 in
    tools) echo "install missing Debian packages, check the toolchains" ;;
    format) echo "cargo fmt --check" ;;
    lint) echo "cargo clippy, every target, no warnings" ;;
    rust) echo "unit, property and simulation tests, house style, dependency direction" ;;
    fuzz) echo "every parser against mutated input, $fuzz_seconds s each (FUZZ_SECONDS)" ;;
    build) echo "the release binary and the conformance application" ;;
    clients-*) echo "stock clients and a browser against the binary, driver ${1#*-}" ;;
    cluster) echo "three nodes on Redis while things break (CLUSTER_LOAD=full for the long runs)" ;;
    comparison) echo "a short comparison with other servers: nothing lost, doubled or out of order" ;;
    conformance-*) echo "the protocol suites against the conformance application, driver ${1#*-}" ;;
  esac
}

usage() {
  echo "usage: tests/run.sh [--epoll-only] [STEP...]"
  echo
  echo "Without a STEP, all of them in this order:"
  for step in "${steps[@]}"; do printf '  %-18s %s\n' "$step" "$(describe "$step")"; done
  echo
  echo "--epoll-only leaves out the steps that need io_uring, on a machine that has none."
}

# --- Steps ---------------------------------------------------------------------------------------

step_tools() {
  local missing=()
  command -v cc >/dev/null || missing+=(build-essential)
  [[ -x ${CHROMIUM:-/usr/bin/chromium} ]] || missing+=(chromium)
  command -v node >/dev/null || missing+=(nodejs npm)
  command -v redis-server >/dev/null || missing+=(redis-server)
  command -v nginx >/dev/null || missing+=(nginx-light)
  command -v ip >/dev/null || missing+=(iproute2)
  command -v iptables >/dev/null || missing+=(iptables)
  command -v faketime >/dev/null || missing+=(faketime)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
  if [[ ${#missing[@]} -gt 0 ]]; then install_packages "${missing[@]}"; fi
  cargo --version || fail "Rust is missing: install it from https://rustup.rs"
  cargo fmt --version || fail "rustfmt is missing: rustup component add rustfmt"
  cargo clippy --version || fail "clippy is missing: rustup component add clippy"
  local node_major
  node_major=$(node -p 'process.versions.node.split(".")[0]')
  echo "node $(node --version), npm $(npm --version), $(python3 --version)"
  [[ $node_major -ge 20 ]] || fail "node $(node --version) is too old: install Node.js 20 or newer"
}

install_packages() {
  local as_root=()
  [[ $(id -u) -eq 0 ]] || as_root=(sudo -n)
  command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null ||
    fail "install these first, they are Debian's names: $*"
  echo "installing $*"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

step_format() {
  cargo fmt --all -- --check -l || fail "these files are not formatted: cargo fmt --all"
  cargo fmt --manifest-path fuzz/Cargo.toml -- --check -l || fail "these files are not formatted: cd fuzz && cargo fmt"
}

step_lint() {
  cargo clippy --locked --workspace --all-targets -- -D warnings
  # A test that runs as a step of its own is no target of the line above.
  cargo clippy --locked --workspace --test cluster -- -D warnings
  cargo clippy --locked --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings
}

# Most of these tests wait most of the time: four of them go side by side on two cores as well.
# The whole workspace each time: for one package alone its dependencies would be built anew, with fewer features.
step_rust() {
  local threads=$(nproc)
  export RUST_TEST_THREADS=$((threads > 4 ? threads : 4))
  cargo test --locked --workspace
  # Once more on epoll; the first time it was io_uring, where the machine has it.
  REALTIME_IO_DRIVER=epoll cargo test --locked --workspace --test node
  unset RUST_TEST_THREADS
}

step_fuzz() {
  cargo run --locked --release --manifest-path fuzz/Cargo.toml --bin smoke -- "$fuzz_seconds"
}

step_build() {
  cargo build --locked --release --bin realtime --example conformance
}

step_clients() {
  step_build
  require_driver "$1"
  REALTIME_BIN=$release/realtime tests/socketio/run.sh "$1"
}

step_conformance() {
  step_build
  require_driver "$1"
  local suites=(tests/socketio/conformance/*.test.mjs)
  REALTIME_BIN=$release/realtime CONFORMANCE_BIN=$release/examples/conformance \
    tests/socketio/run.sh "$1" "${suites[@]#tests/socketio/}"
}

# One test at a time: each has the machine for its nodes, its Redis and its clients.
step_cluster() {
  step_build
  [[ -d tests/socketio/node_modules ]] || (cd tests/socketio && npm ci --no-audit --no-fund)
  REALTIME_BIN=$release/realtime cargo test --locked --workspace --test cluster -- --test-threads=1 --nocapture
}

# The peers that only need what the other tests need; those that are installed besides take part too.
step_comparison() {
  step_build
  cargo build --locked --release --package loadtest
  loadtest/peers/setup.sh node
  "$release/realtime-loadtest" compare --short
}

# The node itself is asked, with as many cores as the suites use: locked memory is charged per ring.
require_driver() {
  local answer=$logs/driver-$1.log node is_ready=false
  REALTIME_IO_DRIVER=$1 REALTIME_CORES=4 "$release/realtime" --dev --port 0 >"$answer" 2>&1 &
  node=$!
  for _ in {1..100}; do
    if grep -q ready "$answer"; then is_ready=true; break; fi
    kill -0 "$node" 2>/dev/null || break
    sleep 0.1
  done
  kill "$node" 2>/dev/null || true
  wait "$node" 2>/dev/null || true
  $is_ready && return
  cat "$answer"
  fail "no node runs on the driver $1 here; where the machine has no io_uring, say so: tests/run.sh --epoll-only"
}

# --- Running them --------------------------------------------------------------------------------

fail() {
  echo "tests/run.sh: $*" >&2
  exit 1
}

run_step() {
  local step=$1 log=$logs/$1.log
  case $step in
    clients-* | conformance-*) "step_${step%-*}" "${step#*-}" ;;
    *) "step_$step" ;;
  esac 2>&1 | tee "$log"
}

# How many tests the runners say passed, failed or were skipped, by their closing lines: cargo test, node --test, the
# fuzz targets.
count() {
  local cargo_word=$1 node_word=$2 fuzz_lines=$3 step total=0
  for step in "${done_steps[@]}"; do
    total=$((total + $(sed 's/\x1b\[[0-9;]*m//g' "$logs/$step.log" | awk \
      -v cargo_word="$cargo_word" -v node_word="$node_word" -v fuzz_lines="$fuzz_lines" '
        /^test result: / { for (i = 2; i <= NF; i++) if ($i ~ "^" cargo_word ";?$") total += $(i - 1) }
        /^(#|ℹ) [a-z]+ [0-9]+$/ && $2 == node_word { total += $3 }
        fuzz_lines && /^fuzz smoke: .* inputs ok$/ { total += 1 }
        END { print total + 0 }')))
  done
  echo "$total"
}

main() {
  local chosen=() epoll_only=false argument step
  for argument in "$@"; do
    case $argument in
      --help | -h) usage && exit ;;
      --epoll-only) epoll_only=true ;;
      *) [[ " ${steps[*]} " == *" $argument "* ]] || fail "no step $argument, see tests/run.sh --help"
        chosen+=("$argument") ;;
    esac
  done
  [[ ${#chosen[@]} -gt 0 ]] || chosen=("${steps[@]}")
  if $epoll_only; then mapfile -t chosen < <(printf '%s\n' "${chosen[@]}" | grep -v -- -uring); fi
  [[ ${#chosen[@]} -gt 0 ]] || fail "no step is left to run"

  cd "$root"
  mkdir -p "$logs"
  done_steps=()
  for step in "${chosen[@]}"; do
    local began=$SECONDS number=$((${#done_steps[@]} + 1))
    echo "=== [$number/${#chosen[@]}] $step: $(describe "$step")"
    # In a process of its own, so that it can be ended when it hangs.
    timeout "$step_seconds_max" "${BASH_SOURCE[0]}" --in-step "$step" &
    trap "kill $! 2>/dev/null" EXIT
    if wait $!; then
      done_steps+=("$step")
      echo "=== [$number/${#chosen[@]}] $step: ok in $((SECONDS - began)) s, $SECONDS s in all"
    else
      echo "=== [$number/${#chosen[@]}] $step: FAILED after $((SECONDS - began)) s, its output is in ${logs#"$root"/}/$step.log"
      exit 1
    fi
  done
  trap - EXIT
  local passed
  passed=$(count passed pass 1)
  if [[ $passed -gt 0 ]]; then
    echo "$passed passed, $(count failed fail 0) failed, $(count ignored skipped 0) skipped"
  fi
}

if [[ ${1:-} == --in-step ]]; then
  cd "$root"
  run_step "$2"
else
  main "$@"
fi
