from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pellucid_server.errors import InvalidInput
from pellucid_server.tasks.decoders.base import Candidates, register
from pellucid_server.tasks.decoders.boxes import floats
from pellucid_server.tasks.decoders.masks import PrototypeMasks
from pellucid_server.tasks.decoders.roles import need, ranked
from pellucid_server.tasks.decoders.yolo import Yolo
from pellucid_server.types import ANY, Outputs, Port, Size


@register("yolo_seg")
@dataclass(frozen=True)
class YoloSeg(Yolo):
    """YOLO with masks: the layouts of `yolo`, each with K coefficients more for a box.

    v5-seg: 1 x N x (5 + classes + K); v8-seg: 1 x (4 + classes + K) x N; both with
    prototypes 1 x K x height x width over the whole input. `process_mask` in
    ultralytics/utils/ops.py of github.com/ultralytics/ultralytics
    """

    masks = True

    @cached_property
    def prototypes(self) -> Port:
        """The output that masks are mixed from."""
        return need("prototypes", self.outputs, self.options.outputs, ranked(4))

    @cached_property
    def extra(self) -> int:
        """A coefficient for each prototype."""
        port = self.prototypes
        if port.shape[1] == ANY:
            raise InvalidInput(
                f"output {port.name!r} of shape {list(port.shape)} does not tell how many "
                "prototypes there are: export the model with fixed channels",
                field="decode.outputs.prototypes",
            )
        return port.shape[1]

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        found = super().decode(outputs, size)
        _, rows = self.rows(outputs)
        prototypes = floats(outputs[self.prototypes.name])[0]
        coefficients = rows[:, rows.shape[1] - len(prototypes) :]
        masks = PrototypeMasks(coefficients, np.arange(len(rows)), prototypes)
        return replace(found, masks=masks)
