"""RISE of openvino-xai, run by the Python of its own environment.

It compiles with OpenVINO's defaults: on processors that have it, bf16.
"""

import sys

import numpy as np
import openvino.runtime as ov
from openvino_xai.methods.black_box.rise import RISE

from benchmarks.worker import answer


def main() -> None:
    """Answers with the masks done."""
    model = ov.Core().read_model(sys.argv[1])
    method = RISE(model, postprocess_fn=lambda outputs: outputs["logits"])
    shape = tuple(model.input(0).shape)
    image = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)

    def work(masks: int) -> float:
        method.generate_saliency_map(image, target_indices=[0], num_masks=masks, num_cells=7)
        return masks

    answer(work)


if __name__ == "__main__":
    main()
