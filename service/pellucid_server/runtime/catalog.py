"""What readers see of the repository: unchangeable, replaced as a whole."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pellucid_server.errors import InvalidInput, ModelUnavailable, NotFound
from pellucid_server.nearest import nearest
from pellucid_server.runtime.lineage import Lineage
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.watch import VERSION
from pellucid_server.spec import ModelSpec


class ModelState(StrEnum):
    """How a version stands."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    UNLOADED = "unloaded"


@dataclass(frozen=True)
class VersionEntry:
    """A version of a model; `served` is set where it is ready.

    `reason` says why it is not, or what is wrong beside: files that were replaced by
    broken ones while the model read before stays served, an alias that was refused.
    """

    version: int
    state: ModelState
    reason: str = ""
    served: ServedModel | None = None
    lineage: Lineage | None = None
    """Where it comes from, if an optimisation made it."""
    size_bytes: int = 0
    """Of its files."""


@dataclass(frozen=True)
class ModelEntry:
    """A folder of the repository; versions newest first."""

    name: str
    spec: ModelSpec
    versions: tuple[VersionEntry, ...]
    default_version: int | None = None


@dataclass(frozen=True)
class Catalog:
    """Models by name, and names by alias."""

    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[ModelEntry], before: "Catalog") -> "Catalog":
        """Entries by name, with their aliases granted: who holds one keeps it."""
        models = {entry.name: entry for entry in sorted(entries, key=lambda each: each.name)}
        aliases: dict[str, str] = {}
        for entry in models.values():
            for alias in entry.spec.aliases:
                holder = before.aliases.get(alias, "")
                holds = holder in models and alias in models[holder].spec.aliases
                if alias not in models:
                    aliases.setdefault(alias, holder if holds else entry.name)
        return cls({name: _granted(entry, aliases) for name, entry in models.items()}, aliases)

    @property
    def served(self) -> frozenset[ServedModel]:
        """Every version that is served."""
        return frozenset(
            version.served
            for entry in self.models.values()
            for version in entry.versions
            if version.served
        )

    def entry(self, name: str) -> ModelEntry:
        """A model by its name or an alias.

        Raises:
            NotFound: there is none; the message names a near one, or all.
        """
        entry = self.models.get(self.aliases.get(name, name))
        if entry is None:
            known = [*self.models, *self.aliases]
            raise NotFound(f"there is no model {name!r}.{nearest(name, known)}", field="model_name")
        return entry

    def get(self, name: str, version: str) -> ServedModel:
        """A served version; "": the default one.

        Raises:
            NotFound: no such model, or no such version of it.
            InvalidInput: the version is no number.
            ModelUnavailable: it is not served; the message says why, and what to do.
        """
        entry = self.entry(name)
        if not version and entry.default_version is None:
            raise ModelUnavailable(_nothing_served(entry), field="model_name")
        wanted = version_number(version) if version else entry.default_version
        for each in entry.versions:
            if each.version == wanted:
                if each.served:
                    return each.served
                raise ModelUnavailable(_not_served(entry.name, each), field="model_version")
        known = ", ".join(str(each.version) for each in entry.versions) or "none"
        raise NotFound(
            f"{entry.name} has no version {wanted}; it has {known}", field="model_version"
        )


def version_number(text: str) -> int:
    """A version as a number.

    Raises:
        InvalidInput: it is not a positive whole number.
    """
    if not re.fullmatch(VERSION, text):
        raise InvalidInput(
            f"model_version is {text!r}: give a positive whole number, or nothing for the "
            "default version",
            field="model_version",
        )
    return int(text)


def _granted(entry: ModelEntry, aliases: Mapping[str, str]) -> ModelEntry:
    mine = tuple(each for each in entry.spec.aliases if aliases.get(each) == entry.name)
    lost = [each for each in entry.spec.aliases if each not in {*mine, entry.name}]
    if not lost:
        return entry
    taken = "; ".join(f"alias {each!r} is taken by {aliases.get(each, each)}" for each in lost)
    versions = tuple(
        replace(each, reason="; ".join(filter(None, (each.reason, taken))))
        for each in entry.versions
    )
    spec = entry.spec.model_copy(update={"aliases": mine})
    return replace(entry, spec=spec, versions=versions)


def _nothing_served(entry: ModelEntry) -> str:
    newest = entry.versions[0] if entry.versions else None
    if entry.spec.default_version:
        newest = next(
            (each for each in entry.versions if each.version == entry.spec.default_version), newest
        )
    if newest is None:
        return f"{entry.name} has no version folder: add {entry.name}/1 with the model's files"
    return _not_served(entry.name, newest)


def _not_served(name: str, version: VersionEntry) -> str:
    what = {
        ModelState.LOADING: "is being read: try again in a moment",
        ModelState.FAILED: f"cannot be served: {version.reason}; repair its files",
        ModelState.UNLOADED: f"is not loaded ({version.reason}): call LoadModel",
    }
    return f"{name} version {version.version} {what.get(version.state, version.reason)}"
