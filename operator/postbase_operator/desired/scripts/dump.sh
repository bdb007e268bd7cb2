#!/bin/sh
# Dumps a database into pipes that our own program reads, by the programs of the database's own
# image: a dump of a newer pg_dump cannot be restored by an older server.
# Each pipe has a status beside it: the end of a pipe alone does not tell a whole dump from half one.
set -u
export LC_ALL=C
work=/postbase/run

say() { echo "$2" >"$work/$1.tmp" && mv "$work/$1.tmp" "$work/$1.status"; }

# This container starts again when it ends: what it has done once is not done twice.
if mkdir "$work/begun" 2>/dev/null; then
  pg_dumpall --globals-only --no-role-passwords --database=postgres >"$work/globals"
  say globals $?
  pg_dump --format=custom --compress=0 --lock-wait-timeout=300000 >"$work/dump"
  say dump $?
  # From its standard input: by name it opens the file twice, and a pipe is read but once.
  pg_restore --list <"$work/stored" >/dev/null
  say stored $?
else
  for each in globals dump stored; do [ -f "$work/$each.status" ] || say "$each" interrupted; done
fi
# Its program ends the pod; as process 1 a shell dies of no signal that it does not ask for.
trap 'exit 0' TERM
cat "$work/end" &
wait $!
