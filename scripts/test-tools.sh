#!/usr/bin/env bash
# Installs what the tests need beyond Go and Docker: the AWS CLI (any version) and a separate etcd server.
set -euo pipefail
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"
  else echo "berth: the tests need root to install packages: run as root, or install: $*" >&2; exit 1; fi
}
missing=()
command -v aws >/dev/null || missing+=(awscli)
command -v etcd >/dev/null || missing+=(etcd-server)
[ ${#missing[@]} -eq 0 ] && exit 0
command -v apt-get >/dev/null || { echo "berth: the tests need ${missing[*]}, and there is no apt-get to install them" >&2; exit 1; }
echo "installing ${missing[*]} ..." >&2
log=$(mktemp)
# policy-rc.d keeps Debian from starting the etcd service: the tests start their own.
if ! { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 3 "$log" >&2
  echo "berth: could not install ${missing[*]} (log: $log)" >&2
  exit 1
fi
rm -f "$log"
