#!/usr/bin/env bash
# Makes the Python environment DIR from the hash-pinned REQUIREMENTS. Runs before any of our
# Python can: hence a shell script. `.done` comes last: a killed run starts over, a lock keeps
# two clones from building the same one.
set -euo pipefail
dir=$1 requirements=$2
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
[ -e "$dir/.done" ] && exit 0
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  echo "python3 has no venv module: installing python3-venv"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
fi
echo "Python environment: $dir (usually half a minute, once per change of $requirements)"
rm -rf "$dir"
python3 -m venv "$dir"
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$requirements"
touch "$dir/.done"
