"""Every model says what it is, where it is from, and on what terms."""

from pathlib import Path
from typing import Any

import pytest

NAMES = {
    "arbitrary-style",
    "efficientnet-lite0",
    "esrgan-slim",
    "multistyle",
    "nanodet",
    "push-pull",
    "selfie-segmentation",
}


def test_the_zoo_is_complete(models: dict[str, Any]) -> None:
    assert set(models) >= NAMES


@pytest.mark.parametrize("word", ["**Licence:**", "**Origin:**", "**Measured:**", "**Limits:**"])
def test_a_card_has_each_part(entry: Any, word: str) -> None:
    card = (entry.folder / "README.md").read_text()
    assert card.startswith(f"# {entry.folder.name}\n")
    assert word in card


def test_a_card_names_every_input_and_output(entry: Any) -> None:
    card = (entry.folder / "README.md").read_text()
    assert [name for name in (*entry.inputs, *entry.outputs) if f"`{name}`" not in card] == []


def test_what_others_made_carries_their_notice(entry: Any) -> None:
    """MIT and Apache-2.0 ask that the copyright notice travels with the copy."""
    if "part of this project" in (entry.folder / "README.md").read_text():
        return
    assert "opyright (c)" in (entry.folder / "LICENSE").read_text()


def test_a_card_names_the_script_that_made_the_model(entry: Any) -> None:
    script = f"tools/make_{entry.folder.name.replace('-', '_')}.py"
    assert script in (entry.folder / "README.md").read_text()
    assert (Path(entry.folder).parents[1] / script).is_file()
