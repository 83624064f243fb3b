"""What `make audit` makes of pip-audit's reports."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

AUDIT = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "audit.py"))
SAFE = {"name": "numpy", "version": "2.4.6", "vulns": []}
SKIPPED = {"name": "grpcio", "skip_reason": "Dependency not found on PyPI: grpcio (1.85.1)"}
VULNERABLE = {
    "name": "pillow",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


def judged(*packages: Any) -> Any:
    return AUDIT["judged"](json.dumps({"dependencies": packages}), "")


def test_packages_without_known_vulnerability() -> None:
    found = judged(SAFE, SAFE)
    assert (found.asked, list(found.vulnerable), list(found.unknown)) == (2, [], [])


def test_a_vulnerable_package_is_named_with_its_fix() -> None:
    assert judged(SAFE, VULNERABLE).vulnerable == [
        "pillow 1.0: PYSEC-1, fixed in 1.1",
        "pillow 1.0: PYSEC-2, fixed in no version",
    ]


def test_a_package_that_the_database_does_not_know_is_no_pass() -> None:
    """Mirrors answer so for all packages, and pip-audit then ends with 0."""
    found = judged(SAFE, SKIPPED)
    assert (found.asked, found.unknown) == (1, [SKIPPED["skip_reason"]])


@pytest.mark.parametrize("report", ["", "no JSON", "{}", '{"dependencies": []}'])
def test_no_report_is_no_pass(report: str) -> None:
    found = AUDIT["judged"](report, "Traceback\nConnectionError: no route\n")
    assert found.unknown == ["ConnectionError: no route"]


@pytest.mark.parametrize(
    ("packages", "code"), [([SAFE], 0), ([VULNERABLE, SKIPPED], 1), ([SAFE, SKIPPED], 3)]
)
def test_the_exit_code_tells_them_apart(
    monkeypatch: pytest.MonkeyPatch, packages: list[Any], code: int
) -> None:
    monkeypatch.setitem(AUDIT["main"].__globals__, "audit", lambda _: judged(*packages))
    assert AUDIT["main"]() == code
