from pellucid.v1 import common_pb2
from pellucid_server.errors import InvalidInput
from pellucid_server.explain import ParameterValue


def encode_value(value: ParameterValue) -> common_pb2.ParameterValue:
    """A parameter's value."""
    match value:
        case bool():  # before int, which it is
            return common_pb2.ParameterValue(bool_value=value)
        case int():
            return common_pb2.ParameterValue(int_value=value)
        case float():
            return common_pb2.ParameterValue(double_value=value)
        case str():
            return common_pb2.ParameterValue(string_value=value)


def decode_value(message: common_pb2.ParameterValue, field: str) -> ParameterValue:
    """A parameter's value."""
    kind = message.WhichOneof("value")
    if kind is None:
        raise InvalidInput("a parameter needs a value", field=field)
    value: ParameterValue = getattr(message, kind)
    return value
