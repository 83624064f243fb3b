"""The image, built by buildah over a Debian of its own, and containers of it, run by podman."""

import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BASE, IMAGE = "localhost/pellucid-base:test", "localhost/pellucid:test"
PROGRAMS = ("buildah", "podman", "runc", "mmdebstrap")
PACKAGES = "python3,python3-venv,ca-certificates,netbase,tzdata"
PODMAN = ("podman", "--cgroup-manager=cgroupfs", "--runtime=runc")
CONFINED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=none",
    "--ulimit=nofile=4096:4096",
    "--ulimit=nproc=4096:4096",
)
PATIENCE = 60


def run(*command: str | Path, stdin: bytes | None = None) -> str:
    """What a program says; it must succeed."""
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (command, done.stdout[-4000:], done.stderr[-4000:])
    return done.stdout.decode()


def _succeeds(*command: str) -> bool:
    done = subprocess.run([*PODMAN, *command], capture_output=True, check=False)
    return done.returncode == 0


@dataclass(frozen=True)
class Container:
    """A running one, with a read-only root, no capability and no network but its own loopback."""

    name: str

    def run(self, *command: str, stdin: bytes | None = None) -> str:
        """What a command in it says."""
        return run(*PODMAN, "exec", "--interactive", self.name, *command, stdin=stdin)

    def fails(self, *command: str) -> bool:
        """Whether a command in it does not succeed."""
        return not _succeeds("exec", self.name, *command)

    def healthy(self) -> bool:
        """What the image's own health check says."""
        return _succeeds("healthcheck", "run", self.name)

    def wait_until_healthy(self) -> None:
        """Waits for the health check; the log tells where it does not come."""
        deadline = time.monotonic() + PATIENCE
        while not self.healthy():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.5)

    def log(self) -> str:
        """What it logged."""
        done = subprocess.run([*PODMAN, "logs", self.name], capture_output=True, check=True)
        return done.stderr.decode()

    def stop(self) -> int:
        """Sends SIGTERM to process 1 and gives its exit status."""
        run(*PODMAN, "kill", "--signal=TERM", self.name)
        return int(run(*PODMAN, "wait", self.name))


Start = Callable[..., Container]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image with the zoo; its layers stay, so that the next build is quick."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install {' '.join(PROGRAMS)}")
    if os.geteuid() != 0:
        pytest.skip("building without a daemon needs root here")
    if not os.environ.get("IMAGE_TEST"):
        pytest.skip("building takes minutes: make image-test")
    folder = tmp_path_factory.mktemp("image")
    _make_base(folder / "base.tar")
    _build(folder / "pip.conf")
    return IMAGE


@pytest.fixture(scope="module")
def start(image: str) -> Iterator[Start]:
    """Starts confined containers of the image; they are gone after the tests."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(_container(image, options))


@contextmanager
def _container(image: str, options: tuple[str, ...]) -> Iterator[Container]:
    name = f"pellucid-test-{uuid.uuid4().hex[:8]}"
    run(*PODMAN, "run", "--detach", f"--name={name}", *CONFINED, *options, image)
    try:
        yield Container(name)
    finally:
        run(*PODMAN, "rm", "--force", name)


def _make_base(archive: Path) -> None:
    """A Debian with Python, under a name that no registry has."""
    if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode:
        run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", archive)
        run("podman", "import", archive, BASE)


def _build(pip_conf: Path) -> None:
    volumes = _pip_as_here(pip_conf)
    command = ["buildah", "bud", "--isolation=chroot", "--pull-never", "--network=host"]
    command += ["--format=docker", "--layers", f"--secret=id=pip,src={pip_conf}"]
    command += [f"--volume={path}:{path}:ro" for path in volumes]
    arguments = {"BASE": BASE, "WITH_ZOO": "true", "VERSION": "9.8.7", "REVISION": "abc"}
    command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
    run(*command, f"--tag={IMAGE}", ROOT)


def _pip_as_here(pip_conf: Path) -> list[str]:
    """Writes how pip finds packages on this machine, and gives the paths which that names."""
    settings: dict[str, str] = {}
    lines = run(sys.executable, "-m", "pip", "config", "list").splitlines()
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):  # the last one wins
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = " ".join(shlex.split(value))
    pip_conf.write_text(
        "\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items())])
    )
    words = " ".join(settings.values()).split()
    files = {word for word in words if word.startswith("/")}
    indexes = {str(Path(word[7:]).parent) for word in words if word.startswith("file://")}
    return sorted(path for path in files | indexes if Path(path).exists())
