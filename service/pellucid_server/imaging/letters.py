"""Words on pictures, whatever text they come from."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MOST_LETTERS = 400
"""Longer texts are cut before they are measured: they come from data sets."""
NO_LETTER = "\U0010fffd"
"""No font has it: it is drawn as what a font lacks is."""
UNKNOWN = "?"
SMALLEST, LARGEST = 12, 40


@dataclass(frozen=True)
class Lettering:
    """How large words are; `unit` is the width of a line, `line` the height of a row."""

    font: Font
    unit: int
    line: int

    @staticmethod
    @lru_cache
    def of(side: int) -> "Lettering":
        """As fits a picture whose longer side has so many pixels."""
        size = min(max(side // 26, SMALLEST), LARGEST)
        font, unit = ImageFont.load_default(size), max(size // 8, 1)
        _, top, _, bottom = font.getbbox("Ag")
        return Lettering(font, unit, round(bottom - top) + 4 * unit)

    def width(self, text: str) -> int:
        """Pixels of a text in a line."""
        return round(self.font.getlength(text))

    def fitted(self, text: str, end: str, room: int) -> str:
        """The text and its end, which stays where the text must be cut."""
        text = printable(text)
        if self.width(text + end) <= room:
            return text + end
        while text and self.width(f"{text}…{end}") > room:
            text = text[:-1]
        return f"{text.rstrip()}…{end}"

    def wrapped(self, text: str, room: int, most: int) -> list[str]:
        """Lines of a text, no more than `most`."""
        lines: list[str] = []
        for word in self._words(printable(text), room):
            joined = f"{lines[-1]} {word}" if lines else word
            if lines and self.width(joined) <= room:
                lines[-1] = joined
            else:
                lines.append(word)
        if len(lines) > most:
            lines[most - 1 :] = [self.fitted(" ".join(lines[most - 1 :]), "", room)]
        return lines

    def _words(self, text: str, room: int) -> Iterator[str]:
        """Those that no line has room for in pieces."""
        longest = max(room // self.width("W"), 1)
        for word in text.split():
            step = len(word) if self.width(word) <= room else longest
            yield from (word[start : start + step] for start in range(0, len(word), step))


def printable(text: str) -> str:
    """What can be drawn of a text: letters without their accents, or else question marks."""
    composed = unicodedata.normalize("NFC", text[:MOST_LETTERS])
    return "".join(map(_drawable, composed))


def name_of(class_id: int, label: str) -> str:
    """The class's label, or its index where there is none that can be drawn."""
    name = printable(label).strip()
    return name if any(each.isalnum() for each in name) else f"class {class_id}"


@lru_cache(4096)
def _drawable(letter: str) -> str:
    if not letter.isprintable():
        return " "
    if _has(letter):
        return letter
    parts = "".join(filter(_has, unicodedata.normalize("NFKD", letter)))
    return parts or ("" if unicodedata.combining(letter) else UNKNOWN)


def _has(letter: str) -> bool:
    """Whether the font has a shape for it."""
    return _glyph(letter) != _glyph(NO_LETTER)


def _glyph(letter: str) -> tuple[object, bytes]:
    mask = Lettering.of(0).font.getmask(letter)
    return mask.size, bytes(mask)
