#!/bin/sh
# PostgreSQL's restore_command: hands it the file $1 of the log as $2. The sidecar has fetched it
# already, as a rule. Any image has what is needed here.
# Exit codes: 0 here it is; 1 there is none, which ends the recovery and promotes: said only where
# the sidecar has proven it; 255 PostgreSQL is to give up. Whatever else ends this is 255 too: any
# code up to 125 would be taken for "there is none".
run=/postbase/run
name=$1
answer=255
trap 'exit "$answer"' EXIT
while :; do
  if [ -f "$run/have/$name" ]; then
    cp "$run/have/$name" "$2" || exit
    rm -f "$run/ask/$name" "$run/have/$name"
    answer=0
    exit
  fi
  if [ -e "$run/failed" ]; then
    exit
  fi
  if [ -e "$run/none/$name" ]; then
    rm -f "$run/ask/$name" "$run/none/$name"
    answer=1
    exit
  fi
  # Not by `: >`: a shell ends at once where that fails, as it does before the sidecar has begun.
  [ ! -d "$run/ask" ] || [ -e "$run/ask/$name" ] || touch "$run/ask/$name"
  sleep 0.02
done
