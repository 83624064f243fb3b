"""Pellucid's client: predictions and their explanations from a Pellucid server."""

from pellucid import aio, draw
from pellucid._transport.calls import Health
from pellucid._transport.channel import Tls
from pellucid._transport.stream import ExplanationStream
from pellucid._transport.window import Outcome
from pellucid._version import __version__
from pellucid.client import Client
from pellucid.errors import (
    CancelledError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PellucidError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from pellucid.explanations import Accepted, Convergence, Explanation, Overlay, Progress, SaliencyMap
from pellucid.models import Layer, Method, MethodParameter, Model, ModelVersion, TensorInfo
from pellucid.results import (
    ClassArea,
    ClassificationResult,
    Detection,
    DetectionResult,
    ImageResult,
    Instance,
    InstanceSegmentationResult,
    RawResult,
    Result,
    SemanticSegmentationResult,
)
from pellucid.types import Box, Category, Size, Task, Timing, Uri

__all__ = [
    "Accepted",
    "Box",
    "CancelledError",
    "Category",
    "ClassArea",
    "ClassificationResult",
    "Client",
    "Convergence",
    "DeadlineExceededError",
    "Detection",
    "DetectionResult",
    "Explanation",
    "ExplanationStream",
    "FailedPreconditionError",
    "FieldViolation",
    "Health",
    "ImageResult",
    "Instance",
    "InstanceSegmentationResult",
    "InternalError",
    "InvalidArgumentError",
    "Layer",
    "Method",
    "MethodParameter",
    "Model",
    "ModelVersion",
    "NotFoundError",
    "Outcome",
    "Overlay",
    "PellucidError",
    "PermissionDeniedError",
    "Progress",
    "RawResult",
    "ResourceExhaustedError",
    "Result",
    "SaliencyMap",
    "SemanticSegmentationResult",
    "Size",
    "Task",
    "TensorInfo",
    "Timing",
    "Tls",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "Uri",
    "__version__",
    "aio",
    "draw",
]
