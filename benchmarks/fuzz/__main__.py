"""Feeds what reads strangers' bytes with inputs that atheris finds, coverage leading it.

`python -m benchmarks.fuzz image --seconds 600` goes on from the inputs of the runs before, which
are kept in `out/fuzz/image`. What breaks the target is put beside that folder, as
`out/fuzz/image-crash-*`; `python -m benchmarks.fuzz image FILE` tries such a file again.
"""

import argparse
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from benchmarks.environment import environment
from benchmarks.fuzz import targets
from benchmarks.server import ROOT

REQUIREMENT = "atheris==3.0.0"
KEPT = ROOT / "out" / "fuzz"
SLOWEST, MEMORY = 20, 3072
"""Seconds that an input may take, and MiB that the process may."""
LARGEST = 65_536
"""Bytes of an input."""
NAMES = [each.name for each in pkgutil.iter_modules(targets.__path__)]


def main() -> None:
    """Runs one target, or all of them in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*NAMES, "all"])
    parser.add_argument("file", nargs="?", type=Path, help="only this input")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    options = parser.parse_args()
    names = NAMES if options.target == "all" else [options.target]
    broken = [name for name in names if fuzz(name, options.seconds, options.file)]
    sys.exit(f"broke: {', '.join(broken)}" if broken else 0)


def fuzz(name: str, seconds: int, file: Path | None) -> int:
    """Runs a target; not 0: it broke."""
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    command = [environment(REQUIREMENT), "-m", "benchmarks.fuzz.run", name, str(folder)]
    command += [str(file)] if file else [str(folder), f"-max_total_time={seconds}"]
    command += [f"-artifact_prefix={folder}-", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}"]
    command += [f"-max_len={LARGEST}", "-close_fd_mask=2", "-print_final_stats=1"]
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    variables = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


if __name__ == "__main__":
    main()
