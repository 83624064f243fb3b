"""What of a served model is optimised, and how feeds become what that takes."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import openvino as ov
from openvino import opset13 as ops

from pellucid_server.errors import InvalidInput, NotServed
from pellucid_server.nearest import nearest
from pellucid_server.runtime.graph import image_graph
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.messages import Job
from pellucid_server.runtime.optimize.plan import Plan, Quantization
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.workarounds import unpack_weights
from pellucid_server.types import Task


def check(served: ServedModel, plan: Plan) -> None:
    """Refuses what leaves nothing to do.

    Raises:
        NotServed: this server cannot quantise.
        InvalidInput: the model is optimised already, or has no layer that is to be left alone.
    """
    if plan.optimization is Optimization.FP16:
        _require_floats(served)
        return
    if find_spec("nncf") is None:
        raise NotServed(
            "this server cannot quantise: install it with pip install 'pellucid[optimize]'",
            field="optimization",
        )
    if is_quantized(served.graph):
        raise InvalidInput(
            f"{served.name} version {served.version} is quantised already: name the version that "
            "it was made of",
            field="model_version",
        )
    _check_ignored(served.graph, plan.quantization)


def is_quantized(graph: ov.Model) -> bool:
    """Whether activations are quantised."""
    return any(node.get_type_name() == "FakeQuantize" for node in graph.get_ops())


def weight_bytes(graph: ov.Model) -> int:
    """Bytes of all constants."""
    return sum(node.get_byte_size() for node in _constants(graph))


def _constants(graph: ov.Model) -> list[ov.Node]:
    return [node for node in graph.get_ops() if node.get_type_name() == "Constant"]


def _require_floats(served: ServedModel) -> None:
    for node in _constants(served.graph):
        is_weight = len(node.get_output_shape(0)) > 1
        if is_weight and node.get_element_type() in {ov.Type.f32, ov.Type.f64}:
            return
    raise InvalidInput(
        f"{served.name} version {served.version} has no weights of FP32: there is nothing to "
        "compress to FP16",
        field="model_version",
    )


def _check_ignored(graph: ov.Model, how: Quantization) -> None:
    nodes = graph.get_ops()
    names = {node.get_friendly_name() for node in nodes}
    kinds = {node.get_type_name() for node in nodes}
    for field, what, wanted, known in (
        ("ignored_names", "layer", how.ignored_names, names),
        ("ignored_types", "operation", how.ignored_types, kinds),
    ):
        for each in set(wanted) - known:
            raise InvalidInput(
                f"the model has no {what} {each!r} to leave as it is.{nearest(each, known)}",
                field=field,
            )


def write_job(served: ServedModel, plan: Plan, scratch: Path, target: Path) -> Job:
    """Writes the graphs that the process needs: memory knows what is served, files may change."""
    model = scratch / "model.xml"
    if plan.optimization is Optimization.FP16:
        ov.save_model(served.graph, model, compress_to_fp16=False)
        return Job(model, target)
    ov.save_model(unpack_weights(served.graph), model, compress_to_fp16=False)
    preparing = None
    if served.spec.task is not Task.RAW:
        preparing = scratch / "preparing.xml"
        ov.save_model(preparing_graph(served), preparing, compress_to_fp16=False)
    outputs = tuple(port.name for port in served.outputs)
    return Job(model, target, outputs, preparing, plan.quantization, plan.judged)


def preparing_graph(served: ServedModel) -> ov.Model:
    """Only the preprocessing: outputs are the model's inputs, in its order."""
    parameters = [
        ops.parameter(side.get_partial_shape(), side.get_element_type())
        for side in served.graph.inputs
    ]
    for parameter, port in zip(parameters, served.inputs, strict=True):
        parameter.output(0).get_tensor().set_names({port.name})
    through = ov.Model([ops.result(each) for each in parameters], parameters, "preparing")
    return image_graph(replace(served, graph=through))
