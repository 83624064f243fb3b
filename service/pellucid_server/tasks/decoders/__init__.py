"""How published layouts of detectors are read: one module a layout, registered by being here."""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

from pellucid_server.errors import InvalidInput
from pellucid_server.nearest import nearest
from pellucid_server.spec import ModelSpec
from pellucid_server.tasks.decoders.base import DECODERS, AnyDecoder, Candidates
from pellucid_server.tasks.options import read_options
from pellucid_server.types import Port

__all__ = ["DECODERS", "AnyDecoder", "Candidates", "decoder_for"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def decoder_for(spec: ModelSpec, outputs: Sequence[Port], *, masks: bool) -> AnyDecoder:
    """The decoder that `decode.type` names, with its options, bound to a model's outputs.

    `masks`: only those that read masks will do.

    Raises:
        InvalidInput: the type is missing or unknown, an option is wrong, or the layout
            does not fit the outputs.
    """
    known = {name: each for name, each in DECODERS.items() if each.masks or not masks}
    name = spec.decode.get("type")
    if name is None:
        raise InvalidInput(
            f"decode.type is missing: set it in model.yaml to one of {', '.join(sorted(known))}",
            field="decode.type",
        )
    if name not in known:
        raise InvalidInput(
            f"decode.type {name!r} is not one of {', '.join(sorted(known))}."
            f"{nearest(str(name), known)}",
            field="decode.type",
        )
    kind = known[name]
    return kind(read_options(kind.options_type, spec.decode), tuple(outputs), len(spec.labels))
