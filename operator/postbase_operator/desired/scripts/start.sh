#!/bin/sh
# Starts PostgreSQL on a volume, everywhere the same way: database, recovery, drill.
# Exit codes: 64 the data is missing or not ours, 65 other major version, 66 settings refused,
# 75 volume in use.
set -eu
export LC_ALL=C
volume=/postbase/data
pgdata=$volume/pgdata
config=/postbase/config

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
exec postgres -D "$pgdata" -c config_file="$settings" "$@"
