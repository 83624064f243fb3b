"""A data set from a few photos: each cropped, turned, mirrored, lit otherwise, many times."""

import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageEnhance, ImageFilter

SIDE = 320


def write_variants(photos: dict[Path, str], folder: Path, count: int) -> None:
    """Writes `count` variants of each photo into a folder named as its class."""
    for photo, label in photos.items():
        place = folder / label
        place.mkdir(parents=True, exist_ok=True)
        for index, variant in enumerate(_variants(photo, count)):
            variant.save(place / f"{photo.stem}-{index:02}.jpg", quality=88)


def _variants(photo: Path, count: int) -> Iterator[Image.Image]:
    original = Image.open(photo).convert("RGB")
    for index in range(count):
        yield _variant(original, random.Random(f"{photo.name} {index}"))  # noqa: S311 - pictures


def _variant(original: Image.Image, chance: random.Random) -> Image.Image:
    turned = original.rotate(chance.uniform(-10, 10), Image.Resampling.BICUBIC)
    part = chance.uniform(0.75, 1)
    width, height = (round(side * part) for side in turned.size)
    left, top = (
        chance.randint(0, full - own)
        for full, own in zip(turned.size, (width, height), strict=True)
    )
    cropped = turned.crop((left, top, left + width, top + height))
    cropped.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    if chance.random() < 0.5:
        cropped = cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    lit = ImageEnhance.Brightness(cropped).enhance(chance.uniform(0.7, 1.3))
    return lit.filter(ImageFilter.GaussianBlur(chance.uniform(0, 1)))
