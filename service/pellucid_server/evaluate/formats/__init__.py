"""How data sets are laid out: one module a format, registered by being here."""

from importlib import import_module
from pkgutil import iter_modules

from pellucid_server.evaluate.formats.base import FORMATS, KINDS, AnyFormat
from pellucid_server.evaluate.formats.find import find_format

__all__ = ["FORMATS", "KINDS", "AnyFormat", "find_format"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
