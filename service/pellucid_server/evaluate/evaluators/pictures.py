"""What the judges of tasks that answer with a picture share."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from pellucid_server.evaluate import parameters
from pellucid_server.evaluate.annotations import Annotation, Picture, Sample
from pellucid_server.evaluate.evaluator import BadAnnotation, Evaluator, LoadPicture, Options
from pellucid_server.evaluate.metrics.histogram import Histogram
from pellucid_server.evaluate.metrics.pictures import CAP, luma, psnr, ssim
from pellucid_server.evaluate.metrics.sums import Total
from pellucid_server.evaluate.report import Metric, Report, Row
from pellucid_server.types import Array, Image, ImageResult, Size

UNITS = {"psnr": "dB", "psnr_holes": "dB"}
MOST_SHAVED = 4096


class PictureEvaluator(Evaluator):
    """Pictures by their likeness to those that they should equal.

    The metrics are means over images. Equal pictures have a PSNR of 100 dB, the most that
    any get. Parameters: `shave`, pixels at the border that are not compared, by default 0;
    `channel`, `rgb` (default) or `y`, the brightness of BT.601 alone. SSIM needs 11 pixels a
    side; smaller pictures are left out of its mean. A row's `score` is its PSNR, its
    `detail` has every figure.
    """

    annotations: ClassVar[tuple[type[Annotation], ...]] = (Picture,)
    metric_names: ClassVar[tuple[str, ...]] = ("psnr", "ssim")
    parameter_names = ("shave", "channel")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._shave = parameters.whole(options, "shave", 0, 0, MOST_SHAVED)
        self._channel = parameters.choice(options, "channel", "rgb", ("rgb", "y"))
        self._totals: dict[str, Total] = defaultdict(Total)
        self._scores = Histogram(50, CAP)

    def wanted_picture(self, sample: Sample) -> str:
        """The path of the picture to equal.

        Raises:
            BadAnnotation: the annotation has none.
        """
        if not isinstance(sample.annotation, Picture):
            raise BadAnnotation("the annotation is no picture")
        return sample.annotation.path

    def row(
        self, index: int, sample: Sample, answer: Any, load: LoadPicture, size: Size | None
    ) -> Row:
        del size
        if sample.annotation is None:
            return Row(index, sample.path)
        result: ImageResult = answer
        wanted = _colored(load(self.wanted_picture(sample)))
        if wanted.shape != result.image.shape:
            raise BadAnnotation(
                f"the picture to equal is {wanted.shape[1]} x {wanted.shape[0]} pixels and the "
                f"model's {result.image.shape[1]} x {result.image.shape[0]}"
            )
        one, other = self._compared(wanted), self._compared(result.image)
        figures = dict(self.figures(sample, one, other, load))
        return Row(index, sample.path, score=figures["psnr"], detail=figures)

    def figures(
        self, sample: Sample, wanted: Array, made: Array, load: LoadPicture
    ) -> Iterator[tuple[str, float]]:
        """Every figure of the pictures without their borders, by name."""
        del sample, load
        yield "psnr", psnr(wanted, made)
        likeness = ssim(wanted, made) if self.wants("ssim") else None
        if likeness is not None:
            yield "ssim", likeness

    def shaved(self, picture: Array) -> Array:
        """Without its border.

        Raises:
            BadAnnotation: nothing is left.
        """
        height, width = (extent - self._shave for extent in picture.shape[:2])
        inner = picture[self._shave : max(height, 0), self._shave : max(width, 0)]
        if not inner.size:
            raise BadAnnotation(f"nothing is left of the picture without {self._shave} pixels")
        return inner

    def add(self, row: Row) -> None:
        detail: Any = row.detail
        for name, value in detail.items():
            self._totals[name].add(value)
        if row.score is not None:
            self._scores.add(row.score)

    def running(self) -> tuple[Metric, ...]:
        means = {name: total.mean for name, total in self._totals.items()}
        return self.wanted(
            Metric(name, means[name], UNITS.get(name, ""))
            for name in self.metric_names
            if name in means
        )

    def report(self) -> Report:
        filled = self._scores.counts.any()
        return Report(self.running(), curves=(self._scores.curve("scores", ""),) * int(filled))

    def _compared(self, picture: Image) -> Array:
        inner = self.shaved(picture)
        return luma(inner) if self._channel == "y" else inner


def _colored(picture: Array) -> Image:
    """Grey as red, green and blue."""
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
