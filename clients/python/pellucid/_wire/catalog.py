"""Models and methods, read from the contract."""

from pellucid._wire import common
from pellucid.errors import InvalidArgumentError
from pellucid.models import (
    Layer,
    Lineage,
    Method,
    MethodParameter,
    Model,
    ModelVersion,
    TensorInfo,
)
from pellucid.types import Task
from pellucid.v1 import common_pb2, explanation_pb2, model_pb2


def list_models_request(task: Task | str | None) -> model_pb2.ListModelsRequest:
    """The request for all models, or for those of one task.

    Raises:
        InvalidArgumentError: a task that there is not.
    """
    if task is None:
        return model_pb2.ListModelsRequest()
    try:
        number = common_pb2.Task.Value(f"TASK_{task.upper()}")
    except ValueError as error:
        known = ", ".join(each for each in Task if each is not Task.UNSPECIFIED)
        raise InvalidArgumentError(f"no task {task!r}: {known}", field="task") from error
    return model_pb2.ListModelsRequest(task=number)


def model(message: model_pb2.Model) -> Model:
    """A model."""
    return Model(
        name=message.name,
        aliases=tuple(message.aliases),
        task=common.task(message.task),
        description=message.description,
        default_version=message.default_version,
        versions=tuple(map(version, message.versions)),
        labels=tuple(message.labels),
    )


def method(message: explanation_pb2.Method) -> Method:
    """A method."""
    return Method(
        name=message.name,
        description=message.description,
        reference=message.reference,
        parameters=tuple(map(_parameter, message.parameters)),
        tasks=tuple(map(common.task, message.tasks)),
        models=tuple(message.model_names),
    )


def version(message: model_pb2.ModelVersion) -> ModelVersion:
    """A version of a model."""
    states = dict(zip(model_pb2.ModelState.values(), model_pb2.ModelState.keys(), strict=True))
    state = states.get(message.state, "MODEL_STATE_UNSPECIFIED")
    return ModelVersion(
        version=message.version,
        state=state.removeprefix("MODEL_STATE_").lower(),
        reason=message.reason,
        format=message.format,
        device=message.device,
        precision=message.precision,
        inputs=tuple(map(_tensor, message.inputs)),
        outputs=tuple(map(_tensor, message.outputs)),
        layers=tuple(map(_layer, message.layers)),
        load_time=common.when(message, "load_time"),
        size_bytes=message.size_bytes,
        lineage=_lineage(message.lineage) if message.HasField("lineage") else None,
    )


def _lineage(message: model_pb2.Lineage) -> Lineage:
    return Lineage(
        parent_version=message.parent_version,
        optimization=common.choice(model_pb2.Optimization, message.optimization, "OPTIMIZATION_"),
        settings=dict(message.settings),
        dataset_digest=message.dataset_digest,
        create_time=common.when(message, "create_time"),
    )


def _tensor(message: model_pb2.TensorSpec) -> TensorInfo:
    return TensorInfo(message.name, message.datatype, tuple(message.shape))


def _layer(message: model_pb2.Layer) -> Layer:
    return Layer(message.name, message.operation, tuple(message.shape), message.default)


def _parameter(message: explanation_pb2.MethodParameter) -> MethodParameter:
    return MethodParameter(
        name=message.name,
        description=message.description,
        type=message.type,
        default=common.value(message.default_value),
        minimum=message.minimum if message.HasField("minimum") else None,
        maximum=message.maximum if message.HasField("maximum") else None,
        choices=tuple(message.choices),
    )
