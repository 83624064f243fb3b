import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from pellucid_server.runtime.workarounds import unpack_weights

ZOO = Path(__file__).parents[3] / "models"


def test_8_bit_weights_come_right_at_every_compilation() -> None:
    """Ten compilations for two streams give the picture of one stream to 1e-4.

    Without the way round about every second one is off by up to the whole range.
    """
    core = ov.Core()
    graph = core.read_model(ZOO / "arbitrary-style" / "1" / "model.xml")
    random = np.random.default_rng(0)
    feeds = {
        "content": random.random((1, 64, 64, 3), np.float32),
        "style": random.random((1, 256, 256, 3), np.float32),
    }
    expected = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(feeds)[0]
    settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 2}
    for _ in range(10):
        compiled = core.compile_model(unpack_weights(graph), "CPU", settings)
        assert np.abs(compiled(feeds)[0] - expected).max() < 1e-4


def model(*, quantized: bool) -> ov.Model:
    data = ops.parameter([1, 4], np.float32)
    weights = ops.multiply(
        ops.convert(ops.constant(np.ones((4, 4), np.int8)), "f32"), ops.constant(np.float32(0.5))
    )
    bounds = [ops.constant(np.float32(bound)) for bound in (0, 1, 0, 1)]
    source = ops.fake_quantize(data, *bounds, 256) if quantized else data
    return ov.Model([ops.result(ops.matmul(source, weights, False, False))], [data], "model")


def weights_of(graph: ov.Model) -> set[ov.Type]:
    constants = (node for node in graph.get_ops() if node.get_type_name() == "Constant")
    return {node.get_element_type() for node in constants if node.get_output_shape(0) == [4, 4]}


def test_only_weights_without_quantised_activations_are_unpacked() -> None:
    """A clone is changed, never the graph; quantised and float models come back as they are."""
    packed = model(quantized=False)
    unpacked = unpack_weights(packed)
    assert weights_of(packed) == {ov.Type.i8}
    assert weights_of(unpacked) == {ov.Type.f32}
    quantized = model(quantized=True)
    assert unpack_weights(quantized) is quantized
    assert unpack_weights(unpacked) is unpacked


RACE = """
import threading
import pellucid_server.runtime.convert
import numpy as np
import openvino as ov

barrier = threading.Barrier(16)

def first_use():
    barrier.wait()
    assert ov.Tensor(np.zeros(3, np.float32)).element_type.to_dtype() == np.float32
    assert ov.Type(np.dtype(np.uint8)) == ov.Type.u8

threads = [threading.Thread(target=first_use) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("all went through")
"""


def test_the_first_threads_that_use_types_do_not_wait_for_each_other() -> None:
    """Sixteen threads at once in a fresh process come through, three times."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout == "all went through\n"
