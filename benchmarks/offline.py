"""Keeps OpenVINO from reporting home: its reporter forks, and a fork beside threads may hang.

`python -m benchmarks.offline MODULE ARGUMENTS` runs a module so. Needs nothing but Python.
"""

import runpy
import sys
from types import ModuleType
from typing import cast


def stay_offline() -> None:
    """Makes the reporter unimportable: OpenVINO does without. To be called before its import."""
    sys.modules["openvino_telemetry"] = cast("ModuleType", None)


if __name__ == "__main__":
    stay_offline()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
