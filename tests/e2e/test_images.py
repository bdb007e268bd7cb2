"""Any stock image: three of different uid, major and make hold rows over a restart.

Rows go in and out as an application's would: through the Secret, over TLS, with the server's
certificate verified. A restart that had to recover is one that was not planned well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Image:
    name: str
    spec: dict[str, Any]
    major: str
    uid: str


IMAGES = (
    Image("debian-15", {"postgresVersion": "15"}, "15", "999"),
    Image("npm-17", {"postgresVersion": "17"}, "17", "999"),
    Image(
        "postgis-uid70",
        {
            "image": "localhost/postbase/postgis:15-uid70",
            "podSecurity": {"runAsUser": 70},
            "extensions": [{"name": "postgis"}],
        },
        "15",
        "70",
    ),
)


@pytest.fixture(scope="module")
def databases(new_db: NewDb) -> dict[str, Db]:
    """All three side by side: each waits more than it works."""
    made = {image.name: new_db(image.name) for image in IMAGES}
    for image in IMAGES:
        made[image.name].apply(**image.spec)
    for db in made.values():
        db.wait_ready()
        db.fill("before the restart")
    return made


@pytest.fixture(params=IMAGES, ids=lambda image: image.name)
def image(request: pytest.FixtureRequest) -> Image:
    found: Image = request.param
    return found


def test_the_image_is_the_one_asked_for(databases: dict[str, Db], image: Image) -> None:
    db = databases[image.name]
    assert db.value("SHOW server_version").split(".")[0] == image.major
    assert db.run_in("id", "-u").strip() == image.uid
    assert db.live()["status"]["version"].split(".")[0] == image.major


def test_data_checksums_are_on(databases: dict[str, Db], image: Image) -> None:
    assert databases[image.name].value("SHOW data_checksums") == "on"


def test_the_connection_is_encrypted(databases: dict[str, Db], image: Image) -> None:
    query = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    ssl, version = databases[image.name].rows(query)[0]
    assert ssl is True
    assert version == "TLSv1.3"


def test_postgis_answers(databases: dict[str, Db]) -> None:
    """The extension was made by the operator: the application's role may not."""
    db = databases["postgis-uid70"]
    assert db.value("SELECT postgis_version()").startswith("3.")
    owner = "SELECT rolname FROM pg_extension e JOIN pg_roles r ON r.oid = extowner"
    assert db.value(f"{owner} WHERE extname = 'postgis'") == "postbase_admin"


def test_rows_survive_the_pod_and_its_stop_was_clean(
    databases: dict[str, Db], image: Image
) -> None:
    """An idle client stays connected: a stop that waits for it would end in a kill."""
    db = databases[image.name]
    system_id = db.live()["status"]["systemId"]
    with db.connect():
        db.restart_pod()
    assert db.notes() == ["before the restart"]
    log = db.logs()
    for unclean in ("was interrupted", "not properly shut down", "redo starts"):
        assert unclean not in log
    db.wait_ready()
    assert db.live()["status"]["systemId"] == system_id
