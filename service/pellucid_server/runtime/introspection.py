"""What a graph offers: its ports, and the layers whose activations can be explained."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType

import openvino as ov

from pellucid_server.errors import ModelUnavailable
from pellucid_server.nearest import nearest
from pellucid_server.types import ANY, Layer, Port

DATATYPES: Mapping[str, str] = MappingProxyType(
    {
        "boolean": "BOOL",
        "u8": "UINT8",
        "u16": "UINT16",
        "u32": "UINT32",
        "u64": "UINT64",
        "i8": "INT8",
        "i16": "INT16",
        "i32": "INT32",
        "i64": "INT64",
        "f16": "FP16",
        "bf16": "BF16",
        "f32": "FP32",
        "f64": "FP64",
        "string": "BYTES",
    }
)
FLOATING = frozenset({"f16", "bf16", "f32", "f64"})

SOURCES = frozenset(
    {
        "BinaryConvolution",
        "Concat",
        "Convolution",
        "ConvolutionBackpropData",
        "DeformableConvolution",
        "GroupConvolution",
        "GroupConvolutionBackpropData",
        "MatMul",
    }
)
"""Operations whose output is a feature map of its own; sums of two live inputs too."""
ARITHMETIC = frozenset({"Add", "Divide", "Multiply", "Subtract"})
"""Bias and scale, where the other side is constant."""
COUNTED = re.compile(r"Result_\d+")
"""What OpenVINO names a nameless output; the number differs from process to process."""

POOLING = frozenset({"AvgPool", "MaxPool", "ReduceMax", "ReduceMean", "ReduceSum"})
ACTIVATIONS = frozenset(
    {
        "Clamp",
        "Elu",
        "Exp",
        "Gelu",
        "HSigmoid",
        "HSwish",
        "HardSigmoid",
        "Mish",
        "PRelu",
        "Relu",
        "Selu",
        "Sigmoid",
        "SoftPlus",
        "SoftSign",
        "Swish",
        "Tanh",
    }
)


def ports(sides: Iterable[ov.Input | ov.Output]) -> tuple[Port, ...]:
    """The graph's inputs or outputs in its order, each with a name of its own.

    The name is the tensor's any-name, or else the operation's; a name that the tensor
    lacks is given to it, so that the graph is addressed by the names of its ports.
    """
    found: list[Port] = []
    for side in sides:
        tensor = side.get_tensor()
        named = any(not COUNTED.fullmatch(each) for each in tensor.get_names())
        name = tensor.get_any_name() if named else _operation_name(side)
        name = _unique(name, {port.name for port in found})
        if not named:
            tensor.set_names({name})
        found.append(Port(name, _datatype(side, name), shape_of(side)))
    return tuple(found)


def _unique(name: str, taken: set[str]) -> str:
    candidates = (name, *(f"{name}.{number}" for number in range(1, len(taken) + 1)))
    return next(each for each in candidates if each not in taken)


def _operation_name(side: ov.Input | ov.Output) -> str:
    node = side.get_node()
    source = node.input_value(0).get_node() if node.get_type_name() == "Result" else node
    return str(source.get_friendly_name())


def _datatype(side: ov.Input | ov.Output, name: str) -> str:
    kind = side.get_element_type().get_type_name()
    if kind not in DATATYPES:
        raise ModelUnavailable(
            f"{name} is of type {kind}; served are {', '.join(DATATYPES)}: convert the model"
        )
    return DATATYPES[kind]


def shape_of(side: ov.Input | ov.Output) -> tuple[int, ...]:
    """The shape with `ANY` where it is free; a rank that is free too is one `ANY`."""
    shape = side.get_partial_shape()
    if shape.rank.is_dynamic:
        return (ANY,)
    return tuple(ANY if side.is_dynamic else side.get_length() for side in shape)


def layers(graph: ov.Model, target: str | None) -> tuple[Layer, ...]:
    """Feature maps in the order of the graph: convolutions, sums and matrix products.

    Each stands once, named by the last of the operations that a device fuses with it:
    bias, scale, activation. `target` is the default one; without it, the last map
    before pooling or before the layer that yields an output; where most are tokens of
    a transformer, the last tokens.

    Raises:
        ModelUnavailable: the graph has no feature map of the target's name.
    """
    nodes = graph.get_ordered_ops()
    live = _live(nodes)
    found: dict[str, Layer] = {}
    ends: dict[str, str] = {}
    for node in nodes:
        named = [node] if node.get_friendly_name() == target else []
        for last in (*named, *_ends(node, live)):
            layer = _layer(last)
            if layer:
                found.setdefault(layer.name, layer)
                ends[last.get_name()] = layer.name
    heads = {ends[each] for each in _heads(graph, ends)}
    body = [each for each in found.values() if each.name not in heads]
    default = target or _default(body or list(found.values()))
    if target and target not in found:
        raise ModelUnavailable(
            f"target_layer: no feature map is named {target!r}.{nearest(target, found)}"
        )
    return tuple(
        Layer(each.name, each.operation, each.shape, default=each.name == default)
        for each in found.values()
    )


def _live(nodes: Sequence[ov.Node]) -> set[str]:
    """Names of the operations that depend on the values of inputs, not only on shapes."""
    live: set[str] = set()
    for node in nodes:
        kind = node.get_type_name()
        if kind == "Parameter" or (kind != "ShapeOf" and _live_inputs(node, live)):
            live.add(node.get_name())
    return live


def _live_inputs(node: ov.Node, live: set[str]) -> list[str]:
    names = [value.get_node().get_name() for value in node.input_values()]
    return [name for name in names if name in live]


def _ends(node: ov.Node, live: set[str]) -> list[ov.Node]:
    """The last operation that is fused with a source of feature maps; none for others."""
    kind = node.get_type_name()
    inputs = _live_inputs(node, live)
    if not inputs or not (kind in SOURCES or (kind == "Add" and len(inputs) == 2)):
        return []
    follower: ov.Node | None = node
    while follower is not None:
        node, follower = follower, _fused(follower, live)
    return [node]


def _users(node: ov.Node) -> list[ov.Node]:
    return [each.get_node() for each in node.output(0).get_target_inputs()]


def _fused(node: ov.Node, live: set[str]) -> ov.Node | None:
    users = {each.get_name(): each for each in _users(node)}
    kinds = {each.get_type_name(): each for each in users.values()}
    if len(users) == 2 and kinds.keys() == {"Sigmoid", "Multiply"}:
        inputs = set(_live_inputs(kinds["Multiply"], live))
        gated = inputs == {node.get_name(), kinds["Sigmoid"].get_name()}
        return kinds["Multiply"] if gated else None
    if len(users) != 1:
        return None
    kind, user = kinds.popitem()
    scaled = kind in ARITHMETIC and len(_live_inputs(user, live)) == 1
    return user if scaled or kind in ACTIVATIONS else None


def _layer(node: ov.Node) -> Layer | None:
    output = node.output(0)
    shape = shape_of(output)
    extent = shape[2:] if len(shape) == 4 else shape[1:] if len(shape) == 3 else ()
    spatial = any(side != 1 for side in extent) if len(shape) == 4 else 1 not in extent
    if not extent or not spatial or output.get_element_type().get_type_name() not in FLOATING:
        return None
    return Layer(node.get_friendly_name(), node.get_type_name(), shape)


def _heads(graph: ov.Model, ends: Container[str]) -> set[str]:
    """Layers that reach an output through neither pooling nor another product."""
    heads: set[str] = set()
    seen: set[str] = set()
    nodes: list[ov.Node] = list(graph.get_results())
    while nodes:
        node = nodes.pop()
        name = node.get_name()
        if name in ends:
            heads.add(name)
        elif name not in seen and node.get_type_name() not in SOURCES | POOLING:
            nodes += [value.get_node() for value in node.input_values()]
        seen.add(name)
    return heads


def _default(candidates: Sequence[Layer]) -> str | None:
    maps = [layer.name for layer in candidates if len(layer.shape) == 4]
    tokens = [layer.name for layer in candidates if len(layer.shape) == 3]
    chosen = tokens if len(tokens) > len(maps) else maps
    return chosen[-1] if chosen else None
