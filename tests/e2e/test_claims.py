"""The marks of a volume that are edited by hand: put back where they follow from something else,
told where they are the truth itself.

The volume says whose data it holds and which one serves, because a status can be lost. Nobody may
overrule it then: such an edit is told with its remedy, and PostgreSQL serves on meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from e2e.children import database, ours
from e2e.cluster import Body, eventually, promised
from e2e.database import Db
from postbase_operator.desired import names, volume
from postbase_operator.kube.apply import body_of

pytestmark = pytest.mark.timeout(900)

MENDED_WITHIN = 5
LABELS = sorted(body_of(volume.claim(database("main"), 1, "current"))["metadata"]["labels"])
KNOWN_ELSEWHERE = (names.ANNOTATION_SYSTEM_ID, names.ANNOTATION_IMAGE)
"""The server and the pod tell these again."""
TRUTH = (
    (names.ANNOTATION_VOLUME_ROLE, "previous", "NoCurrentVolume", "postbase.sh/role: current"),
    (names.ANNOTATION_VOLUME_ROLE, None, "NoCurrentVolume", "postbase.sh/role: current"),
    (names.ANNOTATION_DATABASE_UID, "another", "VolumeExists", "main-1-1"),
    (names.ANNOTATION_DATABASE_UID, None, "VolumeExists", "main-1-1"),
    (names.ANNOTATION_SYSTEM_ID, "7300000000000000000", "DataMissing", "7300000000000000000"),
)


def claim(db: Db) -> Body:
    return db.cluster.get("pvc", db.namespace, db.claim)


@pytest.fixture
def before(db: Db) -> Iterator[Body]:
    """The claim as it is; afterwards its marks are what they were, and the Database is Ready."""
    db.wait_ready(seconds=30)
    held, started = claim(db), db.started_at()
    yield held
    meta = {key: held["metadata"][key] for key in ("labels", "annotations")}
    db.cluster.patch("pvc", db.namespace, db.claim, {"metadata": meta})
    db.wait_ready(seconds=30)
    assert db.started_at() == started


def edit(db: Db, part: str, key: str, value: str | None) -> None:
    patch = json.dumps({"metadata": {part: {key: value}}})
    words = ("patch", "pvc", db.claim, f"--namespace={db.namespace}", "--type=merge")
    out = db.cluster.kubectl(*words, f"--patch={patch}", "--output=json")
    assert json.loads(out)["metadata"].get(part, {}).get(key) == value


@pytest.mark.parametrize("value", ["edited", None])
@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_put_back(db: Db, before: Body, label: str, value: str | None) -> None:
    edit(db, "labels", label, value)
    promised(lambda: ours(claim(db)) == ours(before), label, seconds=MENDED_WITHIN)


@pytest.mark.parametrize("mark", KNOWN_ELSEWHERE)
def test_a_lost_mark_that_is_known_elsewhere_is_put_back(db: Db, before: Body, mark: str) -> None:
    edit(db, "annotations", mark, None)
    promised(lambda: ours(claim(db)) == ours(before), mark, seconds=MENDED_WITHIN)


@pytest.mark.parametrize("value", ["7", None])
def test_an_edited_generation_leads_to_no_other_volume(
    db: Db, before: Body, value: str | None
) -> None:
    edit(db, "annotations", names.ANNOTATION_GENERATION, value)
    db.patch(parameters={"work_mem": f"{value or 8}MB"})
    eventually(
        lambda: db.value("SHOW work_mem") == f"{value or 8}MB", "it is looked at", seconds=60
    )
    template = db.cluster.get("statefulset", db.namespace, f"{db.name}-1")["spec"]["template"]
    data = next(v for v in template["spec"]["volumes"] if v["name"] == "data")
    assert data["persistentVolumeClaim"]["claimName"] == db.claim
    assert [name for name in db.names() if "Claim" in name] == [f"PersistentVolumeClaim/{db.claim}"]


@pytest.mark.parametrize(("mark", "value", "reason", "said"), TRUTH)
def test_a_mark_that_is_the_truth_is_told_and_the_server_serves_on(
    db: Db, before: Body, mark: str, value: str | None, reason: str, said: str
) -> None:
    edit(db, "annotations", mark, value)
    stalled = db.wait_for("Stalled", "True", reason, seconds=60)
    assert said in stalled["message"]
    assert db.answers()
    assert db.names().count(f"PersistentVolumeClaim/{db.claim}") == 1
