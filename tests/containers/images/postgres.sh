#!/bin/sh
# The official image's way, as far as compose.yaml goes it: a cluster at the first start, then the scripts that are mounted.
set -eu
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  initdb -D "$PGDATA" -U postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses='' -c unix_socket_directories=/tmp" >/dev/null
  PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  export PGPASSWORD
  createdb -h /tmp -U postgres "$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*.sql; do
    psql -h /tmp -U postgres -v ON_ERROR_STOP=1 -q -d "$POSTGRES_DB" -f "$script"
  done
  unset PGPASSWORD
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
fi
exec "$@" -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
