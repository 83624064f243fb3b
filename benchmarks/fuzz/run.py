"""Runs in the environment of atheris: a target over and over, watched which lines it comes to."""

import importlib
import sys
import warnings
from pathlib import Path

import atheris

WATCHED = ["pellucid_server", "pellucid", "yaml"]


def main() -> None:
    """The target's name, the folder of its inputs, then what libFuzzer takes."""
    warnings.simplefilter("ignore")
    name, folder = sys.argv.pop(1), Path(sys.argv.pop(1))
    with atheris.instrument_imports(include=WATCHED):
        target = importlib.import_module(f"benchmarks.fuzz.targets.{name}")
    for index, seed in enumerate(target.SEEDS):
        (folder / f"seed-{index}").write_bytes(seed)
    atheris.Setup(sys.argv, target.take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
