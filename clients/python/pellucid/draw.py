"""Predictions drawn on their photos, with Pillow alone."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pellucid._wire.inputs import open_image
from pellucid.results import (
    AnyResult,
    ClassificationResult,
    Detection,
    DetectionResult,
    ImageResult,
    Instance,
    InstanceSegmentationResult,
    SemanticSegmentationResult,
)
from pellucid.types import Box, Category, ImageLike

Color = tuple[int, int, int]

_MASK_OPACITY = 0.45
_GOLDEN_RATIO = 0.618034  # steps of it spread any number of hues evenly
_BLACK: Color = (0, 0, 0)
_WHITE: Color = (255, 255, 255)
_PANEL: Color = (32, 32, 32)


def annotate(image: ImageLike, result: AnyResult) -> Image.Image:
    """The photo with what the model found: boxes, masks, classes; or the model's picture.

    Raises:
        TypeError: raw outputs, of which there is no picture.
    """
    match result:
        case ImageResult():
            return result.image
        case ClassificationResult():
            return draw_classes(open_image(image), result.categories)
        case DetectionResult():
            return draw_objects(open_image(image), result.detections)
        case InstanceSegmentationResult():
            return draw_objects(open_image(image), result.instances)
        case SemanticSegmentationResult():
            return draw_areas(open_image(image), result)
    raise TypeError(f"there is no picture of a {type(result).__name__}")


def color_of(class_id: int) -> Color:
    """A class's colour: the same on every picture, well apart from its neighbours'."""
    hue = class_id * _GOLDEN_RATIO % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_objects(photo: Image.Image, objects: Sequence[Detection]) -> Image.Image:
    """Boxes with their labels, over masks where there are any; the most confident on top."""
    for each in reversed(objects):
        if isinstance(each, Instance):
            photo = _tinted(photo, each.mask, color_of(each.class_id))
    canvas = Canvas.on(photo)
    for each in reversed(objects):
        canvas.outline(each.box, color_of(each.class_id))
    for each in objects:
        canvas.tag(each.box, _caption(each.category), color_of(each.class_id))
    return canvas.photo


def draw_areas(photo: Image.Image, result: SemanticSegmentationResult) -> Image.Image:
    """Every class in its colour, with a legend; what the palette leaves black stays as it is."""
    shown = [each for each in result.areas if each.color != _BLACK]
    for each in shown:
        photo = _tinted(photo, result.label_map == each.category.class_id, each.color)
    canvas = Canvas.on(photo)
    canvas.legend(
        [(f"{_printable(each.label)}: {each.share:.0%} of the image", each.color) for each in shown]
    )
    return canvas.photo


def draw_classes(photo: Image.Image, categories: Sequence[Category]) -> Image.Image:
    """The classes and their confidences, in the top left corner."""
    canvas = Canvas.on(photo)
    canvas.legend([(_caption(each), color_of(each.class_id)) for each in categories])
    return canvas.photo


@dataclass
class Canvas:
    """A photo under the pen; sizes follow its own."""

    photo: Image.Image
    unit: int
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont
    _tags: list[Box] = field(default_factory=list)

    @classmethod
    def on(cls, photo: Image.Image) -> "Canvas":
        """A copy of a photo to draw on."""
        height = min(max(min(photo.size) // 28, 11), 48)
        return cls(photo.copy(), max(height // 8, 1), ImageFont.load_default(height))

    def outline(self, box: Box, color: Color) -> None:
        """A box, kept within the photo, with a dark rim for bright places."""
        x_min, y_min, x_max, y_max = self._clipped(box)
        pen = ImageDraw.Draw(self.photo)
        pen.rectangle((x_min, y_min, x_max, y_max), outline=_PANEL, width=2 * self.unit + 1)
        pen.rectangle((x_min, y_min, x_max, y_max), outline=color, width=2 * self.unit)

    def tag(self, box: Box, text: str, color: Color) -> None:
        """A label at a box: above it, else inside, else below; not over another label."""
        text = self._fitted(text)
        width, height = self._extent(text)
        clipped = self._clipped(box)
        left = max(min(clipped.x_min, self.photo.width - width), 0)
        tops = (clipped.y_min - height, clipped.y_min, clipped.y_max, clipped.y_max - height)
        places = [Box(left, top, left + width, top + height) for top in tops]
        inside = [each for each in places if each.y_min >= 0 and each.y_max <= self.photo.height]
        free = [each for each in inside if not any(_overlap(each, tag) for tag in self._tags)]
        place = (free or inside or [Box(left, 0, left + width, height)])[0]
        self._tags.append(place)
        self._write(place, text, color)

    def legend(self, rows: Sequence[tuple[str, Color]]) -> None:
        """Lines of text in the top left corner, each on its colour; as many as fit."""
        top = float(2 * self.unit)
        for text, color in rows:
            fitted = self._fitted(text)
            width, height = self._extent(fitted)
            if top + height > self.photo.height:
                return
            left = 2.0 * self.unit
            self._write(Box(left, top, left + width, top + height), fitted, color)
            top += height + self.unit

    def _write(self, place: Box, text: str, color: Color) -> None:
        pen = ImageDraw.Draw(self.photo)
        pen.rectangle((place.x_min, place.y_min, place.x_max - 1, place.y_max - 1), fill=color)
        middle = (place.x_min + 2 * self.unit, (place.y_min + place.y_max) / 2)
        pen.text(middle, text, fill=_readable_on(color), font=self.font, anchor="lm")

    def _extent(self, text: str) -> tuple[int, int]:
        left, top, right, bottom = self.font.getbbox("Åg")
        del left, right
        return round(self.font.getlength(text)) + 4 * self.unit, round(bottom - top) + 2 * self.unit

    def _fitted(self, text: str) -> str:
        room = self.photo.width - 4 * self.unit
        if self._extent(text)[0] <= room:
            return text
        while text and self._extent(f"{text}...")[0] > room:
            text = text[:-1]
        return f"{text}..." if text else ""

    def _clipped(self, box: Box) -> Box:
        right, bottom = self.photo.width - 1, self.photo.height - 1
        x_min, y_min = min(max(box.x_min, 0), right), min(max(box.y_min, 0), bottom)
        return Box(
            x_min, y_min, min(max(box.x_max, x_min), right), min(max(box.y_max, y_min), bottom)
        )


def _caption(category: Category) -> str:
    return f"{_printable(category.name)} {category.confidence:.0%}"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


def _tinted(photo: Image.Image, mask: NDArray[np.bool_], color: Color) -> Image.Image:
    """The photo with a colour over a mask, its edge at full strength."""
    if mask.shape != (photo.height, photo.width):
        mask = np.asarray(Image.fromarray(mask).resize(photo.size, Image.Resampling.NEAREST))
    opacity = np.where(_edge(mask), 1.0, _MASK_OPACITY)[..., None] * mask[..., None]
    pixels = np.asarray(photo) * (1 - opacity) + np.array(color) * opacity
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner = np.pad(mask, 1, constant_values=True)
    core = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~core


def _overlap(one: Box, other: Box) -> bool:
    return (
        one.x_min < other.x_max
        and other.x_min < one.x_max
        and one.y_min < other.y_max
        and other.y_min < one.y_max
    )


def _readable_on(color: Color) -> Color:
    red, green, blue = color
    return _BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else _WHITE
