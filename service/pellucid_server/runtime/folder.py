"""One model's folder: which of its versions are read, kept and dropped, and when."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.catalog import ModelEntry, ModelState, VersionEntry
from pellucid_server.runtime.lineage import Lineage, read_lineage
from pellucid_server.runtime.served import ServedModel, Subject
from pellucid_server.runtime.spec_file import FILE, read_spec
from pellucid_server.runtime.watch import Files, Look, fingerprint
from pellucid_server.spec import ModelSpec

Read = Callable[[Path, ModelSpec | None], ServedModel]
Source = tuple[Files, ModelSpec | None]
"""What a version was read from: reading again is needed where it differs."""

OF_THE_FOLDER: Mapping[str, Any] = MappingProxyType(
    {"aliases": (), "versions": (), "default_version": None}
)
"""Settings that say nothing of how a version is read, and their neutral values."""
CHANGED = "its files changed while they were read"


@dataclass
class Version:
    """A version's folder, and what became of it.

    `asked` is READY or UNLOADED where a call said so, which wins over the settings.
    """

    number: int
    source: Source | None = None
    served: ServedModel | None = None
    reason: str = ""
    asked: ModelState | None = None
    moving: bool = False
    reading: bool = False
    files: Files = frozenset()
    lineage: Lineage | None = None

    def entry(self, beside: str) -> VersionEntry:
        """How it stands; `beside` is what is wrong with the whole model."""
        state, reason = self._stand()
        size = sum(max(0, each) for _, each, _ in self.files)
        return VersionEntry(self.number, state, reason or beside, self.served, self.lineage, size)

    def _stand(self) -> tuple[ModelState, str]:
        if self.served:
            kept = f"{self.reason}; the model read before stays served" if self.reason else ""
            return ModelState.READY, kept
        if self.reading:
            return ModelState.LOADING, ""
        if self.asked is ModelState.UNLOADED:
            return ModelState.UNLOADED, "unloaded by a call"
        if self.reason:
            return ModelState.FAILED, self.reason
        if self.moving:
            return ModelState.LOADING, "waits until its files stop changing"
        return ModelState.UNLOADED, "the settings ask for other versions"

    def drop(self) -> None:
        """Stops serving it, as if it had never been read."""
        self.source, self.served, self.reason = None, None, ""


class ModelFolder:
    """Keeps what is served of a model as its folder stands.

    Good files are never given up for bad ones: where a new version, a replaced file or
    a changed `model.yaml` cannot be read, what was read before stays.
    """

    def __init__(self, path: Path, read: Read, publish: Callable[[], None]) -> None:
        self.name = path.name
        self._path = path
        self._read = read
        self._publish = publish
        self._described: Files | None = None
        self._spec: ModelSpec | None = None
        self._spec_reason = ""
        self._spec_known = False
        self._versions: dict[int, Version] = {}

    @property
    def gone(self) -> bool:
        """Whether the folder is no more."""
        return self._described is None and not self._versions

    def entry(self) -> ModelEntry:
        """The model as readers see it."""
        versions = [self._versions[each].entry(self._spec_reason) for each in self._newest_first()]
        missing = [each for each in self._settings.versions if each not in self._versions]
        versions += [
            VersionEntry(each, ModelState.FAILED, f"{FILE} asks for it, but there is no folder")
            for each in missing
        ]
        versions.sort(key=lambda each: -each.version)
        default = self._default(versions)
        served = next((each.served for each in versions if each.version == default), None)
        spec = served.spec if served else self._settings
        kept = {key: getattr(self._settings, key) for key in OF_THE_FOLDER}
        return ModelEntry(self.name, spec.model_copy(update=kept), tuple(versions), default)

    def update(self, look: Look, again: Container[int] = ()) -> dict[int, str]:
        """Follows the folder; reads versions of `again` even where nothing changed.

        Returns:
            For each version that was read, why it cannot be served, or "".
        """
        self.see(look)
        self._update_spec(look, force=bool(again))
        there = look.versions(self.name)
        outcomes = self._serve(there, again) if self._spec_known else self._refuse_all()
        self._versions = {
            number: version
            for number, version in self._versions.items()
            if number in there or version.moving
        }
        return outcomes

    def see(self, look: Look) -> None:
        """Notes which version folders there are."""
        for number, files in look.versions(self.name).items():
            version = self._versions.setdefault(number, Version(number))
            if version.files != files:
                version.files = files
                version.lineage = read_lineage(self._path / str(number))
        for number, version in self._versions.items():
            version.moving = not look.settled(self.name, number)

    def refuse(self, refusal: Callable[[Subject], str]) -> None:
        """Stops serving versions that there is something against."""
        for version in self._versions.values():
            if version.served and (reason := refusal(version.served.subject)):
                version.served, version.reason = None, reason

    def ask(self, state: ModelState, number: int | None) -> None:
        """Loads or unloads by a call: one version, or all. Loading happens in `update`."""
        for version in self._versions.values():
            if number not in {None, version.number}:
                continue
            if state is ModelState.UNLOADED:
                version.asked = state
                version.reason = "" if version.served else version.reason
                version.served = None
            elif number or version.asked is ModelState.UNLOADED:
                version.asked = state if number else None

    @property
    def versions(self) -> frozenset[int]:
        """The numbers of the version folders."""
        return frozenset(self._versions)

    @property
    def _settings(self) -> ModelSpec:
        return self._spec or ModelSpec()

    def _newest_first(self) -> list[int]:
        return sorted(self._versions, reverse=True)

    def _default(self, versions: list[VersionEntry]) -> int | None:
        ready = [each.version for each in versions if each.served]
        pinned = self._settings.default_version
        if pinned:
            return pinned if pinned in ready else None
        return ready[0] if ready else None

    def _update_spec(self, look: Look, *, force: bool) -> None:
        files = look.files.get((self.name, None))
        if not look.settled(self.name, None) or (files == self._described and not force):
            return
        self._described = files
        try:
            self._spec, self._spec_reason = read_spec(self._path), ""
            self._spec_known = True
        except (ModelUnavailable, OSError) as error:
            kept = "; the settings read before stay" if self._spec_known else ""
            reason = f"{FILE}: {error.strerror}" if isinstance(error, OSError) else error.message
            self._spec_reason = reason + kept

    def _refuse_all(self) -> dict[int, str]:
        for version in self._versions.values():
            version.reason = self._spec_reason
        return dict.fromkeys(self._versions, self._spec_reason)

    def _serve(self, there: dict[int, Files], again: Container[int]) -> dict[int, str]:
        description = self._spec and self._spec.model_copy(update=OF_THE_FOLDER)
        outcomes = {}
        superseded = []
        parents: set[int] = set()
        found = False
        for number in self._newest_first():
            version = self._versions[number]
            source = (there[number], description) if number in there else None
            self._forgive(version, source)
            if version.asked is ModelState.UNLOADED:
                found = found or not version.reason
            elif not self._wanted(version, found=found and number not in parents):
                superseded.append(version)
            elif source and not version.moving and (version.source != source or number in again):
                outcomes[number] = self._try(version, source)
            # What an optimisation was made of stays beside it: to compare with, and to return to.
            if version.served and version.lineage and version not in superseded:
                parents.add(version.lineage.parent_version)
            # A folder that is gone is served until its successor is read, and then no more.
            found = found or (bool(version.served) and bool(source or version.moving))
        for version in superseded:
            version.drop()
        return outcomes

    def _wanted(self, version: Version, *, found: bool) -> bool:
        pins = self._settings.versions
        if version.asked is ModelState.READY or version.number == self._settings.default_version:
            return True
        return version.number in pins if pins else not found

    @staticmethod
    def _forgive(version: Version, source: Source | None) -> None:
        """An unloaded version stays so until its files change."""
        if version.asked is not ModelState.UNLOADED or source is None or version.moving:
            return
        if version.source is None:
            version.source = source
        elif version.source != source:
            version.asked = None

    def _try(self, version: Version, source: Source) -> str:
        folder = self._path / str(version.number)
        version.reading = True
        self._publish()
        try:
            served = self._read(folder, source[1])
            version.reason = "" if fingerprint(folder) == source[0] else CHANGED
            version.served = version.served if version.reason else served
        except ModelUnavailable as error:
            version.reason = error.message
        version.reading = False
        version.source = None if version.reason == CHANGED else source
        return version.reason
