"""How soon Railway is asked again to have the service beside a Database as it should be."""

from __future__ import annotations

import pytest

from postbase_operator.errors import NotReady, PostbaseError
from postbase_operator.railway.graphql.faults import PlanLimit, Refused
from postbase_operator.railway.wal.archiving import REJECTED_RESTS, RESTS, _rest


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (NotReady("the commit is not listed yet", 2.0), 2.0),
        (NotReady("its service is not there"), RESTS),
        (Refused("commit", "the region is retired"), REJECTED_RESTS),
        (PlanLimit("services per project"), REJECTED_RESTS),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_railway_has_rejected_is_not_asked_for_at_each_look(
    error: PostbaseError, seconds: float
) -> None:
    assert _rest(error) == seconds
