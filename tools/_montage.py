from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CELL = (400, 330)
COLUMNS = 4
CAPTION = 28


def montage(pictures: Sequence[tuple[Path, str]]) -> Image.Image:
    """Pictures side by side, each with its caption."""
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL[0], rows * (CELL[1] + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(17)
    for index, (path, caption) in enumerate(pictures):
        left, top = index % COLUMNS * CELL[0], index // COLUMNS * (CELL[1] + CAPTION)
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((CELL[0] - 12, CELL[1] - 8), Image.Resampling.LANCZOS)
        draw.text((left + 6, top + 5), caption, "black", font)
        sheet.paste(picture, (left + 6, top + CAPTION))
    return sheet
