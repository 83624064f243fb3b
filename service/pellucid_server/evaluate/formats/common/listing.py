"""What lies where in a data set."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from pellucid_server.errors import InvalidInput, OutsideRoot
from pellucid_server.evaluate.files import Files, checked_path, joined
from pellucid_server.nearest import nearest

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
SPLITS = ("val", "valid", "validation", "test", "testing", "train", "training")
"""Parts of a set, the one to evaluate on first."""
SHOWN = 8


def is_image(path: str) -> bool:
    """Whether a name is that of an image."""
    return path.casefold().endswith(IMAGES)


def images(files: Files, under: str = "") -> Iterator[str]:
    """Paths of all images below a folder."""
    return (path for path in files.walk(under) if is_image(path))


def has_images(files: Files, under: str, among: int = 50) -> bool:
    """Whether an image is among the first files directly in a folder."""
    return any(is_image(path) for path in islice(files.files(under), among))


def folder_like(files: Files, under: str, names: Sequence[str]) -> str | None:
    """The folder in `under` that has the first of these names, whatever its case."""
    there = {name.casefold(): name for name in files.folders(under)}
    for name in names:
        if name.casefold() in there:
            return joined(under, there[name.casefold()])
    return None


def choose_split(names: Sequence[str], wanted: str) -> str | None:
    """The part of a set that is wanted, or the first of `SPLITS` that there is.

    Raises:
        InvalidInput: there is no part of the wanted name.
    """
    if wanted:
        if wanted in names:
            return wanted
        known = nearest(wanted, names)
        raise InvalidInput(f"there is no split {wanted!r}.{known}", field="parameters[split]")
    return next((name for name in SPLITS if name in names), None)


def choose_file(names: Sequence[str], parameter: str) -> str | None:
    """The only file, or the first that is called after one of `SPLITS`; None: there are none.

    Raises:
        InvalidInput: several would do.
    """
    if len(names) < 2:
        return next(iter(names), None)
    for split in SPLITS:
        for name in names:
            if re.match(rf"{split}(?![a-z])", name.rpartition("/")[2], re.IGNORECASE):
                return name
    raise InvalidInput(
        f"the data set has several lists: say which in {parameter}. There are {_some(iter(names))}",
        field=f"parameters[{parameter}]",
    )


def require_file(files: Files, path: str, parameter: str) -> str:
    """The path, of a file that is there; errors are of the parameter that named it.

    Raises:
        InvalidInput: it is not there.
        OutsideRoot: it leads out of the set.
    """
    clean = inner_path(path, parameter)
    if files.has(clean):
        return clean
    raise InvalidInput(f"{files.name} has no file {path!r}", field=f"parameters[{parameter}]")


def inner_path(path: str, parameter: str) -> str:
    """The path within the set that a parameter names; raises as `checked_path`."""
    try:
        return checked_path(path)
    except (InvalidInput, OutsideRoot) as error:
        raise type(error)(error.message, field=f"parameters[{parameter}]") from error


def shown(files: Files) -> str:
    """What lies at the root, for messages."""
    return f"folders {_some(iter(files.folders()))} and files {_some(files.files())}"


def _some(names: Iterator[str]) -> str:
    first = list(islice(names, SHOWN + 1))
    more = ", ..." if len(first) > SHOWN else ""
    return ", ".join(repr(name[:80]) for name in first[:SHOWN]) + more if first else "(none)"
