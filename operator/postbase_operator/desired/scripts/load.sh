#!/bin/sh
# Restores a dump that comes through pipes, by pg_restore of the database's own image and as a role
# that is no superuser. What it is given, and in which order, our own program decides: each program
# below waits for its pipe. Each pipe has a status beside it, as in dump.sh.
set -u
export LC_ALL=C
work=/postbase/run

say() { echo "$2" >"$work/$1.tmp" && mv "$work/$1.tmp" "$work/$1.status"; }

# This container starts again when it ends: what it has done once is not done twice.
if mkdir "$work/begun" 2>/dev/null; then
  pg_restore --list --create <"$work/stored" >"$work/contents"
  say stored $?
  pg_restore --create --use-list="$work/head.list" --file="$work/head.sql" <"$work/head"
  say head $?
  for each in schemas rest; do
    pg_restore --dbname="$PGDATABASE" --no-tablespaces --no-subscriptions --use-list="$work/$each.list" \
      <"$work/$each" 2>"$work/$each.said"
    say "$each" $?
  done
else
  for each in stored head schemas rest; do [ -f "$work/$each.status" ] || say "$each" interrupted; done
fi
# Its program ends the pod; as process 1 a shell dies of no signal that it does not ask for.
trap 'exit 0' TERM
cat "$work/end" &
wait $!
