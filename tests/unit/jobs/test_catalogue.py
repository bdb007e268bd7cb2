"""Where `catalog list` looks for the stores of Projects."""

from __future__ import annotations

from postbase_operator.jobs.catalogue import looked_in
from postbase_operator.settings import Settings


def test_where_the_operator_has_no_rights_it_does_not_look() -> None:
    everywhere, some = Settings(), Settings(watch_namespaces=("a", "b"))
    assert tuple(looked_in(everywhere, None)) == (None,)
    assert tuple(looked_in(some, None)) == ("a", "b")
    assert tuple(looked_in(everywhere, "c")) == tuple(looked_in(some, "c")) == ("c",)
