"""Pictures for people: with boxes, areas and words on them, each under its heading."""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from pellucid_server.imaging.letters import Lettering
from pellucid_server.imaging.resample import resample
from pellucid_server.types import Array, Box, Image, Size

Color = tuple[int, int, int]

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
DARK: Color = (32, 32, 32)
FOUND: Color = (0, 158, 115)
MISSED: Color = (213, 94, 0)
EXTRA: Color = (86, 180, 233)
IGNORED: Color = (160, 160, 160)
"""Of Okabe and Ito, https://jfly.uni-koeln.de/color: colour-blind people tell them apart."""

MOST_SIDE = 4096
"""Longest side of a panel, also where none is asked for."""
LEAST_WITH_WORDS = 64
"""Shorter panels have no words: they would hide everything, and nobody could read them."""
OPACITY = 0.45
GAP = 4
CLOSE = 1e-6
"""How near to a whole pixel counts as whole."""
GOLDEN_RATIO = 0.618034
"""Steps of it spread any number of hues evenly."""


def color_of(class_id: int) -> Color:
    """A class's colour, well apart from its neighbours': as the client draws it."""
    hue = class_id * GOLDEN_RATIO % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True)
class Tag:
    """Words on their colour; where room lacks, `text` is cut and `end` stays."""

    text: str
    color: Color
    end: str = ""


class Canvas:
    """A picture under the pen.

    With its heading no side is longer than `side`, or `MOST_SIDE` where that is 0. A picture
    that is much smaller than `side` is enlarged by a whole factor; a narrow or flat one gets
    a margin at its left or above, so that words have room. Boxes are in pixels of a picture
    of `size`, by default this one.
    """

    def __init__(self, image: Image, side: int = 0, size: Size | None = None) -> None:
        given = Size(*image.shape[:2])
        most = side or MOST_SIDE
        self.with_words = most >= LEAST_WITH_WORDS
        self.letters = Lettering.of(side or min(max(given), MOST_SIDE))
        room = Size(most - self._heading, most)
        self.shown = _fitted(given, room, enlarge=side > 0)
        least = Size(4 * self.letters.line, 11 * self.letters.line)
        extents = [
            max(extent, min(wanted, available)) if self.with_words else extent
            for extent, wanted, available in zip(self.shown, least, room, strict=True)
        ]
        self.photo = Pillow.new("RGB", (extents[1], extents[0]), DARK)
        self._top, self._left = (
            whole - part for whole, part in zip(extents, self.shown, strict=True)
        )
        larger = self.shown.height > given.height
        pixels = resample(image, self.shown, "nearest" if larger else "area")
        self.photo.paste(Pillow.fromarray(pixels), (self._left, self._top))
        self._scale = tuple(new / old for new, old in zip(self.shown, size or given, strict=True))
        self._tags: list[Box] = []

    @property
    def _heading(self) -> int:
        return self.letters.line + 2 * self.letters.unit if self.with_words else 0

    def tint(self, mask: NDArray[np.bool_], color: Color) -> None:
        """A colour over a mask of the whole picture, its edge at full strength."""
        covered = resample(mask.astype(np.uint8) * 255, self.shown, "area") > 127
        self._blend(np.asarray(color), np.where(_edge(covered), 1, OPACITY) * covered)

    def paint(self, classes: Array, colors: Mapping[int, Color]) -> None:
        """Every class of a map of the whole picture in its colour; the others stay."""
        shown = resample(classes.astype(np.float32), self.shown, "nearest")
        found, places = np.unique(shown, return_inverse=True)
        table = np.array([colors.get(int(each), BLACK) for each in found])
        opacity = np.array([OPACITY * (int(each) in colors) for each in found])
        places = places.reshape(shown.shape)
        self._blend(table[places], opacity[places])

    def outline(self, box: Box, color: Color) -> None:
        """A box, kept within the picture, with a dark rim for bright places."""
        place, unit = self._placed(box), self.letters.unit
        pen = ImageDraw.Draw(self.photo)
        corners = (place.x_min, place.y_min, place.x_max, place.y_max)
        pen.rectangle(corners, outline=DARK, width=2 * unit + 1)
        pen.rectangle(corners, outline=color, width=2 * unit)

    def tag(self, box: Box, tag: Tag) -> None:
        """Words at a box: above it, else inside, else below; none where others stand there."""
        if not self.with_words:
            return
        text = self._cut(tag)
        width, height = self._extent(text)
        place = self._placed(box)
        left = max(min(place.x_min, self.photo.width - width), 0)
        for top in (place.y_min - height, place.y_min, place.y_max + 1, place.y_max - height):
            spot = Box(left, top, left + width, top + height)
            inside = top >= 0 and spot.y_max <= self.photo.height
            if inside and not any(_overlap(spot, each) for each in self._tags):
                self._tags.append(spot)
                self._write(spot, text, tag.color)
                return

    def legend(self, tags: Sequence[Tag]) -> None:
        """Lines in the top left corner, each on its colour; the last tells of those left out."""
        if not self.with_words:
            return
        unit, height = self.letters.unit, self._extent("")[1]
        room = max((self.photo.height - unit) // (height + unit), 1)
        if len(tags) > room:
            tags = [*tags[: room - 1], Tag(f"and {len(tags) - room + 1} more", DARK)]
        for line, tag in enumerate(tags):
            text, top = self._cut(tag), unit + line * (height + unit)
            width, _ = self._extent(text)
            self._write(Box(unit, top, unit + width, top + height), text, tag.color)

    def note(self, text: str) -> None:
        """A text below, on as many lines as it takes, but of the picture a third stays."""
        if not self.with_words:
            return
        line = self.letters.line
        most = max(2 * self.photo.height // (3 * line), 1)
        lines = self.letters.wrapped(text, self._room, most)
        top = self.photo.height - len(lines) * line - 2 * self.letters.unit
        pen = ImageDraw.Draw(self.photo)
        pen.rectangle((0, top, self.photo.width, self.photo.height), fill=DARK)
        for place, each in enumerate(lines):
            middle = top + self.letters.unit + (place + 0.5) * line
            self._text(pen, (2 * self.letters.unit, middle), each, WHITE)

    def framed(self, heading: str, color: Color = DARK) -> Image:
        """The picture under its heading."""
        height = self._heading
        panel = Pillow.new("RGB", (self.photo.width, self.photo.height + height), color)
        panel.paste(self.photo, (0, height))
        if self.with_words:
            text = self.letters.fitted(heading, "", self._room)
            place = (2 * self.letters.unit, height / 2)
            self._text(ImageDraw.Draw(panel), place, text, _readable_on(color))
        return np.asarray(panel)

    @property
    def _room(self) -> int:
        return self.photo.width - 4 * self.letters.unit

    def _cut(self, tag: Tag) -> str:
        return self.letters.fitted(tag.text, tag.end, self._room - 2 * self.letters.unit)

    def _extent(self, text: str) -> tuple[int, int]:
        return self.letters.width(text) + 4 * self.letters.unit, self.letters.line

    def _write(self, spot: Box, text: str, color: Color) -> None:
        pen = ImageDraw.Draw(self.photo)
        pen.rectangle((spot.x_min, spot.y_min, spot.x_max - 1, spot.y_max - 1), fill=color)
        place = (spot.x_min + 2 * self.letters.unit, (spot.y_min + spot.y_max) / 2)
        self._text(pen, place, text, _readable_on(color))

    def _text(
        self, pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, color: Color
    ) -> None:
        """From the middle of its left edge on."""
        pen.text(place, text, fill=color, font=self.letters.font, anchor="lm")

    def _placed(self, box: Box) -> Box:
        """In pixels of the photo, within the picture."""
        down, across = self._scale
        (height, width), left, top = self.shown, self._left, self._top
        x_min = left + min(max(box.x_min * across, 0), width - 1)
        y_min = top + min(max(box.y_min * down, 0), height - 1)
        x_max = left + min(box.x_max * across, width - 1)
        y_max = top + min(box.y_max * down, height - 1)
        return Box(round(x_min), round(y_min), round(max(x_min, x_max)), round(max(y_min, y_max)))

    def _blend(self, colors: Array, opacity: Array) -> None:
        corner = (self._left, self._top)
        area = (*corner, self._left + self.shown.width, self._top + self.shown.height)
        pixels, share = np.asarray(self.photo.crop(area)), opacity[..., None]
        mixed = np.rint(pixels * (1 - share) + colors * share).astype(np.uint8)
        self.photo.paste(Pillow.fromarray(mixed), corner)


def beside(panels: Sequence[Image]) -> Image:
    """Panels in a row, their tops level."""
    height = max(len(panel) for panel in panels)
    width = sum(panel.shape[1] for panel in panels) + GAP * (len(panels) - 1)
    whole = np.full((height, width, 3), WHITE, np.uint8)
    left = 0
    for panel in panels:
        whole[: len(panel), left : left + panel.shape[1]] = panel
        left += panel.shape[1] + GAP
    return whole


def _fitted(size: Size, room: Size, *, enlarge: bool) -> Size:
    """As large as there is room: shrunk by any factor, enlarged by a whole one."""
    factor = min(room.height / size.height, room.width / size.width)
    if factor >= 1:
        factor = int(factor) if enlarge else 1
    return Size(*(max(1, int(extent * factor + CLOSE)) for extent in size))


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
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else WHITE
