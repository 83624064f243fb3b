"""A saliency map drawn over its image, with a legend that says what the colours mean."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from pellucid_server.imaging.frame import Frame
from pellucid_server.types import Box, Image

TINY = float(np.finfo(np.float32).tiny)
"""Keeps a constant map from dividing by zero."""

COLOR_MAPS = {
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "magma": cv2.COLORMAP_MAGMA,
    "plasma": cv2.COLORMAP_PLASMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
}


def draw_overlay(
    image: Image,
    frame: Frame,
    values: NDArray[np.float32],
    *,
    title: str,
    color_map: str = "inferno",
    opacity: float = 0.6,
    legend: bool = True,
    box: Box | None = None,
) -> Image:
    """The map's colours over the photo, grey beneath them so that they read as in the legend.

    `values` has the size of the model's input; what the input did not show (outside a centre
    crop) stays as it is, in colour. `box`, in pixels of the image, is outlined. The legend
    below adds rows.
    """
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / max(high - low, TINY)
    placed = frame.place(scaled, fill=np.nan)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    blended = cv2.addWeighted(
        _colors(np.nan_to_num(placed), color_map), opacity, grey, 1 - opacity, 0
    )
    drawn = np.where(np.isnan(placed)[..., None], image, blended)
    if box is not None:
        drawn = _outlined(drawn, box)
    if not legend:
        return drawn
    return np.vstack([drawn, _legend(image.shape[1], title, low, high, color_map)])


def _colors(values: NDArray[np.float32], color_map: str) -> Image:
    levels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    colored = cv2.applyColorMap(levels, COLOR_MAPS[color_map])
    return np.asarray(cv2.cvtColor(colored, cv2.COLOR_BGR2RGB))


def _outlined(image: Image, box: Box) -> Image:
    """A white line around a box, between dark ones that show it on bright colours."""
    picture = Pillow.fromarray(image)
    draw, line = ImageDraw.Draw(picture), max(1, round(min(picture.size) / 200))
    left, top = max(round(box.x_min), 0), max(round(box.y_min), 0)
    right = max(left, min(round(box.x_max), picture.width) - 1)
    bottom = max(top, min(round(box.y_max), picture.height) - 1)
    draw.rectangle((left, top, right, bottom), outline="black", width=3 * line)
    if right - left > 2 * line and bottom - top > 2 * line:
        inner = (left + line, top + line, right - line, bottom - line)
        draw.rectangle(inner, outline="white", width=line)
    return np.asarray(picture)


def _legend(width: int, title: str, low: float, high: float, color_map: str) -> Image:
    """The class's name, and the colours from the least to the greatest value."""
    size = max(11, min(28, width // 26))
    font = ImageFont.load_default(size)
    pad, bar = size // 2, size // 2 + 2
    strip = Pillow.new("RGB", (width, 2 * size + bar + 4 * pad), "white")
    draw = ImageDraw.Draw(strip)
    draw.text((pad, pad), _fitted(draw, title, font, width - 2 * pad), "black", font)
    top = pad + size + pad
    ramp = np.tile(np.linspace(0, 1, max(1, width - 2 * pad), dtype=np.float32), (bar, 1))
    strip.paste(Pillow.fromarray(_colors(ramp, color_map)), (pad, top))
    below = top + bar + pad // 2
    draw.text((pad, below), f"{low:.3g}", "black", font)
    draw.text((width - pad, below), f"{high:.3g}", "black", font, anchor="ra")
    return np.asarray(strip)


def _fitted(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    room: int,
) -> str:
    while draw.textlength(text, font) > room and len(text) > 1:
        text = text.removesuffix("…")[:-1] + "…"
    return text
