#!/bin/sh
# Makes the database of a new volume, once, and only where the operator says that it is new.
# A kill in the middle leaves pgdata.tmp, which the next run throws away; the rename is the end.
set -eu
export LC_ALL=C
volume=/postbase/data
pgdata=$volume/pgdata
config=/postbase/config

if ! command -v initdb >/dev/null; then
  echo "initdb.sh: this image has no PostgreSQL in its PATH" >&2
  exit 127
fi
exec 9>"$volume/postbase.lock"
if ! flock -n 9; then
  echo "initdb.sh: VolumeInUse: another PostgreSQL runs on this volume; it is left alone" >&2
  exit 75
fi
if [ -e "$pgdata" ]; then
  exit 0 # start.sh judges what is there
fi
if [ "$(cat "$config/expected-system-id")" != new ]; then
  echo "initdb.sh: DataMissing: this volume should hold a database and holds none" >&2
  exit 64
fi

rm -rf "$pgdata.tmp"
major=$(postgres -V | sed 's/^[^0-9]*\([0-9][0-9]*\).*/\1/')
set --
while read -r lowest highest argument; do
  if [ "$major" -ge "$lowest" ] && [ "$major" -le "$highest" ]; then
    set -- "$@" "$argument"
  fi
done <"$config/initdb-arguments"
initdb --pgdata="$pgdata.tmp" --username=postgres --no-instructions --no-sync "$@"
# The operator comes in by certificate as postbase_admin, the receiver as postbase_walrx: made
# here, before the server is ever reachable, so that no password for a superuser need exist.
postgres --single -D "$pgdata.tmp" -c listen_addresses= -c huge_pages=off -c exit_on_error=true postgres \
  <"$config/bootstrap.sql" >/dev/null
# This volume alone where `sync` can: the whole node's disks may take minutes.
sync -f "$volume" 2>/dev/null || sync
mv "$pgdata.tmp" "$pgdata"
sync -f "$volume" 2>/dev/null || sync
