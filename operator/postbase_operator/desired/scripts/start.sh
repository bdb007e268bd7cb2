#!/bin/sh
# Starts PostgreSQL on a volume, everywhere the same way: database, recovery, drill.
# Exit codes: 64 the data is missing or not ours, 65 other major version, 66 settings refused,
# 75 volume in use.
set -eu
export LC_ALL=C
volume=/postbase/data
pgdata=$volume/pgdata
config=/postbase/config
word=/dev/termination-log

# Two postmasters on one volume are possible otherwise: each is PID 1 in namespaces of its own, so
# postmaster.pid protects nothing, and ReadWriteOnce lets two pods of one node in. The lock is
# inherited by postgres and its children and goes with the last of them.
exec 9>"$volume/postbase.lock"
if ! flock -n 9; then
  echo "start.sh: VolumeInUse: another PostgreSQL runs on this volume; it is left alone" >&2
  exit 75
fi

if [ ! -s "$pgdata/PG_VERSION" ] || [ ! -f "$pgdata/global/pg_control" ]; then
  echo "start.sh: DataMissing: no database in $pgdata, and none is made here" >&2
  exit 64
fi
wanted=$(postgres -V | sed 's/^[^0-9]*\([0-9][0-9]*\).*/\1/')
if [ "$(cat "$pgdata/PG_VERSION")" != "$wanted" ]; then
  echo "start.sh: VersionMismatch: data of major $(cat "$pgdata/PG_VERSION"), image of $wanted" >&2
  exit 65
fi
expected=$(cat "$config/expected-system-id")
found=$(pg_controldata -D "$pgdata" | sed -n 's/^Database system identifier: *//p')
if [ "$expected" != new ] && [ "$expected" != "$found" ]; then
  echo "start.sh: DataMissing: expected system id $expected, this volume holds $found" >&2
  exit 64
fi

# The kubelet opens a volume with fsGroup to its group at each mount; PostgreSQL refuses that.
chmod 0700 "$pgdata"
if [ "$wanted" -ge 17 ]; then
  set -- -c allow_alter_system=off "$@" # what the file says must be what runs
fi

# A typo in a parameter must not keep the database down when its node is drained: settings that
# PostgreSQL refuses are left aside for the last that it took. The operator tells, and mends.
settings=$config/postgresql.conf
good=$volume/postgresql.conf.good
refused=/tmp/refused-settings
if postgres -D "$pgdata" -c config_file="$settings" -C data_directory >/dev/null 2>"$refused"; then
  { cp "$settings" "$good.tmp" && mv "$good.tmp" "$good"; } || # a full volume must still start
    echo "start.sh: no copy of the settings could be kept" >&2
else
  cat "$refused" >&2
  said=$(sed -n 's/.*LOG:  *//p' "$refused" | tr '\n' ';')
  echo "start.sh: ParametersRejected: $said revision $(cat "$config/revision")" >&2
  [ -f "$good" ] || exit 66
  settings=$volume/postgresql.conf.running
  cp "$good" "$settings" || settings=$good
fi

# Since PostgreSQL 15 a postmaster whose checkpointer fails at the end of a recovery begins that
# anew, many times a second and for ever; a volume without room for one more file does it. It never
# ends, so that nobody outside is told why: this ends it at the fourth. A recovery that only takes
# long has the same processes all the while. Without that list of the kernel's nothing is done.
watch_recoveries() {
  trap 'exit 0' EXIT # a child that ends with more than 1 (no fork: 2) is a crash to PostgreSQL
  self=$(exec sh -c 'echo $PPID')
  seen= turns=0
  while sleep 5; do
    # In the order in which they were begun: this one, then the oldest of PostgreSQL's own.
    set -- $(cat "/proc/$postmaster/task/$postmaster/children")
    [ "${1:-}" = "$self" ] || return 0 # it has gone without us
    if [ "${2:-none}" != "$seen" ]; then turns=$((turns + 1)) && seen=${2:-none}; fi
    if [ "$turns" -gt 0 ] && pg_isready --quiet; then turns=0; fi
    if [ "$turns" -ge 4 ]; then
      # Ended in the midst of a recovery it may exit with 0, for which no line of a log is told.
      room=$(cp "$config/revision" "$volume/room" 2>&1 && rm "$volume/room") || true
      said="start.sh: PANIC:  a recovery began anew for ever, and was ended. $room"
      echo "$said" | tee "$word" >&2 || true
      kill -QUIT "$postmaster"
      return 0
    fi
  done
}
postmaster=$$
(exec 9>&- && watch_recoveries) & # a redirection of the function alone leaves the lock open
exec postgres -D "$pgdata" -c config_file="$settings" "$@"
