from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pellucid_server.telemetry.lookup import Lookup


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_it_is_looked_up_at_each_scrape(registry: CollectorRegistry) -> None:
    states: dict[tuple[str, ...], float] = {("a", "ready"): 1.0}
    Lookup("models", "Models.", ("model", "state"), registry=registry).of(lambda: states)
    value = registry.get_sample_value
    assert value("models", {"model": "a", "state": "ready"}) == 1
    del states["a", "ready"]
    assert value("models", {"model": "a", "state": "ready"}) is None


def test_before_it_is_told_where_to_look_it_has_a_name_and_no_values(
    registry: CollectorRegistry,
) -> None:
    Lookup("limit_bytes", "A limit.", registry=registry)
    text = generate_latest(registry).decode()
    assert "# TYPE limit_bytes gauge" in text
    assert "\nlimit_bytes" not in text


def test_a_name_is_taken_once(registry: CollectorRegistry) -> None:
    Lookup("models", "Models.", registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Lookup("models", "Models.", registry=registry)


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_what_cannot_be_looked_up_does_not_hide_the_rest(
    registry: CollectorRegistry, error: type[Exception]
) -> None:
    def lost() -> Mapping[tuple[str, ...], float]:
        raise error

    Lookup("lost", "Lost.", registry=registry).of(lost)
    Lookup("found", "Found.", registry=registry).of_one(lambda: 2)
    assert registry.get_sample_value("lost") is None
    assert registry.get_sample_value("found") == 2
