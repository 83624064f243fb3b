import pytest

from pellucid_server.imaging.letters import Lettering, name_of, printable


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("tabby cat, 93%", "tabby cat, 93%"),
        ("Müller", "Muller"),
        ("Cafe\u0301", "Cafe"),
        ("ễ", "e"),
        ("猫 cat", "? cat"),
        ("a\tb\nc\x00d", "a b c d"),
        ("\u202ecat", " cat"),
        ("㎏", "kg"),
        ("\ud800", " "),
        ("", ""),
    ],
)
def test_letters_without_a_shape_are_replaced(text: str, drawn: str) -> None:
    assert printable(text) == drawn


def test_a_class_without_a_name_that_can_be_drawn_has_its_number() -> None:
    assert [name_of(7, each) for each in ("dog", "", "猫", " \n", "猫1")] == [
        "dog", "class 7", "class 7", "class 7", "?1"
    ]  # fmt: skip


@pytest.mark.parametrize("room", [0, 10, 50, 200])
def test_a_long_text_is_cut_and_its_end_stays(room: int) -> None:
    letters = Lettering.of(320)
    for text in ("W" * 50_000, "i" * 50_000):
        fitted = letters.fitted(text, " 93%", room)
        assert fitted.endswith("… 93%")
        assert letters.width(fitted) <= max(room, letters.width("… 93%"))
    assert letters.fitted("cat", " 93%", 200) == "cat 93%"


def test_a_text_is_wrapped_without_losing_a_word() -> None:
    letters = Lettering.of(320)
    text = "the model has no class 'unicorn'. Known: cat, dog, bird. Set label_map"
    for room in (80, 150, 1000):
        lines = letters.wrapped(text, room, 100)
        assert " ".join(lines) == text
        assert max(map(letters.width, lines)) <= room
    lines = letters.wrapped("x" * 300, 100, 100)
    assert "".join(lines).replace(" ", "") == "x" * 300


def test_more_lines_than_there_is_room_for_end_with_dots() -> None:
    lines = Lettering.of(320).wrapped("why " * 99, 100, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")


def test_words_grow_with_the_picture_within_bounds() -> None:
    sizes = [Lettering.of(side).line for side in (16, 320, 1000, 4096, 60_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] == sizes[1] < sizes[2] < sizes[3] == sizes[4]
