"""Which build of PostgreSQL runs: kept by digest, learnt anew on request, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from postbase_operator.api.database import Database
from postbase_operator.planning import plan as steps
from postbase_operator.planning import upgrade
from postbase_operator.planning.observed import Process, ProcessState, Volume
from postbase_operator.planning.plan import Step
from unit.conftest import database
from unit.planning.test_database import CURRENT, HEALTHY, RUNNING, kinds, plan

TAG = "docker.io/library/postgres:15"
OLD = f"docker.io/library/postgres@sha256:{'a' * 64}"
NEW = f"docker.io/library/postgres@sha256:{'b' * 64}"
OWN = "registry.example.com/postgis:15-3.4"
PINNED = replace(CURRENT, image=OLD, image_tag=TAG)
PROCESS = replace(RUNNING, image=TAG, image_digest=OLD)


def asking(value: str, db: Database | None = None) -> Database:
    """As `kubectl annotate postbase.sh/request-upgrade=<value>` leaves it."""
    db = db or database()
    annotations = {**db.metadata.annotations, upgrade.REQUEST: value}
    return db.model_copy(
        update={"metadata": db.metadata.model_copy(update={"annotations": annotations})}
    )


def served(db: Database, *values: str) -> Database:
    requests = {upgrade.VERB: values[-1]}
    return db.model_copy(update={"status": db.status.model_copy(update={"requests": requests})})


# -- the pin -------------------------------------------------------------------------------


def test_what_the_tag_meant_first_is_what_runs() -> None:
    assert upgrade.pinned(database(), PINNED) == OLD
    made = plan(replace(HEALTHY, volumes=(PINNED,), process=PROCESS))
    assert made.steps == (steps.ApplyWorkload(PINNED.name, PINNED.system_id, image=OLD),)


@pytest.mark.parametrize(
    "volume",
    [
        replace(PINNED, image="", image_tag=""),  # never ran
        replace(PINNED, image=f"sha256:{'a' * 64}"),  # a runtime that tells no repository
        replace(
            PINNED, image=f"elsewhere.example.com/postgres@sha256:{'a' * 64}"
        ),  # its other name
        replace(PINNED, image_tag=""),  # of a release that kept no tag
        replace(PINNED, upgrade="1", upgrading="pod-1"),
    ],
)
def test_what_cannot_be_run_by_digest_runs_by_its_tag(volume: Volume) -> None:
    assert upgrade.pinned(database(), volume) == ""


def test_an_image_of_ones_own_is_pinned_as_long_as_its_tag_is_the_same() -> None:
    digest = f"registry.example.com/postgis@sha256:{'a' * 64}"
    volume = replace(PINNED, image=digest, image_tag=OWN)
    assert upgrade.pinned(database(image=OWN), volume) == digest
    assert upgrade.pinned(database(image=f"{OWN}.1"), volume) == ""


# -- what a running process teaches --------------------------------------------------------


def test_the_first_process_teaches_digest_and_tag() -> None:
    fresh = replace(PINNED, image="", image_tag="")
    assert upgrade.learnt(database(), fresh, PROCESS) == (OLD, TAG)
    assert upgrade.learnt(database(), PINNED, PROCESS) == ("", "")


@pytest.mark.parametrize("state", [s for s in ProcessState if s is not ProcessState.RUNNING])
def test_one_that_does_not_run_teaches_nothing(state: ProcessState) -> None:
    fresh = replace(PINNED, image="", image_tag="")
    assert upgrade.learnt(database(), fresh, replace(PROCESS, state=state)) == ("", "")


def test_a_volume_of_a_release_that_kept_no_tag_learns_it_from_what_runs() -> None:
    former = replace(PINNED, image_tag="")
    assert upgrade.learnt(database(), former, PROCESS) == (OLD, TAG)
    seen = replace(HEALTHY, volumes=(former,), process=PROCESS)
    (step,) = [s for s in plan(seen).steps if isinstance(s, steps.RecordOrigin)]
    assert (step.image, step.tag) == (OLD, TAG)
    assert "RestartProcess" not in kinds(plan(seen))


def test_a_process_that_was_started_by_digest_leaves_the_tag_as_it_was() -> None:
    by_digest = replace(PROCESS, image=OLD)
    assert upgrade.learnt(database(), PINNED, by_digest) == ("", "")
    lost = replace(PINNED, image="")  # somebody struck the annotation out
    assert upgrade.learnt(database(), lost, by_digest) == (OLD, TAG)


def test_another_tag_of_ones_own_image_is_learnt_once_it_runs() -> None:
    volume, db = replace(PINNED, image_tag=OWN), database(image=f"{OWN}.1")
    before = replace(PROCESS, image=OWN)
    assert upgrade.learnt(db, volume, before) == ("", "")
    after = replace(PROCESS, image=f"{OWN}.1", image_digest=NEW)
    assert upgrade.learnt(db, volume, after) == (NEW, f"{OWN}.1")


# -- the request ---------------------------------------------------------------------------


def test_a_request_is_taken_up_once() -> None:
    (step,) = upgrade.begin(asking("1"), PINNED, PROCESS)
    assert step == steps.BeginUpgrade(PINNED.name, "1", "pod-1")
    assert (
        upgrade.begin(asking("1"), replace(PINNED, upgrade="1", upgrading="pod-1"), PROCESS) == []
    )
    assert upgrade.begin(asking("1"), replace(PINNED, upgrade="1"), PROCESS) == []
    assert upgrade.begin(served(asking("1"), "1"), PINNED, PROCESS) == []  # on another volume
    assert upgrade.begin(database(), PINNED, PROCESS) == []


def test_another_value_is_another_request() -> None:
    (step,) = upgrade.begin(served(asking("2"), "1"), replace(PINNED, upgrade="1"), PROCESS)
    assert step == steps.BeginUpgrade(PINNED.name, "2", "pod-1")


def test_a_request_while_nothing_runs_needs_no_restart() -> None:
    (step,) = upgrade.begin(asking("1"), PINNED, Process())
    assert step == steps.BeginUpgrade(PINNED.name, "1", upgrade.NO_PROCESS)
    begun = replace(PINNED, upgrade="1", upgrading=upgrade.NO_PROCESS)
    made = plan(replace(HEALTHY, volumes=(begun,), process=PROCESS), asking("1"))
    assert "RestartProcess" not in kinds(made)


def test_the_process_that_is_to_go_teaches_nothing() -> None:
    begun = replace(PINNED, upgrade="1", upgrading="pod-1")
    assert upgrade.learnt(asking("1"), begun, PROCESS) == ("", "")
    assert upgrade.served(asking("1"), begun) is None
    next_one = replace(PROCESS, identity="pod-2", image_digest=NEW)
    assert upgrade.learnt(asking("1"), begun, next_one) == (NEW, TAG)


def test_it_is_told_when_it_is_over_and_only_once() -> None:
    done = replace(PINNED, image=NEW, upgrade="1")
    assert upgrade.served(asking("1"), done) == "1"
    assert upgrade.served(served(asking("1"), "1"), done) is None
    assert upgrade.served(database(), PINNED) is None
    assert upgrade.served(database(), None) is None


# -- the whole of it, killed anywhere ------------------------------------------------------


class Killed(Exception):
    """The operator ends here."""


@dataclass
class Stage:
    """A platform on which the tag means NEW by now; `left`: the calls until the operator ends."""

    db: Database
    volume: Volume = PINNED
    process: Process = PROCESS
    template: str = OLD
    restarts: int = 0
    left: int = -1

    def look(self) -> None:
        """One run of the reconciler."""
        seen = replace(HEALTHY, volumes=(self.volume,), process=self.process)
        made = plan(seen, self.db)
        for step in made.steps:
            self._call()
            self._take(step)
        if made.status != self.db.status:
            self._call()
            self.db = self.db.model_copy(update={"status": made.status})

    def _call(self) -> None:
        if self.left == 0:
            self.left = -1
            raise Killed
        self.left -= 1

    def _take(self, step: Step) -> None:
        match step:
            case steps.BeginUpgrade(_, request, process):
                self.volume = replace(self.volume, upgrade=request, upgrading=process)
            case steps.ApplyWorkload(_, _, image):
                self.template = image or TAG
            case steps.RecordOrigin(_, _, image, tag, _) if image:
                self.volume = replace(self.volume, image=image, image_tag=tag, upgrading="")
            case steps.RestartProcess(identity) if identity == self.process.identity:
                self.restarts += 1
                digest = NEW if self.template == TAG else self.template
                self.process = replace(
                    PROCESS,
                    identity=f"pod-{1 + self.restarts}",
                    image=self.template,
                    image_digest=digest,
                )

    def settle(self) -> int:
        """Looks until nothing changes; how many looks the operator survived."""
        before, looks = None, 0
        while before != (before := (self.db, self.volume, self.process, self.template)):
            try:
                self.look()
            except Killed:
                before = None
                continue
            looks += 1
            assert looks < 20, "it never settles"
        return looks


def stages() -> Iterator[Stage]:
    """Killed before the first call, the second, and so on to one that was not."""
    for left in range(100):
        stage = Stage(asking("1"), left=left)
        stage.settle()
        yield stage
        if stage.left > 0:
            return
    raise AssertionError("it makes calls for ever")


def test_killed_between_any_two_steps_it_is_one_restart_and_the_new_build() -> None:
    ends = list(stages())
    assert len(ends) > 6
    for number, stage in enumerate(ends):
        assert stage.restarts == 1, number
        assert (stage.volume.image, stage.volume.image_tag) == (NEW, TAG), number
        assert (stage.volume.upgrade, stage.volume.upgrading) == ("1", ""), number
        assert stage.template == NEW, number
        assert stage.db.status.requests == {upgrade.VERB: "1"}, number


def test_without_a_request_a_tag_that_has_moved_moves_nothing() -> None:
    stage = Stage(database())
    stage.settle()
    assert (stage.restarts, stage.template, stage.volume) == (0, OLD, PINNED)


def test_asked_twice_it_is_done_twice() -> None:
    stage = Stage(asking("1"))
    stage.settle()
    stage.db = asking("2", stage.db)
    stage.settle()
    assert stage.restarts == 2
    assert stage.db.status.requests == {upgrade.VERB: "2"}
