#!/bin/sh
# PostgreSQL's restore_command: hands it the file $1 of the log as $2. The sidecar has fetched it
# already, as a rule. Any image has what is needed here.
# Exit codes: 0 here it is; 1 there is none, which ends the recovery and promotes: said only where
# the sidecar has proven it; 255 PostgreSQL is to give up.
run=/postbase/run
name=$1
while :; do
  if [ -f "$run/have/$name" ]; then
    cp "$run/have/$name" "$2" || exit 255
    rm -f "$run/ask/$name" "$run/have/$name"
    exit 0
  fi
  if [ -e "$run/failed" ]; then
    exit 255
  fi
  if [ -e "$run/none/$name" ]; then
    rm -f "$run/ask/$name" "$run/none/$name"
    exit 1
  fi
  [ -e "$run/ask/$name" ] || : >"$run/ask/$name" # fails while the sidecar has not begun
  sleep 0.02
done
