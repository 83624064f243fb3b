from collections.abc import Sequence
from dataclasses import dataclass

from pellucid_server.runtime.device import DeviceSpec
from pellucid_server.runtime.scheduling import Policy


@dataclass(frozen=True)
class PoolSettings:
    """How models run."""

    devices: Sequence[DeviceSpec]
    policy: Policy
    precision: str = "f32"
    mask_batch: int | None = 1
    """Masks in one inference; None: see `ModelPool.batch`."""
    predict_batch: int = 1
    """Predictions that may share an inference, where more wait than run."""
    cache: str = ""
    """Folder in which OpenVINO keeps compiled models between starts."""
    memory_bytes: int | None = None
    """Budget of compiled models; the least recently used go first."""
    stall_seconds: float = 60.0
    """That an inference may take at least; see `guard`."""
    compile_seconds: float = 600.0
