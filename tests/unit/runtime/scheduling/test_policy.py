import math
from typing import Any

import pytest

from pellucid_server.runtime.scheduling import Policy, Priority


def test_the_default_stands() -> None:
    policy = Policy()
    assert policy.weight("anyone") == 1.0
    assert set(policy.queue_limits) == set(Priority)


def test_weights_are_by_tenant() -> None:
    policy = Policy(weights={"gold": 3.0}, default_weight=0.5)
    assert (policy.weight("gold"), policy.weight("other")) == (3.0, 0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"queue_limits": {Priority.EXPLAIN: 5}}, "INTERACTIVE, BULK"),
        ({"queue_limits": dict.fromkeys(Priority, 0)}, "INTERACTIVE, EXPLAIN, BULK"),
        ({"shares": {Priority.BULK: 1.0}}, "not 1.0"),
        ({"shares": {Priority.BULK: -0.1}}, "not -0.1"),
        ({"weights": {"gold": 0.0}}, "weight of gold"),
        ({"weights": {"gold": math.nan}}, "weight of gold"),
        ({"default_weight": math.inf}, "weight of others"),
        ({"places_per_free": 0.0}, "places_per_free"),
        ({"remembered_tenants": -1}, "remembered_tenants"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Policy(**values)
