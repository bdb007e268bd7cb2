"""Our own Jobs as a process of their own, for the benchmark: `python -m bench.our_job PART …`."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path

from component.job_runs import run_of
from postbase_operator.archive.run import BackupRun, FillRun
from postbase_operator.jobs import fill, physical
from postbase_operator.jobs.logical import LogicalBackup
from postbase_operator.jobs.prefetch import Prefetch
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.client import Replication


def task(method: str, system_id: str, id: str, source_bytes: int) -> BackupRun:
    made = run_of(method, system_id)
    server = made.server.model_copy(update={"source_bytes": source_bytes})
    return made.model_copy(update={"id": id, "server": server})


def main() -> None:
    part, source = sys.argv[1:]
    config = StoreConfig(**json.loads(os.environ["BENCH_STORE"]))
    store = S3Store(lambda: config)
    if part in ("fill", "prefetch"):
        given = FillRun.from_bytes(os.environ["BENCH_TASK"].encode())
        if part == "fill":
            fill.make(given, store, Path(source))
        else:
            Prefetch(given, store, Path(source)).serve()
        return
    told = json.loads(os.environ["BENCH_TASK"])
    run = task(part, told["system_id"], told["id"], told["source_bytes"])
    if part == "Physical":
        physical.make(run, store, partial(Replication.connect, source))
    else:
        LogicalBackup(run, store, Path(source)).make()


if __name__ == "__main__":
    main()
