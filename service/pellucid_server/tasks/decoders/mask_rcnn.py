from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pellucid_server.tasks.decoders.base import Candidates, register
from pellucid_server.tasks.decoders.masks import BoxMasks, InputMasks
from pellucid_server.tasks.decoders.roles import Role, need, ranked
from pellucid_server.tasks.decoders.ssd import Ssd
from pellucid_server.types import Outputs, Port, Size


@register("mask_rcnn")
@dataclass(frozen=True)
class MaskRcnn(Ssd):
    """Mask R-CNN: boxes, scores and classes as `ssd` reads them, and a mask for each box.

    - OpenVINO Training Extensions: masks N x height x width.
      `MaskRCNNModel` of github.com/open-edge-platform/model_api
    - torchvision: masks N x 1 x height x width, of the boxes or of the whole input.
      `paste_masks_in_image` in torchvision/models/detection/roi_heads.py
    - TensorFlow Object Detection: detection_masks 1 x N x height x width.

    Masks are probabilities; those as large as the input cover all of it, others their box.
    """

    masks = True

    @cached_property
    def ports(self) -> Mapping[Role, Port]:
        """The outputs that are read, by role."""
        masks = need("masks", self.outputs, self.options.outputs, ranked(3, 4))
        rest = tuple(port for port in self.outputs if port is not masks and len(port.shape) < 4)
        return {**Ssd(self.options, rest, self.labels).ports, "masks": masks}

    def read(self, outputs: Outputs, size: Size) -> Candidates:
        found = super().read(outputs, size)
        masks = outputs[self.ports["masks"].name]
        height, width = masks.shape[-2:]
        kind = InputMasks if (height, width) == size else BoxMasks
        values = masks.reshape(len(found.boxes), height, width)
        return replace(found, masks=kind(values, np.arange(len(values))))
