from pathlib import Path

import pytest
from pydantic import ValidationError

from pellucid_server.config import Settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]  # what mypy refuses, pydantic must too


def test_the_environment_is_no_part_of_the_settings_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PELLUCID_PORT", "9")
    assert Settings().port == 8001


@pytest.mark.parametrize(
    "bad",
    [
        {"port": 65536},
        {"poll_interval": 0},
        {"poll_interval": float("inf")},
        {"drain_seconds": float("nan")},
        {"limits": {"message_bytes": 2**31}},
        {"limits": {"tenant_rates": "a"}},
        {"limits": {"tenant_rates": "a=0"}},
        {"limits": {"tenant_rate": 0}},
        {"limits": {"wait_seconds": 0}},
        {"tls": {"certificate": "a.pem"}},
        {"tls": {"client_ca": "a.pem"}},
        {"nonsense": 1},
    ],
)
def test_values_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(bad)


def test_folders_are_separated_by_commas() -> None:
    settings = Settings.model_validate({"data_roots": "/a,/b"})
    assert settings.data_roots == (Path("/a"), Path("/b"))
