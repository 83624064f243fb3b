from pellucid.v1 import explanation_pb2
from pellucid_server.engine.explanation import MethodInfo
from pellucid_server.explain import ParameterInfo
from pellucid_server.rpc.codec.choices import TASKS
from pellucid_server.rpc.codec.values import encode_value


def encode_method(method: MethodInfo) -> explanation_pb2.Method:
    """A method of explanation."""
    return explanation_pb2.Method(
        name=method.name,
        description=method.description,
        reference=method.reference,
        parameters=map(_parameter, method.parameters),
        tasks=[TASKS[task] for task in method.tasks],
        model_names=method.model_names,
    )


def _parameter(info: ParameterInfo) -> explanation_pb2.MethodParameter:
    return explanation_pb2.MethodParameter(
        name=info.name,
        description=info.description,
        type=info.type,
        default_value=encode_value(info.default),
        minimum=info.minimum,
        maximum=info.maximum,
        choices=info.choices,
    )
