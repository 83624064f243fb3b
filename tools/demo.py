"""The main job, start to end: serves the zoo, predicts, explains, evaluates, optimises.

Starts `pellucid-server` on a free loopback port, asks it through the client, writes the pictures
into a folder, prints what it saw, and stops the server. Run it through `make demo`.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _accuracy import Accuracy
from _montage import montage
from _server import running_server
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

import pellucid
from pellucid.draw import annotate

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
CLASSIFIER = "efficientnet-lite0"
OVERVIEW = {
    "explain-coffee-espresso.png": "Why espresso?",
    "explain-chelsea-tiger-cat.png": "Why tiger cat?",
    "explain-astronaut-football-helmet.png": "Why football helmet?",
    "detect-coffee.png": "What is where?",
    "segment-astronaut.png": "Which pixels?",
    "style-astronaut.png": "In another style",
    "inpaint-rocket.png": "A mast erased",
    "enlarge-chelsea.png": "Three times the size",
}
HOLE = (178, 112, 214, 262)

console = Console()


@dataclass(frozen=True)
class Row:
    """A line of the closing table."""

    picture: str
    model: str
    saw: str


@dataclass(frozen=True)
class Demo:
    """The steps; each writes its pictures and tells what it saw."""

    client: pellucid.Client
    out: Path
    masks: int
    variants: int

    def explain(self, photo: str, bars: Progress) -> Iterator[Row]:
        """RISE for the two most confident classes, in one pass."""
        stream = self.client.explain(
            SAMPLES / photo, model=CLASSIFIER, top_k=2, overlay=True, num_masks=self.masks
        )
        task = bars.add_task(photo, total=self.masks, unit="masks", rate=0.0, left=0.0)

        def advance(event: pellucid.Progress) -> None:
            rate, left = event.units_per_second, event.remaining
            bars.update(task, completed=event.done, rate=rate, left=left)

        for explanation in stream.results(progress=advance):
            target = explanation.target
            name = f"explain-{Path(photo).stem}-{slug(target.label)}.png"
            explanation.overlay.save(self.out / name)
            yield Row(name, CLASSIFIER, f"{target.label} {target.confidence:.0%}")

    def predict(
        self, what: str, photo: str, model: str, saw: str = "", **parameters: Any
    ) -> Iterator[Row]:
        """A prediction drawn on its photo, or the picture that the model makes of it."""
        result = self.client.predict(SAMPLES / photo, model=model, **parameters)
        name = f"{what}-{Path(photo).stem}.png"
        annotate(SAMPLES / photo, result).save(self.out / name)
        yield Row(name, model, saw or repr(result).split("(", 1)[1].rstrip(")"))

    def enlarge(self, photo: str, model: str) -> Iterator[Row]:
        """Three times the size, from a small copy of a photo."""
        original = Image.open(SAMPLES / photo)
        size = (original.width // 3, original.height // 3)
        small = original.resize(size, Image.Resampling.LANCZOS)
        large = annotate(small, self.client.predict(small, model=model))
        name = f"enlarge-{Path(photo).stem}.png"
        large.save(self.out / name)
        yield Row(name, model, "{} x {} made {} x {}".format(*size, *large.size))

    def predictions(self) -> Iterator[Row]:
        """Every task but classification."""
        coffee = {"style_image": SAMPLES / "coffee.png"}
        yield from self.predict("detect", "coffee.png", "nanodet", confidence_threshold=0.25)
        yield from self.predict("detect", "chelsea.png", "nanodet")
        yield from self.predict("detect", "astronaut.png", "nanodet")
        yield from self.predict("segment", "astronaut.png", "selfie-segmentation")
        yield from self.predict("style", "chelsea.png", "multistyle", "style 8", style_index=8)
        yield from self.predict(
            "style", "astronaut.png", "arbitrary-style", "painted like coffee.png", **coffee
        )
        yield from self.enlarge("chelsea.png", "esrgan-slim")
        yield from self.predict(
            "inpaint", "rocket.jpg", "push-pull", "the left mast erased", rectangles=[HOLE]
        )

    def run(self) -> Iterator[Row]:
        """Everything, with a live bar for each explanation."""
        with progress_bars() as bars:
            for photo in ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png"):
                yield from self.explain(photo, bars)
        with console.status("Detecting, segmenting, painting, enlarging, inpainting"):
            yield from self.predictions()
        with progress_bars() as bars:
            for name, says in Accuracy(self.client, CLASSIFIER, self.out, self.variants).run(bars):
                yield Row(name, CLASSIFIER, says)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """How much is done of how much, how fast, time left."""
    columns = (
        TextColumn("{task.description:<13}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(
            "{task.fields[unit]} {task.fields[rate]:4.0f}/s {task.fields[left]:3.0f} s left"
        ),
    )
    with Progress(*columns, console=console, expand=True) as bars:
        yield bars


def slug(label: str) -> str:
    """A label as part of a file name."""
    return "".join(letter if letter.isalnum() else "-" for letter in label.lower()).strip("-")


def table(rows: list[Row], out: Path) -> Table:
    """What the demo saw, and where the pictures are."""
    drawn = Table(title=f"{len(rows)} files in {out}", title_justify="left")
    drawn.add_column("file", no_wrap=True)
    drawn.add_column("what the model saw")
    for row in rows:
        drawn.add_row(row.picture, f"{row.model}: {row.saw}")
    return drawn


def main() -> None:
    """Runs every step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("out"), metavar="DIR")
    parser.add_argument("--masks", type=int, default=1000, metavar="N")
    parser.add_argument("--variants", type=int, default=40, metavar="N", help="of each photo")
    options = parser.parse_args()
    out = options.output
    # A copy: the INT8 version becomes part of it.
    shutil.copytree(ROOT / "models", out / "models", dirs_exist_ok=True)
    flags = ("--data-roots", str(out), "--state", str(out / "state"))
    with running_server(out / "models", out / "server.log", *flags) as target:
        console.print(f"The server is ready on {target}.")
        with pellucid.Client(target) as client:
            rows = list(Demo(client, out, options.masks, options.variants).run())
    console.print(table(rows, out))
    overview = out / "overview.jpg"
    montage([(out / name, caption) for name, caption in OVERVIEW.items()]).save(overview)
    console.print(f"Start with {overview}, then {out / 'comparison.html'} in a browser")


if __name__ == "__main__":
    main()
