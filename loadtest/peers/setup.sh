#!/usr/bin/env bash
# Installs the servers that the load tester compares with, from their registries, into their own folders.

set -euo pipefail

readonly peers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly all=(node socketioxide uwebsockets centrifugo centrifuge floor)

usage() {
  echo "usage: loadtest/peers/setup.sh [PEER...]"
  echo
  echo "Without a PEER, whatever can be installed of: ${all[*]}"
}

need() {
  command -v "$1" >/dev/null || { echo "$1 is missing: install $2" >&2 && return 1; }
}

set_up() {
  case $1 in
    node | node-cluster) need npm "nodejs and npm" && (cd "$peers/node" && npm ci) ;;
    socketioxide)
      need cargo "Rust from https://rustup.rs" &&
        cargo build --locked --release --manifest-path "$peers/socketioxide/Cargo.toml" --target-dir "$peers/socketioxide/target"
      ;;
    uwebsockets)
      need python3 "python3 and python3-venv" && python3 -m venv "$peers/uwebsockets/.venv" &&
        "$peers/uwebsockets/.venv/bin/pip" install --quiet --requirement "$peers/uwebsockets/requirements.txt"
      ;;
    centrifugo)
      need go "Go from https://go.dev/dl" && GOBIN=$peers/centrifugo/bin GOFLAGS=-mod=mod \
        go install github.com/centrifugal/centrifugo/v6@latest
      ;;
    centrifuge) need go "Go from https://go.dev/dl" && (cd "$peers/centrifuge" && go build -o bin/centrifuge .) ;;
    floor) (cd "$peers" && cargo build --locked --release --package loadtest) ;;
    realtime | realtime-epoll | baseline) ;; # built with the project
    *) usage >&2 && return 2 ;;
  esac
}

main() {
  local peer failed=()
  [[ ${1:-} != --help && ${1:-} != -h ]] || { usage && exit; }
  local wanted=("$@")
  [[ $# -gt 0 ]] || wanted=("${all[@]}")
  for peer in "${wanted[@]}"; do
    echo "=== $peer"
    set_up "$peer" || failed+=("$peer")
  done
  [[ ${#failed[@]} -gt 0 ]] || return 0
  echo "not installed: ${failed[*]}" >&2
  # A peer that was not asked for by name may be missing: comparisons then go without it, and say so.
  [[ $# -eq 0 ]] || exit 1
}

main "$@"
