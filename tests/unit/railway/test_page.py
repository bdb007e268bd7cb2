"""docs/railway.md: its example is taken, each field that is refused stands in it, and its figures
are the code's."""

from __future__ import annotations

import re

import pytest
import yaml

from postbase_operator.api.database import Database
from postbase_operator.planning.elsewhere import check_elsewhere
from postbase_operator.railway import plans
from postbase_operator.railway.cost import Prices
from postbase_operator.railway.services import DRAINING_SECONDS
from postbase_operator.railway.support import PARAMETERS, REFUSED, check_support
from postbase_operator.settings import Settings
from railway.trap_table import PAGE

TEXT = PAGE.read_text()


def test_the_example_is_taken() -> None:
    (example,) = re.findall(r"```yaml\n(apiVersion.*?)```", TEXT, re.DOTALL)
    body = yaml.safe_load(example)
    body["metadata"] |= {"namespace": "team", "uid": "u"}
    db = Database.model_validate(body)
    check_support(db)
    settings = Settings(sidecar_image="i", railway_token="t")
    check_elsewhere(db, settings)


@pytest.mark.parametrize("field", [*REFUSED, *PARAMETERS])
def test_what_is_refused_stands_in_it(field: str) -> None:
    assert f"`{field}`" in TEXT


def test_prices_and_limits_are_the_codes() -> None:
    prices = Prices()
    assert f"prices of {prices.as_of}" in TEXT
    listed = re.findall(r"^\| a .* \| ([\d.]+) \|$", TEXT, re.MULTILINE)
    assert listed == [
        str(each) for each in (prices.memory, prices.cpu, prices.volume, prices.egress)
    ]
    for word in ("Free", "Trial", "Hobby", "Pro"):
        (row,) = re.findall(rf"^\| {word} \| (.*) \| (\d+) \|", TEXT, re.MULTILINE)
        plan = plans.plan_of(word)
        assert row[1] == str(plan.volumes)
        assert f"{(plan.first_mb or 0) / 1000:g} GB" in row[0]
    assert f"drain of {DRAINING_SECONDS} seconds" in TEXT
