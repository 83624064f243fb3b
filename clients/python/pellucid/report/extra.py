"""What pages need beside the client."""

from importlib import import_module
from types import ModuleType


def require() -> None:
    """Says early what is missing.

    Raises:
        ImportError: Jinja2 or VlConvert is not installed.
    """
    for name in ("jinja2", "vl_convert"):
        load(name)


def load(name: str) -> ModuleType:
    """A module of the extra.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"HTML reports need {name}: pip install 'pellucid[report]'", name=name
        ) from error
