"""Reads a version of a model from its folder, and checks that its description fits."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import openvino as ov
import structlog

from pellucid_server.errors import InvalidInput, ModelUnavailable
from pellucid_server.nearest import nearest
from pellucid_server.runtime import introspection
from pellucid_server.runtime.formats import ModelFile, find_model
from pellucid_server.runtime.rt_info import described_by
from pellucid_server.runtime.served import ServedModel, Subject
from pellucid_server.runtime.spec_file import FILE
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.runtime.watch import fingerprint
from pellucid_server.spec import ModelSpec, image_input, image_layout
from pellucid_server.types import ANY, Port, Task

log = structlog.get_logger()

MAX_REASON = 400
NOISE = re.compile(
    r"^(Exception from .*|Check '.*' failed at .*|FrontEnd API failed with .*|Loading input model|"
    r"While validating node .*)$"
)
FRONT_ENDS = re.compile(r" Please check that model format: .*")
CHANNELS = {"RGB": 3, "BGR": 3, "GRAY": 1}


class Loader:
    """Reads models of every format; a model that cannot be read costs nothing else.

    `screen` tries files out before they are read here, those of suspects and, once it is
    `careful`, all.
    """

    def __init__(
        self,
        root: Path,
        suspects: Suspects | None = None,
        screen: Callable[[Path], None] | None = None,
    ) -> None:
        self.careful = False
        self._root = root
        self._suspects = suspects or Suspects()
        self._screen = screen
        self._core = ov.Core()
        # Mapped weights would end the process when their file is truncated in place.
        self._core.set_property({"ENABLE_MMAP": False})

    def read(self, folder: Path, declared: ModelSpec | None) -> ServedModel:
        """The model in `<name>/<version>/`, described by `declared` or by its own metadata.

        Raises:
            ModelUnavailable: it cannot be read or does not fit its description; the
                message says why.
        """
        try:
            return self._read(folder, declared)
        except ModelUnavailable:
            raise
        except Exception as error:  # whatever a file makes a front end do is the file's fault
            log.info("model failed unexpectedly", folder=str(folder), exc_info=True)
            raise ModelUnavailable(_reason(error)) from error

    def _read(self, folder: Path, declared: ModelSpec | None) -> ServedModel:
        self._refuse_outside(folder)
        file = find_model(folder)
        subject = Subject(folder.parent.name, int(folder.name), _files(folder))
        self._admit(subject, folder)
        with self._suspects.reading(subject):
            graph = self._graph(file)
        inputs = introspection.ports(graph.inputs)
        outputs = introspection.ports(graph.outputs)
        spec = described_by(graph, declared)
        _check(spec, inputs)
        return ServedModel(
            name=subject.name,
            version=subject.version,
            spec=spec,
            format=file.format,
            path=file.path,
            graph=graph,
            inputs=inputs,
            outputs=outputs,
            layers=introspection.layers(graph, spec.target_layer),
            files=subject.files,
        )

    def _admit(self, subject: Subject, folder: Path) -> None:
        self._suspects.admit(subject)
        if self._screen and (self.careful or subject in self._suspects):
            try:
                self._screen(folder)
            except ModelUnavailable as error:
                self._suspects.refuse(subject, error.message)
                self._suspects.admit(subject)

    def _graph(self, file: ModelFile) -> ov.Model:
        try:
            return self._core.read_model(file.path)
        except RuntimeError as error:
            raise ModelUnavailable(f"{file.path.name}: {_reason(error)}") from error

    def _refuse_outside(self, folder: Path) -> None:
        root = self._root.resolve()
        for path in (folder, *folder.rglob("*")):
            if not path.resolve().is_relative_to(root):
                raise ModelUnavailable(
                    f"{path.name} is a link out of the model repository: copy the file into it"
                )


def _files(folder: Path) -> str:
    return hashlib.blake2b(repr(sorted(fingerprint(folder))).encode(), digest_size=16).hexdigest()


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not NOISE.match(line)]
    text = FRONT_ENDS.sub("the file is damaged or of another format", " ".join(telling))
    text = re.sub(r'Unable to read the model: "[^"]*"', "", text).strip()
    text = re.sub(r"(?<![\w.])/(?:[^\s/'\":]+/)+", "", text)
    return text[:MAX_REASON] or type(error).__name__


def _check(spec: ModelSpec, inputs: tuple[Port, ...]) -> None:
    names = [port.name for port in inputs]
    for role, name in spec.inputs.items():
        if name not in names:
            raise ModelUnavailable(
                f"{FILE}: inputs.{role}: the model has no input {name!r}.{nearest(name, names)}"
            )
    for port in inputs:
        if port.shape == (ANY,) and spec.task is not Task.RAW:
            raise ModelUnavailable(f"input {port.name} has no fixed number of dimensions")
    if spec.task is not Task.RAW:
        _check_image(spec, inputs)


def _check_image(spec: ModelSpec, inputs: tuple[Port, ...]) -> None:
    try:
        port = image_input(spec, inputs)
    except InvalidInput as error:
        raise ModelUnavailable(f"{FILE}: {error.field}: {error.message}") from error
    if len(port.shape) != 4:
        raise ModelUnavailable(
            f"{FILE}: preprocess.input: {port.name} {list(port.shape)} has not four dimensions"
        )
    preprocess = spec.preprocess
    wanted = CHANNELS[preprocess.color]
    channels = port.shape[1 if image_layout(spec, port) == "NCHW" else 3]
    if channels not in {ANY, wanted}:
        raise ModelUnavailable(
            f"{FILE}: preprocess.color: {preprocess.color} has {wanted} channels, input "
            f"{port.name} {list(port.shape)} has {channels}; set preprocess.layout or color"
        )
    for key, values in (("mean", preprocess.mean), ("scale", preprocess.scale)):
        if len(values) not in {1, wanted}:
            raise ModelUnavailable(
                f"{FILE}: preprocess.{key}: {len(values)} values for {wanted} channels"
            )
