#!/usr/bin/env bash
# An engine with networks of its own for tests/containers, beside the one that tests/postgres/docker/engine.sh starts:
#
#   eval "$(tests/postgres/docker/engine.sh start)"
#   eval "$(tests/containers/engine.sh start)"     # says why not, and leaves nothing behind, if it can't be
#   pytest tests/containers
#   tests/containers/engine.sh stop
#
# The first one has no bridges, so as to leave this machine's network alone, and builds the images. This one is in a
# network namespace of its own, where it may make bridges and firewall rules as it likes, and reaches nothing outside.
# What is published there is reached from there: CONTAINERS_ENTER is the command to go in. CONTAINERS_OUTSIDE goes to what
# stands for the internet, at 198.51.100.2.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
folder=""
exec 9>&2

say() { echo "container tests: $*" >&9; }
refuse() {
  say "skipped, as $*"
  exit 1
}

start() {
  [ -n "${DOCKER_ENGINE_FOLDER:-}" ] || refuse "there is no engine of tests/postgres/docker/engine.sh to build with"
  unshare --net true 2>/dev/null || refuse "this machine gives no network namespaces"
  command -v iptables >/dev/null || refuse "there is no iptables"
  folder=$(mktemp -d /var/tmp/gl-ct-XXXXXX)
  trap 'stop' EXIT
  trap 'refuse "it took too long"' INT TERM HUP
  # While the images are built, which takes a while.
  engine || refuse "the engine doesn't start: $(tail -n 2 "$folder/log")"
  images >"$folder/build.log" 2>&1 || refuse "the images can't be made: $(tail -n 3 "$folder/build.log")"
  docker save gatelodge-{filesystem,postgres-server,github,websearch,setup}:test gatelodge-stand-in-{valkey,caddy,postgres} \
    | docker --host "unix://$folder/socket" load >"$folder/load.log" 2>&1 || refuse "the images can't be moved"
  trap - EXIT INT TERM HUP
  echo "export CONTAINERS_HOST='unix://$folder/socket' CONTAINERS_FOLDER='$folder'" \
    "CONTAINERS_ENTER='nsenter --net=/proc/$(inside)/ns/net' CONTAINERS_OUTSIDE='nsenter --net=/proc/$(outside)/ns/net'"
}

images() {
  local context=$folder/context build=(docker build --quiet --network host --build-arg http_proxy --build-arg https_proxy) name
  export DOCKER_BUILDKIT=0
  mkdir "$context"
  cp "$here"/images/* "$context"
  cp "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" "$context/ca-certificates.crt"
  for name in python valkey caddy postgres; do
    "${build[@]}" --target "$name" --tag "gatelodge-stand-in-$name" "$context" || return
  done
  build+=(--file "$root/docker/Dockerfile" --build-arg PYTHON_IMAGE=gatelodge-stand-in-python)
  for name in filesystem github websearch; do
    "${build[@]}" --build-arg "SERVER=$name" --tag "gatelodge-$name:test" "$root" || return
  done
  "${build[@]}" --build-arg SERVER=postgres --tag gatelodge-postgres-server:test "$root" || return
  "${build[@]}" --build-arg SERVER=postgres --target setup --tag gatelodge-setup:test "$root"
}

engine() {
  # What stands for the internet, behind the engine's machine: another namespace, which nobody but it has a way to.
  setsid unshare --mount --pid --net --fork --mount-proc --kill-child=TERM sh -ec '
    ip link set lo up
    ip link add inner type veth peer name outer
    ip address add 198.51.100.1/24 dev inner
    ip link set inner up
    unshare --net sh -ec "ip link set lo up; exec sleep infinity" &
    while [ "$(readlink /proc/$!/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
    ip link set outer netns $!
    nsenter --net=/proc/$!/ns/net sh -ec "ip address add 198.51.100.2/24 dev outer; ip link set outer up"
    exec "$@"' sh dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" \
    --host "unix://$folder/socket" </dev/null >"$folder/log" 2>&1 9>&- &
  echo $! >"$folder/pid"
  for _ in $(seq 150); do
    ! docker --host "unix://$folder/socket" info >/dev/null 2>&1 || return 0
    [ -e "/proc/$(cat "$folder/pid")" ] || return 1
    sleep 0.2
  done
  return 1
}

# The engine itself, by its number out here.
inside() {
  local child
  child=$(cat "/proc/$(cat "$folder/pid")/task/$(cat "$folder/pid")/children")
  echo "${child%% *}"
}

# What waits in the namespace that stands for the internet.
outside() {
  local child
  for child in $(cat "/proc/$(inside)/task/$(inside)/children"); do
    [ "$(cat "/proc/$child/comm")" != sleep ] || echo "$child"
  done
}

stop() {
  trap - EXIT INT TERM HUP
  [ -n "$folder" ] && [ -d "$folder" ] || return 0
  local pid child=""
  pid=$(cat "$folder/pid" 2>/dev/null || true)
  if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = unshare ]; then
    child=$(inside 2>/dev/null || true)
    # Its end ends the engine, which is the first process of its namespace, and so all others in there.
    kill -KILL "$pid" || true
    for _ in $(seq 100); do
      [ -n "$child" ] && [ -e "/proc/$child" ] || break
      sleep 0.2
    done
    [ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true
  fi
  rm -rf --one-file-system "$folder" 2>/dev/null || { sleep 1; rm -rf --one-file-system "$folder"; }
}

case "${1:-}" in
  start) start ;;
  stop)
    folder=${CONTAINERS_FOLDER:-}
    stop
    ;;
  *)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
