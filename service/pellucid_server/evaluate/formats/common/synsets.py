"""Names of ImageNet's classes, by their WordNet numbers."""

import json
import re

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD, Files, joined
from pellucid_server.evaluate.formats.common.lines import names

SYNSET = re.compile(r"n\d{8}")
LISTS = ("synset_words.txt", "LOC_synset_mapping.txt", "classes.txt")
INDEX = "imagenet_class_index.json"
INDEX_BYTES = 2**22


def is_synset(name: str) -> bool:
    """Whether a name is a number of WordNet, as `n01440764`."""
    return SYNSET.fullmatch(name) is not None


def synset_names(files: Files, under: str = "") -> dict[str, str]:
    """Number to number and words, `n01440764 tench, Tinca tinca`, where a list tells.

    Both, for words alone are not unique: ImageNet has two classes `crane`.

    Raises:
        InvalidInput: the list cannot be read.
    """
    for each in LISTS:
        path = joined(under, each)
        if files.has(path):
            split = (line.split(None, 1) for line in names(files, path))
            return {
                first: f"{first} {rest[0]}" for first, *rest in split if rest and is_synset(first)
            }
    path = joined(under, INDEX)
    return _index(files, path) if files.has(path) else {}


def _index(files: Files, path: str) -> dict[str, str]:
    try:
        table = json.loads(files.read(path, INDEX_BYTES))
        return {str(number): f"{number} {words}" for number, words in table.values()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", field=FIELD) from error
