"""Where a version comes from: a file beside the model that an optimisation made."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

log = structlog.get_logger()

FILE = "lineage.json"
MAX_BYTES = 64 * 1024
Text = Annotated[str, Field(max_length=4096)]


class Optimization(StrEnum):
    """What was done to the parent."""

    INT8 = "int8"
    """Post-training quantisation."""
    FP16 = "fp16"
    """Weights compressed."""


class Lineage(BaseModel):
    """What a version was made of, and how."""

    model_config = ConfigDict(frozen=True)

    parent_version: PositiveInt
    optimization: Optimization
    settings: Mapping[str, Text] = {}
    dataset_digest: Text = ""
    """SHA-256 of what the model was calibrated with; empty: of nothing."""
    create_time: datetime
    tools: Mapping[str, Text] = {}
    """Versions of what made it, by name."""


def read_lineage(folder: Path) -> Lineage | None:
    """The lineage of a version; None where it has none, or one that cannot be read.

    A model is served whatever is wrong here: the log says what.
    """
    path = folder / FILE
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return Lineage.model_validate_json(file.read(MAX_BYTES))
    except (OSError, ValidationError) as error:
        where = {"model": folder.parent.name, "version": folder.name}
        log.warning("lineage cannot be read", **where, error=type(error).__name__)
        return None


def write_lineage(folder: Path, lineage: Lineage) -> None:
    """Writes the file."""
    (folder / FILE).write_text(lineage.model_dump_json(indent=2) + "\n", encoding="utf-8")
