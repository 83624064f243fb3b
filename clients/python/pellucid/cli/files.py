"""Which images to read, and what to call what is written of them."""

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import abspath, commonpath
from pathlib import Path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

_WILDCARDS = re.compile(r"[*?\[]")
_UNSAFE = re.compile(r"[^\w-]+")


@dataclass(frozen=True)
class Source:
    """An image to read, and the path, without an ending, of what is written of it."""

    path: Path
    name: Path


def sources(arguments: Sequence[str]) -> list[Source]:
    """The images of files, folders and patterns, each once, with a name of its own."""
    found: dict[Path, tuple[Path, Path]] = {}
    for argument in arguments:
        for path, name in _expanded(argument):
            found.setdefault(_normal(path), (path, name))
    names = _distinct({path: name for path, (_, name) in found.items()})
    return [Source(given, names[path]) for path, (given, _) in found.items()]


def slug(label: str) -> str:
    """A label as a part of a file name."""
    return _UNSAFE.sub("_", label).strip("_") or "_"


def _expanded(argument: str) -> Iterator[tuple[Path, Path]]:
    path = Path(argument)
    if path.is_dir():
        images = (each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES)
        for each in sorted(images):
            yield each, each.relative_to(path)
    elif _WILDCARDS.search(argument) and not path.exists():
        for match in sorted(glob.glob(argument, recursive=True)):  # noqa: PTH207 - absolute patterns too
            if Path(match).is_file():
                yield Path(match), Path(Path(match).name)
    else:
        yield path, Path(path.name)


def _normal(path: Path) -> Path:
    return Path(abspath(path))  # noqa: PTH100 - Path.resolve would follow links to other names


def _distinct(found: Mapping[Path, Path]) -> dict[Path, Path]:
    """Names without endings where they tell the images apart, else longer ones."""
    if not found:
        return {}
    common = Path(commonpath([path.parent for path in found]))
    choices = (
        {path: _without_ending(name) for path, name in found.items()},
        {path: _with_ending(name) for path, name in found.items()},
        {path: _without_ending(path.relative_to(common)) for path in found},
        {path: _with_ending(path.relative_to(common)) for path in found},
    )
    return next(filter(_all_differ, choices), None) or _numbered(choices[-1])


def _without_ending(path: Path) -> Path:
    return path.with_name(path.stem.replace(".", "_"))


def _with_ending(path: Path) -> Path:
    return path.with_name(path.name.replace(".", "_"))


def _numbered(names: Mapping[Path, Path]) -> dict[Path, Path]:
    return {
        path: name.with_name(f"{name.name}-{number}")
        for number, (path, name) in enumerate(names.items(), 1)
    }


def _all_differ(names: Mapping[Path, Path]) -> bool:
    return len({str(name).casefold() for name in names.values()}) == len(names)
