"""What can be said of the Dockerfile without building it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "Dockerfile").read_text()


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_installation_demands_hashes_or_stays_offline() -> None:
    commands = re.sub(r"\\\n", " ", TEXT)
    installations = re.findall(r"/tools/bin/pip [^&\n]*", commands)
    assert len(installations) == 4
    for command in installations:
        assert "--require-hashes" in command or "--no-index --" in command, command


@pytest.mark.parametrize("lock", ["build", "image", "full"])
def test_its_locks_are_there(lock: str) -> None:
    assert (ROOT / "requirements" / f"{lock}.lock").is_file()


def test_what_it_copies_is_let_into_the_build() -> None:
    """.dockerignore keeps everything out but a few names."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    admitted = {line[1:].split("/")[0] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
    sources = {source.split("/")[0] for line in copied for source in line.split()}
    assert sources
    assert sources <= admitted
    assert ignored[1] == "*"
