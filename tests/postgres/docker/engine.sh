#!/usr/bin/env bash
# A Docker engine for the tests marked docker, for root on Debian where no engine answers, and without a registry:
#
#   eval "$(tests/postgres/docker/engine.sh start)"    # says why not, and leaves nothing behind, if it can't be
#   pytest -m docker
#   tests/postgres/docker/engine.sh stop
#
# It has no bridge and writes no firewall rules: the machine's network stays as it is. Its processes and mounts are in
# namespaces of its own, so that all of them end with it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=gatelodge-postgres:17
folder=""
# Where a signal finds it, standard error may be a log.
exec 9>&2

say() { echo "docker tests: $*" >&9; }
refuse() {
  say "skipped, as $*"
  exit 1
}

start() {
  if docker info >/dev/null 2>&1; then
    say "an engine answers already"
    return
  fi
  [ "$(id -u)" = 0 ] || refuse "to start an engine one must be root"
  VERSION_CODENAME="" ID=""
  # shellcheck disable=SC1091
  . /etc/os-release 2>/dev/null || true
  [ "$ID" = debian ] || refuse "its parts are packages of Debian"
  unshare --mount --pid --fork --mount-proc true 2>/dev/null || refuse "this machine gives no namespaces"
  command -v dockerd >/dev/null && command -v debootstrap >/dev/null || packages >&2 || refuse "docker.io can't be installed"
  # Not in /tmp, which may be memory. The path is short, since sockets are in it.
  folder=$(mktemp -d /var/tmp/gl-dk-XXXXXX)
  trap 'stop' EXIT
  trap 'refuse "it took too long"' INT TERM HUP
  export DOCKER_HOST=unix://$folder/socket DOCKER_CONFIG=$folder/config
  engine || refuse "the engine doesn't start: $(tail -n 2 "$folder/log")"
  base >"$folder/base.log" 2>&1 || refuse "the base image can't be made: $(tail -n 3 "$folder/base.log")"
  # The classic builder: BuildKit's part of the client is in a package of its own.
  DOCKER_BUILDKIT=0 docker build --quiet --network host --build-arg DEBIAN_IMAGE=gatelodge-trixie --build-arg http_proxy \
    --build-arg https_proxy --tag "$image" "$here" >"$folder/build.log" 2>&1 \
    || refuse "PostgreSQL's image can't be made: $(tail -n 3 "$folder/build.log")"
  # Whether containers run at all.
  docker run --rm --network host --entrypoint postgres "$image" --version >&2 || refuse "no container runs"
  trap - EXIT INT TERM HUP
  echo "export DOCKER_HOST='$DOCKER_HOST' DOCKER_CONFIG='$DOCKER_CONFIG' DOCKER_ENGINE_FOLDER='$folder'"
}

packages() {
  local policy=/usr/sbin/policy-rc.d ours="" names=(docker.io debootstrap) status=0
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || return
  # Newer packages have the client apart.
  ! apt-cache show docker-cli >/dev/null 2>&1 || names+=(docker-cli)
  # The package's own engine would make a bridge and firewall rules.
  [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && ours=$policy; }
  apt-get install -y -qq --no-install-recommends "${names[@]}" >/dev/null || status=$?
  [ -z "$ours" ] || rm -f "$ours"
  return "$status"
}

engine() {
  mkdir -p "$folder/config/cli-plugins"
  setsid unshare --mount --pid --fork --mount-proc --kill-child=TERM dockerd --data-root "$folder/data" \
    --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" --host "$DOCKER_HOST" --bridge=none --iptables=false \
    --ip6tables=false --ip-forward=false --ip-masq=false </dev/null >"$folder/log" 2>&1 9>&- &
  echo $! >"$folder/pid"
  for _ in $(seq 150); do
    ! docker info >/dev/null 2>&1 || return 0
    [ -e "/proc/$(cat "$folder/pid")" ] || return 1
    sleep 0.2
  done
  return 1
}

mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' "Codename: $VERSION_CODENAME" 'Component: main' | sed -n 1p
}

base() {
  local mirror root=$folder/root
  mirror=$(mirror)
  [ -n "$mirror" ] || { apt-get update -qq && mirror=$(mirror); }
  [ -n "$mirror" ] || { echo "apt knows no mirror of Debian"; return 1; }
  mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/force-unsafe-io"
  nice unshare --mount debootstrap --variant=minbase trixie "$root" "$mirror" || return
  # Compose, in the version that this Debian has: the machine's own may have none.
  chroot "$root" sh -ec 'apt-get update -qq; cd /tmp; apt-get download -qq docker-compose' || return
  dpkg -x "$root"/tmp/docker-compose_*.deb "$folder/compose" || return
  cp "$folder"/compose/usr/libexec/docker/cli-plugins/docker-compose "$DOCKER_CONFIG/cli-plugins/" || return
  docker compose version || return
  rm -rf "$root"/tmp/* "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  tar --one-file-system -C "$root" -c . | docker import - gatelodge-trixie || return
  rm -rf --one-file-system "$root" "$folder/compose"
}

stop() {
  trap - EXIT INT TERM HUP
  [ -n "$folder" ] && [ -d "$folder" ] || return 0
  local pid child=""
  pid=$(cat "$folder/pid" 2>/dev/null || true)
  if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = unshare ]; then
    child=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)
    child=${child%% *}
    # Its end ends the engine, which is the first process of its namespace, and so all others in there.
    kill -KILL "$pid" || true
    for _ in $(seq 100); do
      [ -n "$child" ] && [ -e "/proc/$child" ] || break
      sleep 0.2
    done
    [ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true
  fi
  rm -rf --one-file-system "$folder" 2>/dev/null || { sleep 1; rm -rf --one-file-system "$folder"; }
  # Empty ones alone: what another engine is in stays.
  find /sys/fs/cgroup -maxdepth 3 -depth -path '*/docker' -exec rmdir {} + 2>/dev/null || true
  rmdir /run/containerd/s /run/containerd /run/docker/plugins /run/docker 2>/dev/null || true
}

case "${1:-}" in
  start) start ;;
  stop)
    folder=${DOCKER_ENGINE_FOLDER:-}
    stop
    ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
