#!/bin/sh
# Brings a copied data folder to its target, on its own volume, before anything uses it: to a
# consistent state; or, where POSTBASE_TIMELINE is set, on along the archive's log, which the
# sidecar fetches. The server runs beside the shell, reachable by nobody, and is stopped once it has
# reached its target: whoever starts the volume afterwards finds a database that was shut down
# cleanly.
set -eu
export LC_ALL=C
volume=/postbase/data
pgdata=$volume/pgdata
config=/postbase/config
run=/postbase/run
word=/dev/termination-log
slot=postbase_walrx

exec 9>"$volume/postbase.lock"
if ! flock -n 9; then
  echo "recover.sh: VolumeInUse: another PostgreSQL runs on this volume" >&2
  exit 75
fi
# Of an attempt that was killed. The lock says that its server is gone; a number of a process says
# nothing here, where another one may bear it by now, and PostgreSQL would not start beside it.
rm -f "$pgdata/postmaster.pid"
state() { pg_controldata -D "$pgdata" | sed -n "s/^$1: *//p"; }
larger() { # the larger one of what the copy has had and what is wanted of it
  had=$(state "$1 setting")
  if [ "${had:-0}" -gt "${2:-0}" ]; then echo "$had"; else echo "$2"; fi
}
has_ended() { # "in production" is also what a copy says that nobody has touched yet
  [ ! -e "$pgdata/recovery.signal" ] && [ "$(state 'Database cluster state')" = "in production" ]
}
give_up() {
  [ ! -e "$run/failed" ] || cat "$run/failed" >"$word"
  exit 1
}

start() { # the server, with the target in "$@"; its log goes to our own and into a file
  : >/tmp/recovery.log
  rm -f /tmp/log
  mkfifo /tmp/log
  tee /tmp/recovery.log </tmp/log >&2 &
  # hot_standby off: a copy may need more connections than a small server has room for.
  postgres -D "$pgdata" \
    -c listen_addresses= -c unix_socket_directories=/tmp -c ssl=off -c hot_standby=off \
    -c shared_buffers=64MB -c huge_pages=off -c archive_mode=off -c shared_preload_libraries= \
    -c hba_file=/tmp/pg_hba.conf -c synchronous_standby_names= \
    -c max_connections="$(larger max_connections "${POSTBASE_MAX_CONNECTIONS:-100}")" \
    -c max_worker_processes="$(larger max_worker_processes "${POSTBASE_MAX_WORKER_PROCESSES:-8}")" \
    -c max_wal_senders="$(larger max_wal_senders "${POSTBASE_MAX_WAL_SENDERS:-10}")" \
    -c max_prepared_transactions="$(larger max_prepared_xacts "${POSTBASE_MAX_PREPARED_TRANSACTIONS:-0}")" \
    -c max_locks_per_transaction="$(larger max_locks_per_xact "${POSTBASE_MAX_LOCKS_PER_TRANSACTION:-64}")" \
    -c track_commit_timestamp="$track" -c timezone=UTC -c log_timezone=UTC \
    -c lc_messages=C -c logging_collector=off -c log_destination=stderr -c log_min_messages=info \
    -c recovery_target_action=promote "$@" >/tmp/log 2>&1 &
  server=$!
}
# The server that serves promises to keep its log before it has had a client. Its receiver comes with
# the first client or minutes after; without this promise two checkpoints would take away what it has
# not seen. And the operator and the receiver come in by roles that data lacks which was made elsewhere
# (on Railway). Nobody can connect here, so it is said by the one process that a server can be; each
# line is a statement to it.
role() {
  echo "DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ''$1'')" \
    "THEN CREATE ROLE $1 LOGIN $2; END IF; END'"
}
make_fit() {
  role postbase_admin SUPERUSER
  role "$slot" REPLICATION
  missing="NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = '$slot')"
  echo "SELECT pg_catalog.pg_create_physical_replication_slot('$slot', true) WHERE $missing"
}
keep_log() {
  make_fit |
    postgres --single -D "$pgdata" -c ssl=off -c shared_buffers=16MB -c huge_pages=off -c exit_on_error=true \
      -c archive_mode=off -c shared_preload_libraries= -c track_commit_timestamp="$track" \
      -c logging_collector=off -c log_destination=stderr -c lc_messages=C postgres \
      >/tmp/slot.log 2>&1 || true
  [ "$(state 'Database cluster state')" = "shut down" ] && [ -d "$pgdata/pg_replslot/$slot" ] ||
    { cat /tmp/slot.log >&2 && exit 1; }
}
wait_for_end() { # 0 once it has reached its target; else the server has ended
  until has_ended; do
    kill -0 "$server" 2>/dev/null || return 1
    sleep 0.1
  done
}

chmod 0700 "$pgdata"
if [ "$(cat "$pgdata/PG_VERSION")" != "$(postgres -V | sed 's/^[^0-9]*\([0-9][0-9]*\).*/\1/')" ]; then
  echo "recover.sh: VersionMismatch: data of major $(cat "$pgdata/PG_VERSION"), $(postgres -V)" >&2
  exit 65
fi
# What is not tracked at the end of a recovery is thrown away there.
track=${POSTBASE_TRACK_COMMIT_TIMESTAMP:-off}
if [ "$(state 'track_commit_timestamp setting')" = on ]; then track=on; fi
said=
if [ -e "$pgdata/recovery.signal" ] || [ "$(state 'Database cluster state')" != "shut down" ]; then
  echo "local all all reject" >/tmp/pg_hba.conf
  if [ -n "${POSTBASE_TIMELINE:-}" ]; then
    until [ -d "$run/stored" ]; do # the last folder that the sidecar makes
      [ ! -e "$run/failed" ] || give_up
      sleep 0.1
    done
    set -- -c recovery_target_timeline="$POSTBASE_TIMELINE" \
      -c restore_command="/bin/sh $config/restore.sh %f %p"
  else
    set -- -c recovery_target=immediate -c restore_command='exit 1'
  fi
  if [ -n "${POSTBASE_STOP_AT:-}" ]; then
    start "$@" -c recovery_target_time="$POSTBASE_STOP_AT" -c recovery_target_inclusive=on
  else
    start "$@"
  fi
  if ! wait_for_end; then
    wait "$server" || true
    # The log that was pinned has no commit after the target: then all of it is what was asked for.
    if ! grep -q 'recovery ended before configured recovery target was reached' /tmp/recovery.log; then
      give_up
    fi
    start "$@"
    wait_for_end || give_up
  fi
  pg_ctl stop -D "$pgdata" --mode=fast --silent --timeout=3600
  wait "$server" || true
  said=$(sed -n 's/.*last completed transaction was at log time //p' /tmp/recovery.log | tail -n 1)
fi
keep_log
timeline=$(state "Latest checkpoint's TimeLineID")
if [ -n "${POSTBASE_TIMELINE:-}" ]; then
  # The archive learns of the new timeline before anybody else does.
  history=$(printf '%08X.history' "$timeline")
  cp "$pgdata/pg_wal/$history" "$run/$history.part"
  mv "$run/$history.part" "$run/new/$history"
  until [ -e "$run/stored/$history" ]; do
    [ ! -e "$run/failed" ] || give_up
    sleep 0.1
  done
fi
printf '{"version": 1, "systemId": "%s", "timeline": %s, "lsn": "%s", "lastCommit": "%s"}' \
  "$(state 'Database system identifier')" "$timeline" \
  "$(state 'Latest checkpoint location')" "$said" >"$word"
