"""Keeps OpenVINO's usage reports from leaving the machine.

`import openvino` imports `openvino.tools.ovc`, which sends an event to Google Analytics
unless a file in the user's home declines; it falls back to a stub that sends nothing where
the package `openvino_telemetry` cannot be imported.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import cast

SENDER = "openvino_telemetry"


def stay_offline() -> None:
    """Makes the sender unimportable, for this process and what it forks; call it first."""
    if SENDER in sys.modules and sys.modules[SENDER] is not None:
        _silence()
    else:
        sys.modules[SENDER] = cast("ModuleType", None)  # Python halts its import


def _silence() -> None:
    """OpenVINO was imported before us: what it has reported is gone, the rest stays here."""
    sender = import_module(f"{SENDER}.utils.sender")
    sender.TelemetrySender.send = lambda *_, **__: None
