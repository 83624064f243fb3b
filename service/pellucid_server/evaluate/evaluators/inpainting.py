from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.annotations import Holes, Sample
from pellucid_server.evaluate.evaluator import BadAnnotation, LoadPicture, register
from pellucid_server.evaluate.evaluators.pictures import PictureEvaluator
from pellucid_server.evaluate.metrics.pictures import psnr
from pellucid_server.types import Array, InpaintingParameters, Task

HALF = 127.5


@register
class InpaintingEvaluator(PictureEvaluator):
    """Filled pictures beside the whole ones; `psnr_holes` looks at the holes alone.

    A model cannot be asked without holes: an image without an annotation is a bad one.
    """

    task = Task.INPAINTING
    annotations = (Holes,)
    metric_names = (*PictureEvaluator.metric_names, "psnr_holes")

    def parameters(self) -> InpaintingParameters:
        return InpaintingParameters()

    def parameters_for(self, sample: Sample, load: LoadPicture) -> InpaintingParameters:
        return InpaintingParameters(mask=_mask(sample, load))

    def wanted_picture(self, sample: Sample) -> str:
        return _holes(sample).picture

    def figures(
        self, sample: Sample, wanted: Array, made: Array, load: LoadPicture
    ) -> Iterator[tuple[str, float]]:
        yield from super().figures(sample, wanted, made, load)
        inside = self.shaved(_mask(sample, load))
        if inside.shape != wanted.shape[:2]:
            raise BadAnnotation("the mask of the holes has not the size of the picture")
        if inside.any() and self.wants("psnr_holes"):
            yield "psnr_holes", psnr(wanted[inside], made[inside])


def _holes(sample: Sample) -> Holes:
    if not isinstance(sample.annotation, Holes):
        raise BadAnnotation("the annotation does not say where the holes are")
    return sample.annotation


def _mask(sample: Sample, load: LoadPicture) -> NDArray[np.bool_]:
    """Where the mask is brighter than half of white; of a mask of 0 and 1, where it is 1."""
    picture = load(_holes(sample).mask)
    brightness = picture if picture.ndim == 2 else picture.mean(axis=2)
    return np.asarray(brightness > (HALF if picture.max(initial=0) > 1 else 0))
