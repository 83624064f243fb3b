"""The chart, rendered by Helm 3 and by Helm 4, once for each file of values."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "pellucid"
HELMS = ("helm-3", "helm-4")
CASES = sorted(CHART.glob("ci/*-values.yaml"))
RELEASE, NAMESPACE, KUBERNETES = "prod", "vision", "1.34.0"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """The objects of a release."""

    manifests: Sequence[Manifest]

    def all(self, *kinds: str) -> list[Manifest]:
        """Those of some kinds, in their order."""
        return [each for each in self.manifests if each["kind"] in kinds]

    def one(self, kind: str) -> Manifest:
        """The only one of a kind."""
        (found,) = self.all(kind)
        return found

    @cached_property
    def pod(self) -> Manifest:
        """What the Deployment starts."""
        template: Manifest = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def server(self) -> Manifest:
        """The server's container."""
        container: Manifest = self.pod["spec"]["containers"][0]
        return container

    @property
    def files(self) -> Manifest:
        """The server's files: settings.yaml, and policy.yaml where there is one."""
        name = self.one("Deployment")["metadata"]["name"]
        (found,) = [each for each in self.all("ConfigMap") if each["metadata"]["name"] == name]
        return {file: yaml.safe_load(content) for file, content in found["data"].items()}

    @property
    def settings(self) -> Manifest:
        """The settings file."""
        settings: Manifest = self.files["settings.yaml"]
        return settings

    def pods(self) -> Iterator[Manifest]:
        """Everything with containers."""
        yield self.pod
        yield from self.all("Pod")


@dataclass(frozen=True)
class Helm:
    """One of the two programs."""

    program: Path

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Runs it."""
        return subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False
        )

    def render(self, *arguments: str | Path, chart: Path = CHART) -> Rendered:
        """The objects of a release with these flags."""
        return _rendered(self, chart, arguments)

    def refuse(self, *arguments: str | Path) -> str:
        """Why it does not render."""
        done = self.run("template", RELEASE, CHART, "--kube-version", KUBERNETES, *arguments)
        assert done.returncode != 0
        return done.stderr


@cache
def _rendered(helm: Helm, chart: Path, arguments: Sequence[str | Path]) -> Rendered:
    flags = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES)
    done = helm.run("template", RELEASE, chart, *flags, *arguments)
    assert done.returncode == 0, done.stderr
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built
    manifests = yaml.load_all(done.stdout, loader)
    return Rendered([each for each in manifests if each])


@pytest.fixture(scope="session", params=HELMS)
def helm(request: pytest.FixtureRequest) -> Helm:
    """Helm 3, then Helm 4."""
    program = ROOT / ".helm" / request.param
    if not program.exists():
        pytest.skip(f"{request.param} is not there: make .helm/.done")
    return Helm(program)


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name.split("-values")[0])
def case(request: pytest.FixtureRequest) -> Path:
    """A file of values."""
    values: Path = request.param
    return values


@pytest.fixture
def rendered(helm: Helm, case: Path) -> Rendered:
    """A release of a file of values."""
    return helm.render("--values", case)
