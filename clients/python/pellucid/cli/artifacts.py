"""What `explain` writes of a map."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pellucid.cli.files import slug
from pellucid.explanations import Explanation

_FULL = 2**16 - 1


class Maps(StrEnum):
    """How maps are written."""

    NPY = "npy"
    PNG = "png"
    BOTH = "both"


def write(found: Explanation, stem: Path, among: Sequence[Explanation], maps: Maps) -> list[Path]:
    """Writes the map and the overlay of one explanation among those of an image."""
    stem = stem.with_name(f"{stem.name}.{_label(found, among)}")
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    if maps is not Maps.PNG:
        written.append(_beside(stem, "npy"))
        np.save(written[-1], found.saliency_map)
    if maps is not Maps.NPY:
        written.append(_beside(stem, "png"))
        _write_png(written[-1], found)
    if found.overlay_data is not None:
        written.append(_beside(stem, f"overlay.{found.overlay_media_type.rpartition('/')[2]}"))
        written[-1].write_bytes(found.overlay_data)
    return written


def _label(found: Explanation, among: Sequence[Explanation]) -> str:
    """The target's name for a file.

    Classes of one name are told apart by their index, objects of one class by their order.
    """
    name = slug(found.target.name)
    same = [each for each in among if slug(each.target.name).casefold() == name.casefold()]
    if len({each.target.class_id for each in same}) == len(same):
        return name if len(same) == 1 else f"{name}-{found.target.class_id}"
    return f"{name}-{next(place for place, each in enumerate(same, 1) if each is found)}"


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(f"{stem.name}.{ending}")


def _write_png(path: Path, found: Explanation) -> None:
    """16-bit grey from the least value (0) to the greatest; both stand in the file's texts."""
    values = found.saliency_map
    low, high = float(values.min()), float(values.max())
    scaled = (values.astype(np.float64) - low) / (high - low or 1.0) * _FULL
    texts = PngInfo()
    texts.add_text("minimum", repr(low))
    texts.add_text("maximum", repr(high))
    Image.fromarray(np.rint(scaled).astype(np.uint16)).save(path, pnginfo=texts)
