"""Methods of explanation, one file each: importing this package registers them all."""

from pellucid_server.explain import rise as _rise  # noqa: F401 - registers the method
from pellucid_server.explain.method import METHODS, Map, Method, Problem, Progress
from pellucid_server.explain.parameters import ParameterInfo, ParameterValue, describe, parse

__all__ = [
    "METHODS",
    "Map",
    "Method",
    "ParameterInfo",
    "ParameterValue",
    "Problem",
    "Progress",
    "describe",
    "parse",
]
