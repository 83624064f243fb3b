"""Models and methods as the contract describes them."""

from pellucid.v1 import common_pb2, model_pb2
from pellucid_server.engine.explanation import MethodInfo
from pellucid_server.explain import ParameterInfo
from pellucid_server.rpc.codec.choices import STATES, TASKS
from pellucid_server.rpc.codec.methods import encode_method
from pellucid_server.rpc.codec.models import ModelWriter
from pellucid_server.runtime.repository import ModelEntry
from pellucid_server.types import Task


def test_a_model_is_described_with_all_its_versions(entry: ModelEntry) -> None:
    served = entry.versions[1].served
    assert served
    model = ModelWriter("CPU", lambda _: "f32").model(entry)
    assert (model.name, list(model.aliases), model.default_version) == ("pets", ["pet"], "3")
    assert (model.task, list(model.labels)) == (common_pb2.TASK_CLASSIFICATION, ["cat", "dog"])
    broken, ready = model.versions
    assert (broken.version, broken.state, broken.reason) == (
        "4",
        model_pb2.MODEL_STATE_FAILED,
        "broken",
    )
    assert not broken.HasField("load_time")
    assert (ready.format, ready.device, ready.precision) == ("onnx", "CPU", "f32")
    assert ready.load_time.ToDatetime(served.load_time.tzinfo) == served.load_time
    assert [(port.name, list(port.shape)) for port in ready.inputs] == [("x", [-1, 2])]
    (layer,) = ready.layers
    assert (layer.name, layer.operation, list(layer.shape), layer.default) == (
        "conv",
        "Convolution",
        [1, 8, 4, 4],
        True,
    )


def test_every_task_and_state_of_the_contract_has_one_of_the_domain() -> None:
    assert sorted(TASKS.values()) == sorted(common_pb2.Task.values())[1:]
    assert sorted(STATES.values()) == sorted(model_pb2.ModelState.values())[1:]


def test_a_method_is_described_with_its_parameters() -> None:
    info = ParameterInfo("p", "Share kept.", "float", 0.5, minimum=0.0, choices=())
    method = encode_method(
        MethodInfo("rise", "Masks.", "paper", (info,), (Task.CLASSIFICATION,), ("pets",))
    )
    assert (method.name, method.reference, list(method.model_names)) == ("rise", "paper", ["pets"])
    assert list(method.tasks) == [common_pb2.TASK_CLASSIFICATION]
    (parameter,) = method.parameters
    assert parameter.default_value.double_value == 0.5
    assert parameter.HasField("minimum")
    assert not parameter.HasField("maximum")
