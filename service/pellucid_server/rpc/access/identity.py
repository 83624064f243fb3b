"""Who calls, and what they may do."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property

SANE = re.compile(r"[!-~]{1,256}")
"""Proven names of tenants: whatever identity providers call people, without spaces."""
ALL = "*"


class Proof(StrEnum):
    """How a caller showed who it is."""

    NOTHING = "nothing"
    TOKEN = "token"  # noqa: S105  # a kind of proof, not a token
    OIDC = "oidc"
    CERTIFICATE = "certificate"


class Evaluations(StrEnum):
    """Whose evaluations a caller sees."""

    OWN = "own"
    ALL = "all"


@dataclass(frozen=True)
class Identity:
    """A tenant; without proof, the name is what the caller says, or empty."""

    tenant: str = ""
    proof: Proof = Proof.NOTHING


@dataclass(frozen=True)
class Grant:
    """What a tenant may do: globs of methods and models, `*` for all; and whose evaluations."""

    methods: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    evaluations: Evaluations = Evaluations.OWN

    def allows(self, method: str) -> bool:
        """Whether it covers a method, `package.Service/Method`; globs may have its last part."""
        return _matches(self.methods, (method, method.rpartition("/")[2]))

    def sees(self, model: str) -> bool:
        """Whether it covers a model."""
        return _matches(self.models, (model,))

    @cached_property
    def every_model(self) -> bool:
        """Whether no model is hidden."""
        return ALL in self.models

    @cached_property
    def everything(self) -> bool:
        """Whether neither models nor evaluations are hidden."""
        return self.every_model and self.evaluations is Evaluations.ALL


@dataclass(frozen=True)
class Caller:
    """An identity and its grant."""

    identity: Identity
    grant: Grant

    @property
    def tenant(self) -> str:
        """Its name."""
        return self.identity.tenant

    @property
    def who(self) -> str:
        """For messages."""
        return f"the tenant {self.tenant!r}" if self.tenant else "a caller without a name"

    @property
    def whose(self) -> str | None:
        """The tenant whose evaluations it sees; None: everybody's."""
        return None if self.grant.evaluations is Evaluations.ALL else self.tenant


EVERYTHING = Grant((ALL,), (ALL,), Evaluations.ALL)
OWN = Grant((ALL,), (ALL,))
NOBODY = Caller(Identity(), Grant())


def _matches(globs: Iterable[str], names: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for name in names for glob in globs)
