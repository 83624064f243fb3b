"""Predictions without a service: decode, crop, resize, infer, from several threads."""

import argparse
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from benchmarks.load import together
from benchmarks.photos import small_jpeg
from benchmarks.worker import answer

SIDE, CROP = 224, 0.875


class Predictor:
    """EfficientNet-Lite0 behind its preprocessing; each thread has a request of its own."""

    def __init__(self, path: str, precision: str, streams: int) -> None:
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": streams,
        }
        core = ov.Core()
        self._compiled = core.compile_model(_behind_pixels(core.read_model(path)), "CPU", settings)
        self._local = threading.local()
        self.predict()  # the first use of OpenVINO's types is not safe from several threads

    def predict(self, jpeg: bytes = small_jpeg()) -> int:
        """The best class."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None  # noqa: S101  # our own JPEG
        pixels = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
        height, width = pixels.shape[:2]
        side = round(min(height, width) * CROP)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[top : top + side, left : left + side]
        resized = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        self._local.request.infer({0: resized[None]}, share_inputs=True)
        return int(self._local.request.get_output_tensor().data.argmax())

    def work(self, callers: int, seconds: float = 0, images: int = 0) -> float:
        """Predicts for so long, or so many; images done."""
        if not images:
            return together(self.predict, callers, seconds)
        with ThreadPoolExecutor(callers) as threads:
            list(threads.map(lambda _: self.predict(), range(images)))
        return images


def _behind_pixels(model: ov.Model) -> ov.Model:
    processor = PrePostProcessor(model)
    entry = processor.input()
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    entry.model().set_layout(ov.Layout("NCHW"))
    entry.preprocess().convert_element_type(ov.Type.f32).mean(127).scale(128)
    return processor.build()


def main() -> None:
    """Answers with the images done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("precision")
    parser.add_argument("streams", type=int)
    options = parser.parse_args()
    answer(Predictor(options.path, options.precision, options.streams).work)


if __name__ == "__main__":
    main()
