"""The locks: every file of every package has a hash, and all agree with pyproject."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted(FOLDER.glob("*.lock"))
IMAGE = ("server", "postgres", "oidc", "tracing")
EXTRAS = {
    "server": ("server",),
    "demo": ("server", "optimize", "report"),
    "image": IMAGE,
    "full": (*IMAGE, "remote", "tables", "optimize"),
    "dev": tuple(PROJECT["project"]["optional-dependencies"]),
}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pins(lock: Path) -> dict[str, tuple[Requirement, int]]:
    """What a lock pins, and how many hashes each has."""
    found = {}
    for entry in re.sub(r"\\\n", " ", lock.read_text()).splitlines():
        if entry.strip() and not entry.lstrip().startswith("#"):
            requirement = Requirement(entry.partition("--hash")[0].strip())
            found[canonical(requirement.name)] = requirement, len(HASH.findall(entry))
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def version(requirement: Requirement) -> str:
    (exact,) = requirement.specifier
    assert exact.operator == "==", requirement
    return exact.version


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_is_pinned_with_its_hashes(lock: Path) -> None:
    found = pins(lock)
    assert found
    for requirement, hashes in found.values():
        assert version(requirement)
        assert hashes, f"{requirement} has no hash: make lock"
        assert requirement.url is None


@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_holds_what_the_project_asks_for(lock: str) -> None:
    found = pins(FOLDER / f"{lock}.lock")
    project = PROJECT["project"]
    asked = list(project["dependencies"])
    for extra in EXTRAS[lock]:
        asked += project["optional-dependencies"][extra]
    for line in asked + (PROJECT["dependency-groups"]["dev"] if lock == "dev" else []):
        wanted = Requirement(line)
        pinned = version(found[canonical(wanted.name)][0])
        assert wanted.specifier.contains(pinned), f"{line}, not {pinned}: make lock"


@pytest.mark.parametrize("lock", [name for name in EXTRAS if name != "dev"])
def test_what_is_shipped_is_what_was_tested(lock: str) -> None:
    """Every lock pins the versions of the one that the tests run with."""
    tested = pins(FOLDER / "dev.lock")
    for name, (requirement, _) in pins(FOLDER / f"{lock}.lock").items():
        assert version(requirement) == version(tested[name][0]), f"{lock}: {name}: make lock"


@pytest.mark.parametrize("tool", ["build", "audit", "proto"])
def test_a_tool_s_lock_holds_what_its_list_asks_for(tool: str) -> None:
    found = pins(FOLDER / f"{tool}.lock")
    lines = (FOLDER / f"{tool}.in").read_text().splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            wanted = Requirement(line)
            assert wanted.specifier.contains(version(found[canonical(wanted.name)][0])), line


def test_the_wheel_is_built_by_what_is_locked() -> None:
    (builder,) = PROJECT["build-system"]["requires"]
    assert builder in (FOLDER / "build.in").read_text().splitlines()
