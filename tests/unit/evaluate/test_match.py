import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.evaluator import BadAnnotation
from pellucid_server.evaluate.match import Matcher

LABELS = ("traffic light", "Cat", "tench, Tinca tinca", "n02102040 English springer, springer", "7")


@pytest.mark.parametrize(
    ("name", "class_id"),
    [
        ("Cat", 1),
        ("cat", 1),
        ("traffic_light", 0),
        ("Traffic  Light", 0),
        ("tench", 2),
        ("tinca_tinca", 2),
        ("n02102040", 3),
        ("n02102040 a dog", 3),
        ("English springer", 3),
        ("english_springer, something else", 3),
        ("7", 4),
        ("0", 0),
        (" 2", 2),
    ],
)
def test_a_name_is_found(name: str, class_id: int) -> None:
    assert Matcher(LABELS, {}).class_id(name) == class_id


@pytest.mark.parametrize("name", ["dog", "5", "-1", "1.0", "", "n01440764", "٣"])
def test_an_unknown_name_is_a_bad_annotation(name: str) -> None:
    with pytest.raises(BadAnnotation, match="no class"):
        Matcher(LABELS, {}).class_id(name)


def test_the_nearest_label_is_named() -> None:
    with pytest.raises(BadAnnotation, match="Did you mean 'traffic light'"):
        Matcher(LABELS, {}).class_id("trafic light")


def test_the_label_map_comes_first_and_takes_indices() -> None:
    matcher = Matcher(("crane", "bird"), {"crane": "bird", "Heron": "1", "digger": "Crane"})
    assert [matcher.class_id(each) for each in ("crane", "heron", "digger")] == [1, 1, 0]


def test_a_map_to_an_unknown_label_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match=r"'sofa' to 'coach'.*'couch'") as caught:
        Matcher(("couch", "bed"), {"sofa": "coach"})
    assert caught.value.field == "label_map"


def test_of_equal_labels_the_first_counts() -> None:
    assert Matcher(("crane", "crane"), {}).class_id("crane") == 0


def test_a_model_without_labels_takes_indices() -> None:
    matcher = Matcher((), {"cat": "3"})
    assert (matcher.class_id("12"), matcher.class_id("cat")) == (12, 3)
    with pytest.raises(BadAnnotation):
        matcher.class_id("dog")


def test_a_data_set_with_no_class_of_the_model_is_refused_with_names_of_both() -> None:
    with pytest.raises(InvalidInput) as caught:
        Matcher(("aeroplane", "sofa"), {}, ["airplane", *"bcdefg"])
    assert caught.value.field == "label_map"
    for part in ("'airplane', 'b', 'c', 'd', 'e' and 2 more", "'aeroplane', 'sofa'", "Nearest"):
        assert part in caught.value.message


def test_one_class_that_fits_is_enough() -> None:
    assert Matcher(("cat",), {}, ["dog", "cat"]).find("dog") is None


def test_synsets_without_names_are_numbered_in_ascending_order() -> None:
    classes = ["n02000003", "n02000001", "n02000002"]
    matcher = Matcher(("a", "b", "c"), {}, classes)
    assert [matcher.class_id(each) for each in classes] == [2, 0, 1]
    with pytest.raises(InvalidInput, match="none"):
        Matcher(("a", "b"), {}, classes)
