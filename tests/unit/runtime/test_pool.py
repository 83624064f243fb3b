import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.datatypes import NUMPY_TYPES
from pellucid_server.errors import Cancelled, DeadlineExceeded, ModelUnavailable
from pellucid_server.runtime.pool import DeviceSettings, ModelPool, Variant
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Port

OPENVINO_TYPES = {
    "BOOL": ov.Type.boolean, "UINT8": ov.Type.u8, "UINT16": ov.Type.u16, "UINT32": ov.Type.u32,
    "UINT64": ov.Type.u64, "INT8": ov.Type.i8, "INT16": ov.Type.i16, "INT32": ov.Type.i32,
    "INT64": ov.Type.i64, "FP16": ov.Type.f16, "BF16": ov.Type.bf16, "FP32": ov.Type.f32,
    "FP64": ov.Type.f64, "BYTES": ov.Type.string,
}  # fmt: skip


def served(graph: ov.Model, datatype: str = "FP32", **spec: object) -> ServedModel:
    shape = tuple(graph.inputs[0].partial_shape.to_shape())
    port = graph.inputs[0].get_any_name()
    return ServedModel(
        "model", 1, ModelSpec.model_validate(spec), "openvino", Path("model.xml"), graph,
        (Port(port, datatype, shape),), (Port("output", datatype, shape),), (),
    )  # fmt: skip


def identity(datatype: str = "FP32", **spec: object) -> ServedModel:
    data = ops.parameter([2, 3], OPENVINO_TYPES[datatype], name="data")
    data.output(0).get_tensor().set_names({"data"})
    return served(ov.Model([ops.result(data)], [data], "identity"), datatype, **spec)


def heavy() -> ServedModel:
    """A model that takes some tens of milliseconds."""
    data = ops.parameter([1200, 1200], ov.Type.f32, name="data")
    data.output(0).get_tensor().set_names({"data"})
    node = data.output(0)
    for _ in range(4):
        node = ops.tanh(ops.matmul(node, data, False, False)).output(0)
    return served(ov.Model([ops.result(node)], [data], "heavy"))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def pool(metrics: Metrics) -> ModelPool:
    return ModelPool(DeviceSettings(streams=1), metrics)


@pytest.mark.parametrize("datatype", NUMPY_TYPES)
def test_every_datatype_comes_through_unchanged(pool: ModelPool, datatype: str) -> None:
    """An identity model gives back what it was fed, bit for bit, in all fourteen datatypes."""
    if datatype == "BYTES":
        data = np.asarray([[b"a", b"", b"\xff\x00b"], [b"long" * 99, b"x", b"y"]], dtype=object)
    else:
        data = np.arange(6).reshape(2, 3).astype(NUMPY_TYPES[datatype])
    inference = pool.infer(identity(datatype), Variant.TENSORS, {"data": data}, Call())
    output = inference.outputs["output"]
    assert output.dtype == data.dtype
    assert output.tolist() == data.tolist()


def test_a_model_is_compiled_once_however_many_ask(pool: ModelPool, metrics: Metrics) -> None:
    """Eight threads that start together share one compiled model."""
    model, barrier = identity(), threading.Barrier(8)
    data = np.ones((2, 3), np.float32)
    calls: list[ov.Model] = []
    compile_model = pool._core.compile_model

    class Counting:
        def compile_model(self, graph: ov.Model, *rest: object) -> ov.CompiledModel:
            calls.append(graph)
            time.sleep(0.05)
            return compile_model(graph, *rest)

    pool._core = Counting()

    def ask(_: int) -> float:
        barrier.wait()
        return float(
            pool.infer(model, Variant.TENSORS, {"data": data}, Call()).outputs["output"].sum()
        )

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [6.0] * 8
    assert len(calls) == 1
    assert metrics.registry.get_sample_value("pellucid_compiled_models") == 1


def test_dropping_a_model_frees_it_and_it_can_come_back(pool: ModelPool, metrics: Metrics) -> None:
    model, feeds = identity(), {"data": np.ones((2, 3), np.float32)}
    pool.infer(model, Variant.TENSORS, feeds, Call())
    pool.drop(model)
    assert metrics.registry.get_sample_value("pellucid_compiled_models") == 0
    assert pool.precision(model) == ""
    assert pool.infer(model, Variant.TENSORS, feeds, Call()).outputs["output"].sum() == 6


@pytest.mark.parametrize(
    ("asked", "effective"), [("f32", {"f32"}), ("f16", {"f16", "bf16", "f32"})]
)
def test_precision_is_read_back_from_the_device(
    pool: ModelPool, asked: str, effective: set[str]
) -> None:
    """f16 on a CPU silently becomes something else: what is reported is what runs."""
    model = identity(precision=asked)
    assert pool.precision(model) == ""
    pool.infer(model, Variant.TENSORS, {"data": np.ones((2, 3), np.float32)}, Call())
    assert pool.precision(model) in effective


def busy(pool: ModelPool, model: ServedModel, check: Callable[[], None]) -> None:
    """Runs a check while the only inference request of the model is taken."""
    compiled = pool._get(model, Variant.TENSORS)
    request = compiled.idle.get()
    try:
        check()
    finally:
        compiled.idle.put(request)


def test_waiting_ends_at_the_deadline(pool: ModelPool) -> None:
    model = identity()

    def check() -> None:
        call = Call(deadline=time.monotonic() + 0.1)
        with pytest.raises(DeadlineExceeded):
            pool.infer(model, Variant.TENSORS, {"data": np.ones((2, 3), np.float32)}, call)

    busy(pool, model, check)


def test_waiting_ends_when_the_caller_hangs_up(pool: ModelPool) -> None:
    model, call = identity(), Call()

    def check() -> None:
        timer = threading.Timer(0.1, call.cancelled.set)
        timer.start()
        with pytest.raises(Cancelled):
            pool.infer(model, Variant.TENSORS, {"data": np.ones((2, 3), np.float32)}, call)
        timer.join()

    busy(pool, model, check)


def test_the_request_is_free_again_after_a_failure(pool: ModelPool) -> None:
    """A wrong shape fails that call alone: the one request of the model serves the next."""
    model = identity()
    with pytest.raises(Exception, match="failed on this input"):
        pool.infer(model, Variant.TENSORS, {"data": np.ones((5, 7), np.float32)}, Call())
    good = pool.infer(model, Variant.TENSORS, {"data": np.ones((2, 3), np.float32)}, Call())
    assert good.outputs["output"].sum() == 6


def test_queue_time_is_apart_from_compute_time(pool: ModelPool) -> None:
    """Of two calls on one request, the second waits about as long as the first computes."""
    model, feeds = heavy(), {"data": np.zeros((1200, 1200), np.float32)}
    pool.infer(model, Variant.TENSORS, feeds, Call())
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(pool.infer, model, Variant.TENSORS, feeds, Call()) for _ in range(2)]
    first, second = sorted((run.result() for run in runs), key=lambda run: run.queue)
    assert second.queue > 0.2 * first.compute
    assert second.compute > 0


def test_a_model_that_cannot_be_compiled_is_unavailable(pool: ModelPool) -> None:
    """The reason is logged, the caller gets the model's name, and asking again is safe."""
    model = identity(precision="f32")

    class Broken:
        def compile_model(self, *_: object) -> None:
            raise RuntimeError("plug-in error")

    core, pool._core = pool._core, Broken()
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="model version 1"):
            pool.infer(model, Variant.TENSORS, {"data": np.ones((2, 3), np.float32)}, Call())
    pool._core = core
    feeds = {"data": np.ones((2, 3), np.float32)}
    assert pool.infer(model, Variant.TENSORS, feeds, Call()).outputs["output"].sum() == 6
