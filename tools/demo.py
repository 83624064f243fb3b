"""The main job, start to end: serves the zoo, predicts and explains the samples over gRPC.

Starts `pellucid-server` on a free loopback port, asks it through the client, writes the pictures
into a folder, prints what it saw, and stops the server. Run it through `make demo`.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pellucid
from _server import running_server
from PIL import Image
from pellucid.draw import annotate
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
MASKS = 1000

console = Console()


@dataclass(frozen=True)
class Row:
    """A line of the closing table."""

    what: str
    photo: str
    model: str
    saw: str
    picture: str


class Demo:
    """The steps; each writes its pictures and returns its rows."""

    def __init__(self, client: pellucid.Client, out: Path, masks: int) -> None:
        self.client = client
        self.out = out
        self.masks = masks

    def steps(self) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
        """Every step with its title."""
        for photo in ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png"):
            yield f"Explaining {photo}", lambda photo=photo: self.explain(photo)
        yield "Detecting objects", self.detect
        yield "Segmenting a person", self.segment
        yield "Painting in a style", self.paint
        yield "Enlarging", self.enlarge
        yield "Filling a hole", self.inpaint

    def explain(self, photo: str) -> list[Row]:
        """RISE for the two most confident classes, in one pass."""
        stream = self.client.explain(
            SAMPLES / photo,
            model="efficientnet-lite0",
            top_k=2,
            overlay=True,
            num_masks=self.masks,
        )
        with progress_bar(photo, self.masks) as advance:
            explanations = stream.results(progress=advance)
        rows = []
        for explanation in explanations:
            name = f"explain-{Path(photo).stem}-{slug(explanation.target.label)}.png"
            explanation.overlay.save(self.out / name)
            saw = f"{explanation.target.label} {explanation.target.confidence:.0%}"
            rows.append(Row("explain", photo, "efficientnet-lite0", saw, name))
        return rows

    def detect(self) -> list[Row]:
        """Boxes of NanoDet."""
        return [self._annotated("detect", photo, "nanodet") for photo in ("coffee.png", "astronaut.png")]

    def segment(self) -> list[Row]:
        """Person against background."""
        return [self._annotated("segment", "astronaut.png", "selfie-segmentation")]

    def paint(self) -> list[Row]:
        """One of the trained styles, and the style of another photo."""
        styled = self.client.predict(SAMPLES / "chelsea.png", model="multistyle", style_index=8)
        mixed = self.client.predict(
            SAMPLES / "astronaut.png", model="arbitrary-style", style_image=SAMPLES / "coffee.png"
        )
        return [
            self._saved("style", "chelsea.png", "multistyle", styled, "trained style 8"),
            self._saved("style", "astronaut.png", "arbitrary-style", mixed, "in the style of coffee.png"),
        ]

    def enlarge(self) -> list[Row]:
        """Three times the size, from a small copy of a photo."""
        photo = Image.open(SAMPLES / "chelsea.png")
        small = photo.resize((photo.width // 3, photo.height // 3), Image.Resampling.LANCZOS)
        large = self.client.predict(small, model="esrgan-slim")
        saw = f"{small.width} x {small.height} to {large.image.width} x {large.image.height}"
        return [self._saved("enlarge", "chelsea.png", "esrgan-slim", large, saw)]

    def inpaint(self) -> list[Row]:
        """A rectangle of the photo filled from its surroundings."""
        hole = (300, 40, 360, 110)
        filled = self.client.predict(SAMPLES / "rocket.jpg", model="push-pull", rectangles=[hole])
        return [self._saved("inpaint", "rocket.jpg", "push-pull", filled, f"hole {hole} filled")]

    def _annotated(self, what: str, photo: str, model: str) -> Row:
        result = self.client.predict(SAMPLES / photo, model=model)
        name = f"{what}-{Path(photo).stem}.png"
        annotate(SAMPLES / photo, result).save(self.out / name)
        return Row(what, photo, model, repr(result).split("(", 1)[1].rstrip(")"), name)

    def _saved(
        self, what: str, photo: str, model: str, result: pellucid.ImageResult, saw: str
    ) -> Row:
        name = f"{what}-{Path(photo).stem}.png"
        result.image.save(self.out / name)
        return Row(what, photo, model, saw, name)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[pellucid.Progress], None]]:
    """Masks done of how many, masks a second, time left."""
    columns = (
        TextColumn("{task.description:<15}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("masks, {task.fields[rate]:.0f} masks/s,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, rate=0.0)
        yield lambda event: bar.update(task, completed=event.done, rate=event.units_per_second)


def slug(label: str) -> str:
    """A label as part of a file name."""
    return "".join(letter if letter.isalnum() else "-" for letter in label.lower()).strip("-")


def table(rows: list[Row]) -> Table:
    """What the demo saw, and where the pictures are."""
    drawn = Table("", "photo", "model", "what it saw", "picture", title="Pellucid saw")
    for row in rows:
        drawn.add_row(row.what, row.photo, row.model, row.saw, row.picture)
    return drawn


def main() -> None:
    """Runs every step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "out")
    parser.add_argument("--masks", type=int, default=MASKS)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with running_server(ROOT / "models", options.output / "server.log") as target:
        console.print(f"The server is ready on {target}: seven models, no GPU, no cloud.")
        with pellucid.Client(target) as client:
            for title, step in Demo(client, options.output, options.masks).steps():
                console.print(title, style="bold")
                rows += step()
    console.print(table(rows))
    console.print(f"{len(rows)} pictures are in {options.output}")


if __name__ == "__main__":
    main()
