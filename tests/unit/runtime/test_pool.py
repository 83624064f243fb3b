import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.datatypes import NUMPY_TYPES
from pellucid_server.errors import Cancelled, DeadlineExceeded, ModelUnavailable
from pellucid_server.runtime.device import device_specs
from pellucid_server.runtime.lanes import niceness
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.scheduling import Policy, Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.units import Inference
from pellucid_server.runtime.variants import AS_IS
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Feeds, Port

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
def make(metrics: Metrics) -> Iterator[Callable[..., ModelPool]]:
    """Makes pools of devices; they are closed after the test."""
    pools = []

    def pool(*names: str, streams: int | None = 1, **settings: Any) -> ModelPool:
        devices = device_specs(names or ("CPU",), streams, None)
        pools.append(ModelPool(PoolSettings(devices, Policy(), **settings), metrics))
        return pools[-1]

    yield pool
    for each in pools:
        each.close()


@pytest.fixture
def pool(make: Callable[..., ModelPool]) -> ModelPool:
    """One CPU with one stream."""
    return make()


@pytest.mark.parametrize("datatype", NUMPY_TYPES)
def test_every_datatype_comes_through_unchanged(pool: ModelPool, datatype: str) -> None:
    """An identity model gives back what it was fed, bit for bit, in all fourteen datatypes."""
    if datatype == "BYTES":
        data = np.asarray([[b"a", b"", b"\xff\x00b"], [b"long" * 99, b"x", b"y"]], dtype=object)
    else:
        data = np.arange(6).reshape(2, 3).astype(NUMPY_TYPES[datatype])
    inference = pool.infer(identity(datatype), AS_IS, {"data": data}, Call())
    output = inference.outputs["output"]
    assert output.dtype == data.dtype
    assert output.tolist() == data.tolist()


def test_a_model_is_compiled_once_however_many_ask(pool: ModelPool, metrics: Metrics) -> None:
    """Eight threads that start together share one compiled model."""
    model, barrier = identity(), threading.Barrier(8)
    data = np.ones((2, 3), np.float32)
    calls = count_compilations(pool)

    def ask(_: int) -> float:
        barrier.wait()
        outputs = pool.infer(model, AS_IS, {"data": data}, Call()).outputs
        return float(outputs["output"].sum())

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [6.0] * 8
    assert len(calls) == 1
    assert metrics.registry.get_sample_value("pellucid_compiled_models") == 1


def count_compilations(pool: ModelPool) -> list[str]:
    """Notes the device of every compilation from now on, and makes each take a while."""
    calls: list[str] = []
    compile_model = pool.devices[0]._core.compile_model

    class Counting:
        def compile_model(self, graph: ov.Model, device: str, rest: object) -> ov.CompiledModel:
            calls.append(device)
            time.sleep(0.05)
            return compile_model(graph, device, rest)

    for device in pool.devices:
        device._core = Counting()
    return calls


def test_dropping_a_model_frees_it_and_it_can_come_back(pool: ModelPool, metrics: Metrics) -> None:
    model, feeds = identity(), {"data": np.ones((2, 3), np.float32)}
    pool.infer(model, AS_IS, feeds, Call())
    pool.drop(model)
    assert metrics.registry.get_sample_value("pellucid_compiled_models") == 0
    assert pool.precision(model) == ""
    assert pool.infer(model, AS_IS, feeds, Call()).outputs["output"].sum() == 6


@pytest.mark.parametrize(
    ("asked", "effective"), [("f32", {"f32"}), ("f16", {"f16", "bf16", "f32"})]
)
def test_precision_is_read_back_from_the_device(
    pool: ModelPool, asked: str, effective: set[str]
) -> None:
    """f16 on a CPU silently becomes something else: what is reported is what runs."""
    model = identity(precision=asked)
    assert pool.precision(model) == ""
    pool.infer(model, AS_IS, {"data": np.ones((2, 3), np.float32)}, Call())
    assert pool.precision(model) in effective


@contextmanager
def busy(pool: ModelPool) -> Iterator[None]:
    """Keeps the only worker at work meanwhile."""
    model, feeds = heavy(), {"data": np.zeros((1200, 1200), np.float32)}
    pool.prepare(model, AS_IS)
    jobs = [object() for _ in range(100)]
    for job in jobs:
        pool.submit(model, AS_IS, feeds, Call(), job=job, priority=Priority.INTERACTIVE)
    yield
    for job in jobs:
        pool.cancel(job)


def test_waiting_ends_at_the_deadline(pool: ModelPool) -> None:
    model, feeds = identity(), {"data": np.ones((2, 3), np.float32)}
    pool.prepare(model, AS_IS)
    with busy(pool), pytest.raises(DeadlineExceeded):
        pool.infer(model, AS_IS, feeds, Call(deadline=time.monotonic() + 0.2))


def test_waiting_ends_when_the_caller_hangs_up(pool: ModelPool) -> None:
    model, feeds, call = identity(), {"data": np.ones((2, 3), np.float32)}, Call()
    pool.prepare(model, AS_IS)
    with busy(pool):
        timer = threading.Timer(0.1, call.cancelled.set)
        timer.start()
        with pytest.raises(Cancelled):
            pool.infer(model, AS_IS, feeds, call)
        timer.join()


def test_a_prediction_goes_before_explanations_that_wait(pool: ModelPool) -> None:
    """Of 200 waiting units of an explanation at most two run before it."""
    model, feeds = heavy(), {"data": np.zeros((1200, 1200), np.float32)}
    pool.prepare(model, AS_IS)
    job = object()
    units = [
        pool.submit(model, AS_IS, feeds, Call(), job=job, priority=Priority.EXPLAIN)
        for _ in range(200)
    ]
    units[0].result(30)
    before = sum(unit.done() for unit in units)
    pool.infer(model, AS_IS, feeds, Call())
    assert sum(unit.done() for unit in units) - before <= 2
    pool.cancel(job)


def test_a_cancelled_job_frees_the_device_within_one_batch(
    pool: ModelPool, metrics: Metrics
) -> None:
    """After cancelling, at most the one unit that runs ends; the metric says so."""
    model, feeds, call = heavy(), {"data": np.zeros((1200, 1200), np.float32)}, Call()
    pool.prepare(model, AS_IS)
    job = object()
    units = [
        pool.submit(model, AS_IS, feeds, call, job=job, priority=Priority.EXPLAIN)
        for _ in range(100)
    ]
    units[0].result(30)
    call.cancelled.set()
    pool.cancel(job)
    pool.infer(identity(), AS_IS, {"data": np.ones((2, 3), np.float32)}, Call())
    done = metrics.registry.get_sample_value(
        "pellucid_inferences_after_cancel_total", {"device": "CPU"}
    )
    assert (done or 0) <= 1
    assert sum(unit.done() and not unit.cancelled() for unit in units) < 10


def series(count: int) -> Feeds:
    return {"data": np.stack([np.full((2, 3), index, np.float32) for index in range(count)])}


def test_a_series_gives_the_outputs_of_each_run_in_order(pool: ModelPool) -> None:
    """Three runs of a batch of two: six rows, each its own."""
    job = object()
    future = pool.submit(
        identity(), AS_IS, {}, Call(), job=job, priority=Priority.EXPLAIN, series=series(3)
    )
    assert future.result(30).outputs["output"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]


def long_series(pool: ModelPool, model: ServedModel, call: Call) -> "Future[Inference]":
    """Fifty runs of some tens of milliseconds in one unit."""
    for priority in (Priority.INTERACTIVE, Priority.EXPLAIN):
        pool.prepare(model, AS_IS, priority=priority)
    data = {"data": np.zeros((50, 1200, 1200), np.float32)}
    return pool.submit(
        model, AS_IS, {}, call, job=call, priority=Priority.EXPLAIN, images=50, series=data
    )


@pytest.mark.parametrize("streams", [1, None], ids=["between two runs", "beside it"])
def test_a_prediction_does_not_wait_for_a_series(
    make: Callable[..., ModelPool], streams: int | None
) -> None:
    """Of the same model, on a stream of several threads and on streams of one."""
    pool, model, call = make(streams=streams), heavy(), Call()
    future = long_series(pool, model, call)
    for value in (1.0, 2.0):
        feeds = {"data": np.full((1200, 1200), value, np.float32)}
        output = pool.infer(model, AS_IS, feeds, Call()).outputs["output"]
        assert output.min() > 0.99  # tanh of large sums
        assert not future.done()
    assert not future.result(60).outputs["output"].any()


def computing(nice: int) -> int:
    """Threads of this process with a nice value above the process's own."""
    own = os.getpriority(os.PRIO_PROCESS, os.getpid())
    threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
    return sum(os.getpriority(os.PRIO_PROCESS, each) == own + nice for each in threads)


def test_what_explains_computes_on_threads_that_give_way(make: Callable[..., ModelPool]) -> None:
    pool, model = make(streams=None), identity()
    (device,) = pool.devices
    nice = device.nice(Priority.EXPLAIN)
    assert nice == niceness(1 / 20)
    assert device.nice(Priority.INTERACTIVE) == 0
    before = computing(nice)
    feeds: Feeds = {"data": np.ones((2, 3), np.float32)}
    pool.infer(model, AS_IS, feeds, Call())
    assert computing(nice) == before
    pool.infer(model, AS_IS, feeds, Call(), priority=Priority.EXPLAIN)
    assert computing(nice) >= before + device.spec.streams
    assert device.count == 2


def test_streams_of_several_threads_serve_all_classes_alike(pool: ModelPool) -> None:
    """OpenVINO's streams share their further threads: nice ones would keep a Predict waiting."""
    (device,) = pool.devices
    assert [lane.classes for lane in device.lanes] == [tuple(Priority)]
    assert device.nice(Priority.BULK) == 0


@pytest.mark.parametrize("hang_up", [True, False])
def test_a_cancelled_series_ends_after_the_run_at_hand(
    pool: ModelPool, metrics: Metrics, *, hang_up: bool
) -> None:
    """Whether the caller hung up or the rest is not needed: of fifty runs one ends."""
    model, call = heavy(), Call()
    future = long_series(pool, model, call)
    while not future.running() and pool._dispatcher._scheduler.waiting_of(Priority.EXPLAIN):
        time.sleep(0.001)
    if hang_up:
        call.cancelled.set()
    pool.cancel(call)
    with pytest.raises(Cancelled):
        future.result(30)
    done = metrics.registry.get_sample_value(
        "pellucid_inferences_after_cancel_total", {"device": "CPU"}
    )
    assert (done or 0) <= 1


def test_the_request_is_free_again_after_a_failure(pool: ModelPool) -> None:
    """A wrong shape fails that call alone: the one request of the model serves the next."""
    model = identity()
    with pytest.raises(Exception, match="failed on this input"):
        pool.infer(model, AS_IS, {"data": np.ones((5, 7), np.float32)}, Call())
    good = pool.infer(model, AS_IS, {"data": np.ones((2, 3), np.float32)}, Call())
    assert good.outputs["output"].sum() == 6


def test_queue_time_is_apart_from_compute_time(pool: ModelPool) -> None:
    """Of two calls on one request, the second waits about as long as the first computes."""
    model, feeds = heavy(), {"data": np.zeros((1200, 1200), np.float32)}
    pool.infer(model, AS_IS, feeds, Call())
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(pool.infer, model, AS_IS, feeds, Call()) for _ in range(2)]
    first, second = sorted((run.result() for run in runs), key=lambda run: run.queue)
    assert second.queue > 0.2 * first.compute
    assert second.compute > 0


@pytest.mark.parametrize("error", [RuntimeError, ValueError, MemoryError])
def test_a_model_that_cannot_be_compiled_is_unavailable(
    pool: ModelPool, error: type[Exception]
) -> None:
    """The reason is logged, the caller gets the model's name, and asking again is safe."""
    model = identity(precision="f32")

    class Broken:
        def compile_model(self, *_: object) -> None:
            raise error("plug-in error")

    device = pool.devices[0]
    core, device._core = device._core, Broken()
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="model version 1"):
            pool.infer(model, AS_IS, {"data": np.ones((2, 3), np.float32)}, Call())
    device._core = core
    feeds = {"data": np.ones((2, 3), np.float32)}
    assert pool.infer(model, AS_IS, feeds, Call()).outputs["output"].sum() == 6


def test_the_least_recently_used_model_makes_room(
    make: Callable[..., ModelPool], metrics: Metrics
) -> None:
    """Under a budget for two, the third evicts the one not used for longest; pinned ones stay."""
    weights = 2 * 4 * 6  # bytes of a model's six constants, twice in float32
    pool = make(memory_bytes=2 * weights)
    first, second, third, pinned = (scaled(pinned=index == 3) for index in range(4))
    feeds = {"data": np.ones((2, 3), np.float32)}
    for model in (first, second, first, third):
        pool.infer(model, AS_IS, feeds, Call())
    (device,) = pool.devices
    assert [device.has(model, AS_IS) for model in (first, second, third)] == [True, False, True]
    for model in (pinned, first, second, third):
        pool.infer(model, AS_IS, feeds, Call())
    assert device.has(pinned, AS_IS)
    assert not device.has(first, AS_IS)
    value, labels = metrics.registry.get_sample_value, {"model": first.name}
    assert value("pellucid_compiled_model_limit_bytes") == 2 * weights
    assert value("pellucid_compiled_model_evictions_total", labels) == 5
    assert value("pellucid_compile_seconds_count", labels) == 7


def scaled(*, pinned: bool) -> ServedModel:
    data = ops.parameter([2, 3], ov.Type.f32, name="data")
    data.output(0).get_tensor().set_names({"data"})
    product = ops.multiply(data, ops.constant(np.ones((2, 3), np.float32)))
    return served(ov.Model([ops.result(product)], [data], "scaled"), pinned=pinned)


def test_compiled_models_are_kept_on_disk(make: Callable[..., ModelPool], tmp_path: Path) -> None:
    """With a cache folder, compiling leaves a blob that the next start reads."""
    pool = make(cache=str(tmp_path))
    pool.infer(heavy(), AS_IS, {"data": np.zeros((1200, 1200), np.float32)}, Call())
    assert list(tmp_path.glob("*.blob"))
