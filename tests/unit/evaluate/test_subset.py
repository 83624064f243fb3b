import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.annotations import Flaw, Labels, Object, Objects, Picture, Sample
from pellucid_server.evaluate.subset import Rows, Subset, take
from pellucid_server.types import Box

BOX = Box(0, 0, 1, 1)


def sample(number: int, *names: str) -> Sample:
    return Sample(f"{number}.jpg", Labels(names))


def flaw(number: int) -> Flaw:
    return Flaw(f"{number}.jpg", f"list.txt:{number}", "wrong")


def plain(count: int) -> list[Sample | Flaw]:
    return [sample(number, "ab"[number % 2]) for number in range(count)]


def taken(rows: Sequence[Sample | Flaw], subset: Subset) -> list[Sample | Flaw]:
    return list(take(lambda: rows, subset))


ROWS = st.lists(
    st.one_of(
        st.builds(sample, st.integers(0, 99), st.sampled_from("abc")),
        st.builds(flaw, st.integers(0, 99)),
    ),
    max_size=40,
)
SUBSETS = st.builds(Subset, st.integers(1, 12), st.booleans(), st.integers(-(2**63), 2**63 - 1))


def is_part(part: Rows, whole: Rows) -> bool:
    """Whether rows come in the same order in another list."""
    left = iter(whole)
    return all(any(row is other for other in left) for row in part)


@given(ROWS, SUBSETS)
def test_a_subset_has_its_size_and_the_order_of_the_set(
    rows: list[Sample | Flaw], subset: Subset
) -> None:
    part = taken(rows, subset)
    count = sum(isinstance(row, Sample) for row in rows)
    assert sum(isinstance(row, Sample) for row in part) == min(subset.size, count)
    assert is_part(part, rows)
    assert taken(rows, subset) == part


@given(ROWS, SUBSETS)
def test_flaws_before_the_last_sample_taken_are_passed_along(
    rows: list[Sample | Flaw], subset: Subset
) -> None:
    """All of them where the set has fewer samples."""
    rows = [
        sample(place) if isinstance(row, Sample) else flaw(place) for place, row in enumerate(rows)
    ]
    samples = [row for row in taken(rows, subset) if isinstance(row, Sample)]
    end = rows.index(samples[-1]) if len(samples) == subset.size else len(rows)
    assert [row for row in taken(rows, subset) if isinstance(row, Flaw)] == [
        row for row in rows[:end] if isinstance(row, Flaw)
    ]


@given(ROWS, SUBSETS, st.booleans())
def test_of_each_class_the_size_is_taken(
    rows: list[Sample | Flaw], subset: Subset, random: object
) -> None:
    if not any(isinstance(row, Sample) for row in rows):
        return
    part = taken(rows, Subset(subset.size, bool(random), subset.seed, per_class=True))
    there, found = (
        Counter(row.annotation.names[0] for row in some if isinstance(row, Sample))  # type: ignore[union-attr] # Labels
        for some in (rows, part)
    )
    assert found == {name: min(count, subset.size) for name, count in there.items()}
    assert is_part(part, rows)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(1, 60), st.integers())
def test_a_smaller_subset_of_a_seed_is_part_of_a_larger(
    count: int, one: int, other: int, seed: int
) -> None:
    rows = plain(count)
    smaller, larger = (
        taken(rows, Subset(size, random=True, seed=seed)) for size in sorted((one, other))
    )
    assert is_part(smaller, larger)


def test_the_first_are_taken_without_reading_on() -> None:
    def rows() -> Iterator[Sample]:
        yield from (sample(0), sample(1))
        pytest.fail("read beyond what is taken")

    assert list(take(rows, Subset(2))) == [sample(0), sample(1)]


@pytest.mark.parametrize("size", [0, 100])
def test_all_are_taken_where_no_fewer_are_asked_for(size: int) -> None:
    rows: list[Sample | Flaw] = [sample(0, "a"), flaw(1), sample(2, "b"), flaw(3)]
    assert taken(rows, Subset(0, random=True)) == rows
    assert taken(rows, Subset(100)) == rows
    assert taken(rows, Subset(size, random=True))[:3] == rows[:3]


def chi_square(counts: Counter[tuple[str, ...]], cells: int) -> float:
    expected = counts.total() / cells
    missing = cells - len(counts)
    return sum((n - expected) ** 2 / expected for n in counts.values()) + missing * expected


def draws(subset: Callable[[int], Subset], count: int = 6) -> Counter[tuple[str, ...]]:
    rows = plain(count)
    return Counter(
        tuple(row.path for row in taken(rows, subset(seed))) for seed in range(-1500, 1500)
    )


def test_every_subset_is_as_likely() -> None:
    """Pearson's test over the 20 subsets of 3 among 6: 19 degrees of freedom, p = 0.001."""
    counts = draws(lambda seed: Subset(3, random=True, seed=seed))
    assert len(counts) == len(list(itertools.combinations(range(6), 3)))
    assert chi_square(counts, 20) < 43.8


def test_every_subset_of_each_class_is_as_likely() -> None:
    """2 of 3 of one class and 2 of 3 of another: 9 pairs, 8 degrees of freedom, p = 0.001."""
    counts = draws(lambda seed: Subset(2, random=True, seed=seed, per_class=True))
    assert chi_square(counts, 9) < 26.1


def test_seeds_differ_also_in_their_sign_alone() -> None:
    rows = plain(1000)
    parts = [tuple(taken(rows, Subset(5, random=True, seed=seed))) for seed in (-1, 0, 1, 2**62)]
    assert len(set(parts)) == 4


def test_a_draw_stays_what_it_was() -> None:
    """Reports of one seed can be compared from version to version."""
    rows = plain(100)
    part = taken(rows, Subset(5, random=True, seed=7))
    assert [row.path for row in part] == [f"{n}.jpg" for n in (28, 34, 58, 63, 67)]


def test_a_sample_of_several_classes_counts_for_each() -> None:
    rows = [
        sample(0, "a", "b"),
        sample(1, "a"),
        sample(2, "a", "c"),
        Sample("3.jpg", Objects((Object("d", BOX), Object("d", BOX), Object("a", BOX)))),
        Sample("4.jpg", Objects(())),
        Sample("5.jpg"),
        sample(6, "b"),
        sample(7, "d"),
    ]
    part = taken(rows, Subset(1, per_class=True))
    assert [row.path for row in part] == ["0.jpg", "2.jpg", "3.jpg"]


@pytest.mark.parametrize("rows", [[Sample("1.jpg", Picture("2.jpg"))], [Sample("1.jpg")]])
def test_classes_are_needed_to_take_of_each(rows: list[Sample]) -> None:
    with pytest.raises(InvalidInput, match="no classes") as caught:
        taken(rows, Subset(1, per_class=True))
    assert caught.value.field == "subset.per_class"


@pytest.mark.parametrize("random", ["", "random"])
@pytest.mark.parametrize("per_class", ["", "per_class"])
def test_of_an_empty_set_nothing_is_taken(random: str, per_class: str) -> None:
    assert taken([], Subset(5, bool(random), per_class=bool(per_class))) == []


def test_sizes_are_not_negative() -> None:
    with pytest.raises(InvalidInput) as caught:
        take(list, Subset(-1))
    assert caught.value.field == "subset.size"
