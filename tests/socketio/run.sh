#!/usr/bin/env bash
# Stock clients against the real binary: sets up what the suite needs, then runs all of it for one I/O driver.
#
#     REALTIME_BIN=target/debug/realtime tests/socketio/run.sh [auto|uring|epoll] [file.test.mjs ...]
#     SUITE_TARGET=reference tests/socketio/run.sh        the same suite against the oracle, Node's own socket.io
set -euo pipefail

fail() {
  echo "tests/socketio: $*" >&2
  exit 1
}

driver="${1:-${REALTIME_IO_DRIVER:-auto}}"
shift || true
case "$driver" in auto | uring | epoll) ;; *) fail "'$driver' is no I/O driver: say auto, uring or epoll" ;; esac
export REALTIME_IO_DRIVER="$driver"

if [[ "${SUITE_TARGET:-}" == reference ]]; then
  [[ -z "${REALTIME_BIN:-}" ]] || fail "REALTIME_BIN and SUITE_TARGET=reference exclude each other"
else
  [[ -z "${SUITE_TARGET:-}" ]] || fail "SUITE_TARGET can only be 'reference'"
  [[ -n "${REALTIME_BIN:-}" ]] || fail "REALTIME_BIN must name the binary under test"
  REALTIME_BIN="$(realpath "$REALTIME_BIN")"
  [[ -x "$REALTIME_BIN" ]] || fail "$REALTIME_BIN is not an executable"
  export REALTIME_BIN
fi

cd "$(dirname "${BASH_SOURCE[0]}")"
for tool in node npm python3; do
  command -v "$tool" >/dev/null || fail "$tool is not installed"
done
(($(node -p 'process.versions.node.split(".")[0]') >= 20)) || fail "Node 20 or newer is needed, this is $(node --version)"
chromium="${CHROMIUM:-/usr/bin/chromium}"
[[ -x "$chromium" ]] || fail "no browser at $chromium: install chromium, or let CHROMIUM name it"

# Installed once per state of the lock file; `npm ci` starts from nothing each time.
lock_state="$(sha256sum package.json package-lock.json | sha256sum)"
if [[ "$(cat node_modules/.lock-state 2>/dev/null)" != "$lock_state" ]]; then
  npm ci --no-audit --no-fund
  echo "$lock_state" >node_modules/.lock-state
fi
requirements_state="$(sha256sum <python/requirements.txt)"
if [[ "$(cat python/.venv/.requirements-state 2>/dev/null)" != "$requirements_state" ]]; then
  rm -rf python/.venv
  python3 -m venv python/.venv
  python/.venv/bin/pip install --quiet --disable-pip-version-check --requirement python/requirements.txt
  echo "$requirements_state" >python/.venv/.requirements-state
fi

# What the oracle knows: Engine.IO, Socket.IO, channels, messages, recovery.
oracle_files=(authentication browser channels connection engine_io http jitter malformed messages order python recovery restart)

files=("$@")
if ((${#files[@]} == 0)); then
  files=(*.test.mjs)
  [[ "${SUITE_TARGET:-}" != reference ]] || files=("${oracle_files[@]/%/.test.mjs}")
fi
echo "stock clients against ${REALTIME_BIN:-the oracle}, driver $driver"
exec node --test --test-reporter=spec --test-concurrency=2 --test-timeout=180000 "${files[@]}"
