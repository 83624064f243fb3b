"""The inputs, made from the samples and the same every time."""

import io
from functools import cache

import numpy as np
from PIL import Image

from benchmarks.server import ROOT

COFFEE = ROOT / "samples" / "coffee.png"
SMALL, LARGE = (480, 320), (1280, 960)
SMALL_BYTES = 30_000


@cache
def small_jpeg() -> bytes:
    """480 x 320 in about 30 KB: what a careful caller sends."""
    encoded = (_jpeg(_photo(SMALL), quality) for quality in range(95, 30, -1))
    return next(data for data in encoded if len(data) <= SMALL_BYTES)


@cache
def large_jpeg() -> bytes:
    """1280 x 960 with the grain of a camera, which an enlarged photo lacks."""
    pixels = np.asarray(_photo(LARGE), np.float32)
    grain = np.random.default_rng(0).normal(0, 4, pixels.shape)
    grainy = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    return _jpeg(Image.fromarray(grainy), 90)


def _photo(size: tuple[int, int]) -> Image.Image:
    return Image.open(COFFEE).convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
