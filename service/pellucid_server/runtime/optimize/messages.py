"""What the server and the process that optimises tell each other.

The process asks and the server answers: items to calibrate with, and verdicts. While it
judges, the server asks back: it sends feeds to run until it sends the verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pellucid_server.runtime.optimize.plan import Quantization
from pellucid_server.types import Feeds, Outputs


@dataclass(frozen=True)
class Job:
    """What to do; sent once, first."""

    model: Path
    target: Path
    """The file to write."""
    outputs: tuple[str, ...] = ()
    """Names of the model's outputs, in its order."""
    preparing: Path | None = None
    """A graph that makes the model's inputs of feeds; None: feeds are the inputs."""
    quantization: Quantization | None = None
    """None: compress weights to FP16."""
    judged: int = 0


@dataclass(frozen=True)
class Pull:
    """Asks for the item of this index; answered by feeds, or None at the end."""

    index: int


@dataclass(frozen=True)
class Ask:
    """Asks for the verdict over these items; answered by `Run`s, then by a `Verdict`."""

    indices: tuple[int, ...]
    last: bool = False
    """Whether the model is the one that will be written."""


@dataclass(frozen=True)
class Run:
    """Feeds for the model to judge; answered by `Ran`."""

    feeds: Feeds


@dataclass(frozen=True)
class Ran:
    """What the model gave."""

    outputs: Outputs


@dataclass(frozen=True)
class Saving:
    """The model is made, and written now."""


@dataclass(frozen=True)
class Finished:
    """The file is written; `tools` are the versions of what made it."""

    tools: Mapping[str, str]


@dataclass(frozen=True)
class Failed:
    """Why there is no file."""

    reason: str
    saving: bool
    """Whether writing it is what failed."""


Message = Pull | Ask | Ran | Saving | Finished | Failed
"""What the process sends."""
