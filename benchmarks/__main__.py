"""Runs the benchmarks: one table, and a file of results.

`python -m benchmarks --only NAME --quick` measures one name.
"""

import argparse
import importlib
import pkgutil
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console

from benchmarks import cases
from benchmarks.frame import BENCHMARKS, Benchmark, Result
from benchmarks.offline import stay_offline
from benchmarks.report import machine, save, table

RESULTS = Path(__file__).parent / "results.json"
QUICK_RESULTS = Path(__file__).parent / "results-quick.json"

console = Console(width=None if sys.stdout.isatty() else 120)


def load() -> list[Benchmark]:
    """Every benchmark of `cases`, in alphabetical order of the files."""
    stay_offline()
    for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda each: each.name):
        importlib.import_module(f"benchmarks.cases.{module.name}")
    return BENCHMARKS


def select(wanted: list[str]) -> Iterator[tuple[Benchmark, list[str]]]:
    """The benchmarks that measure names of these patterns, and which."""
    for benchmark in load():
        names = [
            name
            for name in benchmark.units
            if not wanted or any(fnmatchcase(name, pattern) for pattern in wanted)
        ]
        if names:
            yield benchmark, names


def measure(benchmark: Benchmark, names: list[str], *, quick: bool) -> list[Result]:
    """The results of these names."""
    started = time.perf_counter()
    command = f"python -m benchmarks --only {names[0]}{' --quick' * quick}"
    results = benchmark.results(quick, command)
    console.print(f"[dim]{', '.join(names)}: {time.perf_counter() - started:.0f} s[/]")
    return [result for result in results if result.name in names]


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="or a pattern")
    parser.add_argument("--quick", action="store_true", help="the same names, roughly")
    parser.add_argument("--list", action="store_true", help="only print the names")
    options = parser.parse_args()
    selected = list(select(options.only))
    if not selected:
        parser.error("no such benchmark; --list prints the names")
    if options.list:
        for _, names in selected:
            console.print("\n".join(names))
        return
    run(selected, quick=options.quick)


def run(selected: list[tuple[Benchmark, list[str]]], *, quick: bool) -> None:
    """Measures, prints the table and writes the file."""
    results: list[Result] = []
    for benchmark, names in selected:
        results += measure(benchmark, names, quick=quick)
        save(results, QUICK_RESULTS if quick else RESULTS)
    console.print(table(results, machine()))


if __name__ == "__main__":
    main()
