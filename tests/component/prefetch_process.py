"""A recovery's sidecar as a process of its own, to be killed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from component.store_server import store_of
from postbase_operator.archive.run import FillRun
from postbase_operator.jobs.prefetch import Prefetch
from postbase_operator.objectstore.settings import StoreConfig

RUN, STORE = "TEST_RUN", "TEST_STORE"

if __name__ == "__main__":
    run = FillRun.from_bytes(os.environ[RUN].encode())
    store = store_of(StoreConfig(**json.loads(os.environ[STORE])))
    Prefetch(run, store, Path(sys.argv[1])).serve()
