#!/bin/sh
# Brings a copied data folder to a consistent state, on its own volume, before anything uses it.
# The server runs beside the shell, reachable by nobody, and is stopped once it has reached its
# target: whoever starts the volume afterwards finds a database that was shut down cleanly.
set -eu
export LC_ALL=C
volume=/postbase/data
pgdata=$volume/pgdata

exec 9>"$volume/postbase.lock"
if ! flock -n 9; then
  echo "recover.sh: VolumeInUse: another PostgreSQL runs on this volume" >&2
  exit 75
fi
state() { pg_controldata -D "$pgdata" | sed -n "s/^$1: *//p"; }

chmod 0700 "$pgdata"
if [ "$(cat "$pgdata/PG_VERSION")" != "$(postgres -V | sed 's/^[^0-9]*\([0-9][0-9]*\).*/\1/')" ]; then
  echo "recover.sh: VersionMismatch: data of major $(cat "$pgdata/PG_VERSION"), $(postgres -V)" >&2
  exit 65
fi
if [ -e "$pgdata/recovery.signal" ] || [ "$(state 'Database cluster state')" != "shut down" ]; then
  echo "local all all reject" >/tmp/pg_hba.conf
  # hot_standby off: a copy may need more connections than a small server has room for.
  postgres -D "$pgdata" \
    -c listen_addresses= -c unix_socket_directories=/tmp -c ssl=off -c hot_standby=off \
    -c shared_buffers=32MB -c huge_pages=off -c archive_mode=off -c shared_preload_libraries= \
    -c hba_file=/tmp/pg_hba.conf -c synchronous_standby_names= \
    -c recovery_target=immediate -c recovery_target_action=promote \
    -c restore_command='exit 1' &
  server=$!
  # "in production" is also what a copy says that nobody has touched yet.
  until [ ! -e "$pgdata/recovery.signal" ] && [ "$(state 'Database cluster state')" = "in production" ]; do
    kill -0 "$server" 2>/dev/null || { wait "$server"; exit 1; }
    sleep 0.2
  done
  pg_ctl stop -D "$pgdata" --mode=fast --silent --timeout=3600
fi
printf '{"version": 1, "systemId": "%s", "timeline": %s, "lsn": "%s"}' \
  "$(state 'Database system identifier')" \
  "$(state "Latest checkpoint's TimeLineID")" \
  "$(state 'Latest checkpoint location')" >/dev/termination-log
