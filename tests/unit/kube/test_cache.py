"""The cache: late events, names that are used again, ghosts of lost deletes."""

from __future__ import annotations

from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import CONFIG_MAP, Body


def body(name: str = "c", version: int = 1, uid: str = "u", database: str | None = "db") -> Body:
    labels = {} if database is None else {"postbase.sh/database": database}
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": labels,
            "managedFields": [{"manager": "x"}],
        }
    }


def test_an_older_event_does_not_undo_a_newer_write() -> None:
    cache = Cache()
    cache.put(CONFIG_MAP, body(version=5))
    cache.put(CONFIG_MAP, body(version=3))
    held = cache.get(CONFIG_MAP, "ns", "c")
    assert held is not None
    assert held["metadata"]["resourceVersion"] == "5"


def test_the_delete_of_an_earlier_object_leaves_its_successor() -> None:
    cache = Cache()
    cache.put(CONFIG_MAP, body(uid="new", version=9))
    cache.drop(CONFIG_MAP, body(uid="old", version=8))
    assert cache.get(CONFIG_MAP, "ns", "c") is not None


def test_a_successor_replaces_even_with_a_lower_version() -> None:
    """A restored etcd may count from an earlier number."""
    cache = Cache()
    cache.put(CONFIG_MAP, body(uid="old", version=9))
    cache.put(CONFIG_MAP, body(uid="new", version=2))
    held = cache.get(CONFIG_MAP, "ns", "c")
    assert held is not None
    assert held["metadata"]["uid"] == "new"


def test_the_late_answer_to_a_write_does_not_bring_the_deleted_back() -> None:
    """A finalizer's removal deletes the object; its answer may come after the watch's event."""
    cache = Cache()
    cache.put(CONFIG_MAP, body(version=5))
    cache.drop(CONFIG_MAP, body(version=7))
    cache.put(CONFIG_MAP, body(version=6))
    assert cache.get(CONFIG_MAP, "ns", "c") is None


def test_what_left_the_selector_may_come_back() -> None:
    cache = Cache()
    cache.drop(CONFIG_MAP, body(version=7))
    cache.put(CONFIG_MAP, body(version=8))
    assert cache.get(CONFIG_MAP, "ns", "c") is not None


def test_children_follow_their_label() -> None:
    cache = Cache()
    cache.put(CONFIG_MAP, body("a"))
    cache.put(CONFIG_MAP, body("b", database="other"))
    cache.put(CONFIG_MAP, body("c", database=None))
    assert [b["metadata"]["name"] for b in cache.children(CONFIG_MAP, "ns", "db")] == ["a"]
    cache.drop(CONFIG_MAP, body("a"))
    assert cache.children(CONFIG_MAP, "ns", "db") == []


def test_a_child_that_is_given_to_another_leaves_its_former_owner() -> None:
    cache = Cache()
    cache.put(CONFIG_MAP, body("a", version=1))
    cache.put(CONFIG_MAP, body("a", version=2, database="other"))
    assert cache.children(CONFIG_MAP, "ns", "db") == []
    assert len(cache.children(CONFIG_MAP, "ns", "other")) == 1


def test_a_listing_drops_ghosts_and_keeps_what_came_after_it() -> None:
    cache = Cache()
    cache.put(CONFIG_MAP, body("ghost", version=3))
    cache.put(CONFIG_MAP, body("young", version=12))
    ghosts = cache.replace(CONFIG_MAP, [body("there", version=4)], listed_at=10)
    assert [ghost["metadata"]["name"] for ghost in ghosts] == ["ghost"]
    assert {b["metadata"]["name"] for b in cache.all(CONFIG_MAP)} == {"young", "there"}


def test_what_nobody_reads_is_not_held() -> None:
    cache = Cache()
    cache.put(CONFIG_MAP, body())
    held = cache.get(CONFIG_MAP, "ns", "c")
    assert held is not None
    assert "managedFields" not in held["metadata"]
