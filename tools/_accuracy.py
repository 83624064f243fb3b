"""The demo's second half: a model measured, quantised to INT8, and compared with what it was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _variants import write_variants
from rich.progress import Progress

import pellucid
from pellucid.report import comparison_page, evaluation_page

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
PHOTOS = {"coffee.png": "espresso", "chelsea.png": "Egyptian Mau", "rocket.jpg": "missile"}
DATASET = "photos"
EXPLAINED = 6


@dataclass(frozen=True)
class Accuracy:
    """Evaluates, quantises and compares; each step draws a bar."""

    client: pellucid.Client
    model: str
    out: Path
    variants: int

    def run(self, bars: Progress) -> Iterator[tuple[str, str]]:
        """Files that were written, and what they show."""
        photos = {SAMPLES / name: label for name, label in PHOTOS.items()}
        write_variants(photos, self.out / DATASET, self.variants)
        before = self._evaluate("as it is", "", bars)
        yield self._page(
            "evaluation.html", evaluation_page(self.client, before), self._said(before)
        )
        version = self._quantise(bars)
        after = self._evaluate("in INT8", version, bars)
        found = self.client.compare_evaluations(before, after, explained_images=EXPLAINED)
        page = comparison_page(self.client, before, after, found)
        yield self._page("comparison.html", page, _summary(found))

    def _evaluate(self, what: str, version: str, bars: Progress) -> str:
        stream = self.client.evaluate(
            DATASET, model=self.model, version=version, progress_interval=0.1
        )
        advance = _bar(bars, f"{what}", "images")
        stream.result(progress=lambda at: advance(at.done, at.total, at.images_per_second))
        return stream.accepted().name

    def _quantise(self, bars: Progress) -> str:
        advance = _bar(bars, "to INT8", "steps")
        stream = self.client.optimize(self.model, dataset=DATASET, calibration_size=60)
        made = stream.result(progress=lambda at: advance(at.done, at.total or at.done, 0))
        return made.version

    def _said(self, name: str) -> str:
        report = self.client.evaluation(name).report
        top = next(metric.value for metric in report.metrics if metric.name == "top_1")
        return f"right on {top:.0%} of {report.images} variants of {len(PHOTOS)} photos"

    def _page(self, name: str, html: str, says: str) -> tuple[str, str]:
        (self.out / name).write_text(html)
        return name, says


def _bar(bars: Progress, what: str, unit: str) -> Callable[..., None]:
    task: Any = bars.add_task(what, total=1, unit=unit, rate=0.0, left=0.0)

    def advance(done: int, total: int, rate: float) -> None:
        left = (total - done) / rate if rate else 0.0
        bars.update(task, completed=done, total=max(total, 1), rate=rate, left=left)

    return advance


def _summary(found: pellucid.Comparison) -> str:
    delta = found["top_1"]
    parts = [
        f"INT8: {delta.delta:+.1%} right",
        f"{found.disagreements} of {found.images} predictions changed",
        f"{found.size_ratio:.0%} of the size",
        f"{found.speedup:.1f} times as fast",
        f"importance maps correlate {found.map_correlation:.2f}",
    ]
    return ", ".join(parts)
