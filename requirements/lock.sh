#!/usr/bin/env bash
# Resolves pyproject.toml into hash-pinned files without addresses: runtime.txt for the image,
# dev.txt for checks and tests.
set -euo pipefail
uv=$1/uv
[ -x "$uv/bin/uv" ] || { python3 -m venv "$uv" && "$uv/bin/pip" install --quiet 'uv>=0.13,<0.14'; }
compile() {
  "$uv/bin/uv" pip compile pyproject.toml --quiet --upgrade --generate-hashes --no-header --no-emit-index-url \
    --no-emit-find-links --python-version 3.11 "$@"
}
compile -o requirements/runtime.txt
compile --group dev -o requirements/dev.txt
