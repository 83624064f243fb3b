"""What the chart says of itself: its pages, its schema, its notes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pellucid import __version__

if TYPE_CHECKING:
    from tests.deploy.conftest import Helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "pellucid"
GENERATED = {".settings", ".auth.policy"}


def test_the_table_of_values_and_the_schema_are_current() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "tools" / "chart_documents.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_chart_is_of_this_version() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_the_schema_knows_every_value_and_no_other() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    del schema["properties"]["global"]  # Helm's own
    assert set(unlike(values, schema, "")) == set()


def unlike(values: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
    """The names that stand in one of them alone."""
    properties = schema["properties"]
    yield from (f"{path}.{name}" for name in values.keys() ^ properties.keys())
    for name in values.keys() & properties.keys():
        here = f"{path}.{name}"
        if "properties" in properties[name] and here not in GENERATED:
            yield from unlike(values[name], properties[name], here)


@pytest.fixture
def notes(helm: "Helm", tmp_path: Path) -> "Notes":
    """Only a cluster is shown the notes: a copy of the chart puts them into a ConfigMap."""
    chart = shutil.copytree(CHART, tmp_path / "pellucid")
    shutil.move(chart / "templates" / "NOTES.txt", chart / "NOTES.txt")
    (chart / "templates" / "notes.yaml").write_text(
        "apiVersion: v1\nkind: Notes\nmetadata: {name: notes}\n"
        'text: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}\n'
    )
    return Notes(helm, chart)


class Notes:
    """What an install says, with some values."""

    def __init__(self, helm: "Helm", chart: Path) -> None:
        self.helm, self.chart = helm, chart

    def __call__(self, case: str) -> str:
        values = CHART / "ci" / f"{case}-values.yaml"
        text: str = self.helm.render("--values", values, chart=self.chart).one("Notes")["text"]
        return text


def test_notes_tell_the_next_command(notes: Notes) -> None:
    text = notes("defaults")
    assert "rollout status deployment/prod-pellucid" in text
    assert "helm test prod --namespace vision" in text
    assert "port-forward service/prod-pellucid 8001:8001" in text
    assert "\n   pellucid models\n" in text
    assert "grpcurl -plaintext localhost:8001 grpc.health.v1.Health/Check" in text
    assert "dns:///prod-pellucid-headless.vision.svc:8001" in text
    assert "WARNING: calls are not encrypted" in text
    assert "NOTE: evaluations and uploads go with their pod" in text


def test_notes_have_the_flags_of_tls_and_tokens(notes: Notes) -> None:
    text = notes("production")
    assert "get secret prod-pellucid-tls" in text
    assert "'{{index .data \"ca.crt\" | base64decode}}' > ca.crt" in text
    assert "export PELLUCID_TOKEN=" in text
    assert "\n   pellucid models --ca ca.crt\n" in text
    assert (
        'grpcurl -cacert ca.crt -H "authorization: Bearer $PELLUCID_TOKEN" localhost:8001 '
        "pellucid.v1.ModelService/ListModels" in text
    )
    assert "WARNING" not in text
    assert "NOTE" not in text


def test_notes_have_the_flags_of_client_certificates(notes: Notes) -> None:
    text = notes("mutual-tls")
    assert "\n   pellucid models --tls --cert client.crt --key client.key\n" in text
    assert "grpcurl -cert client.crt -key client.key localhost:8001" in text
    assert "-authority" in text
