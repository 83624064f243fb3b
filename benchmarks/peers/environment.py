"""An environment of its own for openvino-xai, which cannot live beside a current OpenVINO."""

from benchmarks.environment import environment

REQUIREMENT = "openvino-xai==1.1.0"
REPORTS_HOME = "openvino-telemetry"


def python() -> str:
    """The Python of the environment, which is made where it is not there yet.

    Raises:
        Skipped: it cannot be installed; with pip's last words.
    """
    return environment(REQUIREMENT, without=REPORTS_HOME)
