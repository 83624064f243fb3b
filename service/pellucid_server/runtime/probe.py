from threading import Lock, Thread

import numpy as np
import openvino as ov
import structlog
from openvino import opset13 as ops

log = structlog.get_logger()

PATIENCE = 10.0
"""Seconds that a device has to add two numbers."""


class Probe:
    """Finds out whether a device works at all, by an addition: a model may fail itself."""

    def __init__(self, core: ov.Core, device: str) -> None:
        self._core = core
        self._device = device
        self._request: ov.InferRequest | None = None
        self._asking = Lock()

    def answers(self) -> bool:
        """Whether the device adds; blocks, for `PATIENCE` seconds at most."""
        found: list[bool] = []
        asking = Thread(target=lambda: found.append(self._ask()), name="probe", daemon=True)
        asking.start()
        asking.join(PATIENCE)
        return found == [True]

    def _ask(self) -> bool:
        with self._asking:
            try:
                self._request = self._request or self._compile()
                return bool(self._request.infer({0: np.ones(1, np.float32)})[0][0] == 2)
            except Exception as error:  # noqa: BLE001 - whatever it throws, it does not work
                log.debug("device does not answer", device=self._device, error=str(error))
                self._request = None
                return False

    def _compile(self) -> ov.InferRequest:
        number = ops.parameter([1], np.float32)
        graph = ov.Model([ops.result(ops.add(number, number))], [number], "probe")
        return self._core.compile_model(graph, self._device).create_infer_request()
