import re
from pathlib import Path
from typing import Any

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Sample
from pellucid_server.evaluate.formats import FORMATS, KINDS, find_format
from pellucid_server.types import Task

ROOT = Path(__file__).parents[4]
NAMES = sorted(FORMATS)


def test_the_formats_are_those_that_the_contract_names() -> None:
    proto = (ROOT / "proto/pellucid/v1/evaluation.proto").read_text()
    comment = proto.partition("string dataset = 3;")[2].partition("string dataset_format")[0]
    assert set(re.findall(r"`(\w+)`", comment)) == set(FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_each_format_finds_its_own_sets(name: str, sets: Any, memory: Any) -> None:
    task, contents = sets[name]
    assert find_format(memory(contents), task).name == name


@pytest.mark.parametrize("name", NAMES)
def test_each_format_reads_its_own_sets_with_the_kind_of_annotation_that_the_task_needs(
    name: str, sets: Any, read: Any
) -> None:
    task, contents = sets[name]
    rows = read(name, contents, task)
    assert rows
    assert all(isinstance(row, Sample) for row in rows)
    if name != "images":
        assert {type(row.annotation) for row in rows} == {KINDS[task]}
        assert all(row.location for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_no_format_claims_the_sets_of_another(name: str, sets: Any, memory: Any) -> None:
    """For the tasks of that set: what another task would read it as does not matter."""
    task, contents = sets[name]
    claiming = [
        each
        for each, form in FORMATS.items()
        if task in form.tasks and form.detect(memory(contents))
    ]
    assert claiming == [name]


@pytest.mark.parametrize("name", NAMES)
def test_each_format_has_a_line_of_description_and_tasks(name: str) -> None:
    form = FORMATS[name]
    assert form.description
    assert "\n" not in form.description
    assert form.tasks
    assert set(form.tasks) <= set(KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_each_format_reads_twice_in_the_same_order(name: str, sets: Any, read: Any) -> None:
    task, contents = sets[name]
    assert read(name, contents, task) == read(name, contents, task)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_set_is_refused(name: str, sets: Any, read: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(name, {}, sets[name][0])
    assert caught.value.field == "dataset"
    assert name in caught.value.message


@pytest.mark.parametrize("name", NAMES)
def test_a_set_of_other_things_is_refused(name: str, sets: Any, read: Any) -> None:
    with pytest.raises(InvalidInput, match="At the root there are folders 'notes'") as caught:
        read(name, {"notes/readme.md": "hello"}, sets[name][0])
    assert caught.value.field == "dataset"


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_parameter_is_refused_with_the_nearest(name: str) -> None:
    form = FORMATS[name]
    known = next(iter(form.parameters_type.model_fields), "")
    with pytest.raises(InvalidInput, match="has no parameter") as caught:
        form.parse({known + "z": "1"})
    assert caught.value.field == f"parameters[{known}z]"
    assert known in caught.value.message


def test_parameters_of_others_are_left_to_them() -> None:
    parsed = FORMATS["csv"].parse({"delimiter": ";", "bins": "15"}, others={"bins"})
    assert parsed.delimiter == ";"


def test_an_unknown_parameter_may_be_near_to_one_of_others() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'bins'"):
        FORMATS["csv"].parse({"binz": "15"}, others={"bins"})


def test_a_wrong_value_of_a_parameter_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ignored is 'many'") as caught:
        FORMATS["segmentation"].parse({"ignored": "many"})
    assert caught.value.field == "parameters[ignored]"


def test_a_format_is_taken_by_its_name_whatever_the_set_looks_like(memory: Any) -> None:
    assert find_format(memory({"a/b.txt": ""}), Task.DETECTION, "images").name == "images"


def test_an_unknown_name_is_refused_with_the_nearest(memory: Any) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'imagenet'") as caught:
        find_format(memory({"a.jpg": b""}), Task.CLASSIFICATION, "imagnet")
    assert caught.value.field == "dataset_format"


def test_a_format_that_does_not_serve_the_task_is_refused(memory: Any) -> None:
    with pytest.raises(InvalidInput, match="does not serve detection") as caught:
        find_format(memory({"a.jpg": b""}), Task.DETECTION, "imagenet")
    assert caught.value.field == "dataset_format"
    for name in ("voc", "coco", "images"):
        assert f"{name}: {FORMATS[name].description}" in caught.value.message


def test_a_set_that_no_format_claims_is_refused_with_what_was_found(memory: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_format(memory({"stuff/a.jpg": b"", "notes.md": ""}), Task.DETECTION)
    assert caught.value.field == "dataset_format"
    for part in ("'stuff'", "'notes.md'", FORMATS["voc"].description):
        assert part in caught.value.message


def test_a_set_that_two_formats_claim_is_refused(memory: Any) -> None:
    both = {"list.csv": "path,label\n", "cat/1.jpg": b"", "dog/1.jpg": b""}
    with pytest.raises(InvalidInput, match="csv or imagenet") as caught:
        find_format(memory(both), Task.CLASSIFICATION)
    assert caught.value.field == "dataset_format"


def test_an_empty_folder_is_refused_before_its_format_is_asked(memory: Any) -> None:
    with pytest.raises(InvalidInput, match="the set is empty") as caught:
        find_format(memory({}), Task.CLASSIFICATION)
    assert caught.value.field == "dataset"


def test_a_set_with_annotations_for_other_tasks_is_not_taken_for_not_annotated(
    memory: Any, sets: Any
) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_format(memory(sets["voc"][1]), Task.SUPER_RESOLUTION)
    assert caught.value.field == "dataset_format"


def test_messages_stay_short_whatever_the_root_holds(memory: Any) -> None:
    many = {f"{'long' * 100}{number}.md": b"" for number in range(100)}
    with pytest.raises(InvalidInput) as caught:
        find_format(memory(many), Task.DETECTION)
    assert len(caught.value.message) < 2000
