"""Writes what the image holds beside ours, with licences, as CycloneDX: `make sbom`.

Reads an environment that the lock fills, since a lock knows neither licences nor who needs whom.
"""

import argparse
import json
import runpy
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Installs the lock into a folder that is gone afterwards, and describes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", default="image", help="which of requirements/*.lock")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "sbom.cdx.json")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder)
        python = f"{folder}/bin/python"
        lock = str(ROOT / "requirements" / f"{arguments.lock}.lock")
        _run("pip", "--python", python, "install", "--quiet", "--require-hashes", "-r", lock)
        described = ["--pyproject", str(ROOT / "pyproject.toml")]
        _run("cyclonedx_py", "environment", *described, "-o", str(arguments.output), python)
    _name_our_version(arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes")


def _name_our_version(path: Path) -> None:
    """It stands in a module, where the generator does not look."""
    module = runpy.run_path(str(ROOT / "clients" / "python" / "pellucid" / "_version.py"))
    bom = json.loads(path.read_text())
    bom["metadata"]["component"]["version"] = module["__version__"]
    path.write_text(json.dumps(bom, indent=2))


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


if __name__ == "__main__":
    main()
