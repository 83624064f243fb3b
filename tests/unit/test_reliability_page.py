import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
PROOFS = sorted(set(re.findall(r"`(test_\w+)`", PAGE)))
FILES = sorted(set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE)))
ROW = re.compile(r"^\|.*\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def defined() -> frozenset[str]:
    """The names of all tests that there are."""
    definition = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.MULTILINE)
    files = (ROOT / "tests").rglob("test_*.py")
    return frozenset(name for file in files for name in definition.findall(file.read_text()))


@pytest.mark.parametrize("name", PROOFS)
def test_each_proof_that_is_named_exists(name: str, defined: frozenset[str]) -> None:
    assert name in defined


@pytest.mark.parametrize("path", FILES)
def test_each_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_fault_has_a_proof() -> None:
    """And every promise of a section: the last cell of its row names a test or a file of tests."""
    glance, _, rest = PAGE.partition("\n## Restart and drain")
    faults = ROW.findall(glance)[2:]
    assert len(faults) >= 11
    tables = re.findall(
        r"^\| Promise \| Proof \|\n\|---\|---\|\n((?:\|.*\|\n?)+)", rest, re.MULTILINE
    )
    promises = [row for table in tables for row in table.splitlines()]
    assert len(promises) >= 25
    for row in (*faults, *promises):
        proof = row.rstrip("| ").rpartition("|")[2]
        assert re.search(r"test_\w+", proof), row


def test_every_anchor_leads_to_a_section() -> None:
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    anchors = {title.lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= anchors


def test_every_metric_is_one_of_ours() -> None:
    metrics = (ROOT / "service" / "pellucid_server" / "telemetry" / "metrics.py").read_text()
    for name in re.findall(r"pellucid_(?!server)[a-z_]+", PAGE):
        assert f'"{name}"' in metrics, name


def test_every_alert_is_one_of_the_chart() -> None:
    rules = (ROOT / "deploy" / "helm" / "pellucid" / "files" / "rules.yaml").read_text()
    for name in re.findall(r"`(Pellucid[A-Z]\w+)`", PAGE):
        assert f"alert: {name}\n" in rules, name
