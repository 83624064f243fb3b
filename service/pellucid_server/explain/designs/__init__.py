"""Designs of masks, by name."""

from pellucid_server.explain.designs.base import BLOCK, Design
from pellucid_server.explain.designs.hadamard import Hadamard
from pellucid_server.explain.designs.plain import Centred, Plain

DESIGNS: dict[str, type[Design]] = {"plain": Plain, "centred": Centred, "hadamard": Hadamard}

__all__ = ["BLOCK", "DESIGNS", "Design"]
