#!/usr/bin/env bash
# Makes sure that a Docker Engine answers: installs the distribution's package when there is none, starts it when it is
# not running. `scripts/docker.sh stop` stops an engine that this script started, unless containers run on it.
set -euo pipefail

state=${BERTH_STATE:-.berth}
pidfile=$state/dockerd.pid
say() { printf '%s\n' "$*" >&2; }
fail() { say "berth: $*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"
  else fail "this needs root to $1: run it as root, or install sudo"; fi
}

# A GET /_ping over the socket tells a running engine from a stale socket file; no Docker client is needed for it.
engine_answers() {
  local socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
  case $socket in
    unix://*) [ -S "${socket#unix://}" ] && as_user_curl "${socket#unix://}" ;;
    *) return 0 ;; # somebody else's engine: Berth says so if it doesn't answer
  esac
}
as_user_curl() {
  if command -v curl >/dev/null; then curl -fsS --max-time 3 --unix-socket "$1" http://docker/_ping >/dev/null 2>&1
  else as_root docker version >/dev/null 2>&1; fi
}

if [ "${1:-}" = stop ]; then
  [ -f "$pidfile" ] || exit 0
  pid=$(cat "$pidfile")
  if ! as_root kill -0 "$pid" 2>/dev/null; then rm -f "$pidfile"; exit 0; fi
  if command -v docker >/dev/null && [ -n "$(as_root docker ps -q 2>/dev/null)" ]; then
    say "the Docker engine stays up: other containers run on it"; exit 0
  fi
  as_root kill "$pid" && rm -f "$pidfile"
  say "stopped the Docker engine that make up had started"
  exit 0
fi

engine_answers && exit 0

if ! command -v dockerd >/dev/null && [ ! -x /usr/sbin/dockerd ]; then
  command -v apt-get >/dev/null || fail "no Docker engine here and no apt-get to install one: install Docker Engine 20.10 or newer, then run this again"
  say "installing Docker Engine from the distribution's packages ..."
  log=$(mktemp)
  if ! { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker.io iptables; } >"$log" 2>&1; then
    tail -n 3 "$log" >&2
    fail "Docker Engine could not be installed (apt-get install docker.io failed, log: $log)"
  fi
  rm -f "$log"
fi

engine_answers && exit 0

say "starting the Docker engine ..."
if [ -d /run/systemd/system ]; then
  as_root systemctl start docker || fail "the Docker engine does not start: see systemctl status docker"
else
  mkdir -p "$state"
  log=$state/dockerd.log
  as_root sh -c "setsid nohup dockerd >'$log' 2>&1 </dev/null & echo \$! >'$pidfile'"
fi
for _ in $(seq 1 150); do
  engine_answers && exit 0
  sleep 0.2
done
[ -f "$state/dockerd.log" ] && tail -n 3 "$state/dockerd.log" >&2
fail "the Docker engine did not answer within 30 s"
