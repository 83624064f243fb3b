"""What the device gives: a compiled model kept busy, with nothing around it."""

import argparse
import time

import numpy as np
import openvino as ov

from benchmarks.worker import answer


class Raw:
    """One model, compiled for a batch on first use."""

    def __init__(self, path: str, precision: str, streams: int) -> None:
        self._core = ov.Core()
        self._path = path
        self._settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": streams,
        }
        self._queues: dict[int, ov.AsyncInferQueue] = {}

    def work(self, batch: int, seconds: float) -> float:
        """Infers for so long; images done."""
        if batch not in self._queues:
            self._queues[batch] = self._queue(batch)
        queue = self._queues[batch]
        images, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            queue.start_async(share_inputs=True)
            images += batch
        queue.wait_all()
        return images

    def _queue(self, batch: int) -> ov.AsyncInferQueue:
        model = self._core.read_model(self._path)
        shape = [batch, *list(model.input(0).get_partial_shape().to_shape())[1:]]
        model.reshape(shape)
        queue = ov.AsyncInferQueue(self._core.compile_model(model, "CPU", self._settings))
        pixels = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
        for request in queue:
            request.get_input_tensor().data[:] = pixels
            request.infer()
        return queue


def main() -> None:
    """Answers with the images done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("precision")
    parser.add_argument("streams", type=int)
    options = parser.parse_args()
    answer(Raw(options.path, options.precision, options.streams).work)


if __name__ == "__main__":
    main()
