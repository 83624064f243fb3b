"""What each tenant may do, from a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pellucid_server.nearest import nearest
from pellucid_server.rpc.access.contract import every_method
from pellucid_server.rpc.access.documents import parse_document
from pellucid_server.rpc.access.identity import OWN, Evaluations, Grant, Identity, Proof


class Entry(BaseModel):
    """A grant in the file; what is not there is not allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    evaluations: Evaluations = Evaluations.OWN

    def grant(self) -> Grant:
        """As a value."""
        return Grant(self.methods, self.models, self.evaluations)


class PolicyFile(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Entry = Entry()
    anonymous: Entry = Entry()
    tenants: dict[str, Entry] = {}


@dataclass(frozen=True)
class Policy:
    """Grants by tenant; without a file, whoever is let in may do everything."""

    default: Grant = OWN
    anonymous: Grant = OWN
    tenants: Mapping[str, Grant] = field(default_factory=dict)

    def grant(self, identity: Identity) -> Grant:
        """What it may do; a name that nobody proved counts for nothing."""
        if identity.proof is Proof.NOTHING:
            return self.anonymous
        return self.tenants.get(identity.tenant, self.default)


def read_policy(contents: Sequence[bytes], path: Path) -> Policy:
    """The policy of a file.

    Raises:
        ValueError: it is no such file, or a glob covers no method.
    """
    document = parse_document(PolicyFile, contents[0], path)
    places = {"default": document.default, "anonymous": document.anonymous}
    places |= {f"tenants.{name}": entry for name, entry in document.tenants.items()}
    for place, entry in places.items():
        _check(entry.methods, f"{path}: {place}.methods")
    tenants = {name: entry.grant() for name, entry in document.tenants.items()}
    return Policy(document.default.grant(), document.anonymous.grant(), tenants)


def _check(globs: Sequence[str], where: str) -> None:
    """A glob with a slip in it would deny in silence."""
    methods = list(every_method())
    short = [method.rpartition("/")[2] for method in methods]
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in (*methods, *short)):
            raise ValueError(f"{where}: {glob!r} covers no method.{nearest(glob, short)}")
