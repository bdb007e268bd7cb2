"""What goes wrong while a Database on Railway begins with an archive: told, tried again, or taken
away; nothing begins empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from component.railway_operator import Operator, said, volumes
from component.railway_receivers import Site
from component.railway_restores import (
    Parts,
    archiving,
    backed_up,
    copy_of,
    latest_of,
    ours,
    patience,
    railway,
    site,
    written,
)
from component.store_server import store_of
from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.archive.record import BackupRecord

__all__ = ["ours", "patience", "railway", "site"]
pytestmark = pytest.mark.timeout(2400)


async def archive(
    ours: Operator, site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Database, Backup]:
    source = await archiving(ours)
    backup = await backed_up(ours, site, source, folder, monkeypatch)
    await written(ours, site, source, "t")
    return source, backup


async def test_damage_is_told_and_nothing_is_begun(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, backup = await archive(ours, site, tmp_path / "pod", monkeypatch)
    store, key = store_of(site.store), str(backup.status.object_key)
    record = BackupRecord.from_bytes(store.get(str(record_key(backup))))
    piece = next(each.key for each in record.objects if each.key.startswith("pieces/"))
    data = store.get(f"{key}{piece}")
    store.put(f"{key}{piece}", data[:-9] + bytes(9), if_absent=False)
    copy = copy_of(bootstrap=latest_of(source))
    copy = await ours.until(copy, lambda each: said(each)[1] == "ChecksumMismatch")
    assert said(copy)[0] == "False"
    assert len(Parts(site, copy).deployments) == 1  # another attempt would find the same
    assert Parts(site, copy).proxies == []
    assert copy.metadata.uid not in ours.ring.fronts  # no Secret leads to it


def record_key(backup: Backup) -> str:
    return f"{backup.status.object_key}backup.json"


async def test_a_run_that_dies_is_made_again(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = await archive(ours, site, tmp_path / "pod", monkeypatch)
    copy = copy_of(bootstrap=latest_of(source))
    parts = Parts(site, copy)
    copy = await ours.until(copy, lambda _: bool(parts.services))
    site.double.crash_next(parts.services[0].service_id)
    copy = await ours.ready(copy)
    assert ours.sql(copy, "SELECT count(*) FROM t", app=True) == [(2000,)]
    images = [each.image for each in parts.deployments]
    assert sum(image.startswith(site.double.settings.operator_image) for image in images) == 2


@pytest.mark.trap("volume-outlives-service")
async def test_deleted_before_it_is_whole_nothing_stays(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = await archive(ours, site, tmp_path / "pod", monkeypatch)
    copy = copy_of(bootstrap=latest_of(source), deletionPolicy="Retain")
    parts = Parts(site, copy)
    copy = await ours.until(copy, lambda _: bool(parts.services) and bool(parts.volumes))
    assert len(volumes(site.double, site.place)) == 2
    await ours.gone(copy)
    assert parts.services == []
    assert len(volumes(site.double, site.place)) == 1  # the source's
    assert copy.metadata.uid not in ours.ring.opens
