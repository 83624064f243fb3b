from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.runtime.scheduling.tag_heap import SLACK, TagHeap

KEYS = st.integers(0, 9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 5)),
        st.tuples(st.just("discard"), KEYS, st.just(0)),
    ),
    max_size=200,
)


@given(STEPS)
def test_the_first_is_the_smallest_and_of_equals_the_earliest(
    steps: list[tuple[str, int, int]],
) -> None:
    heap: TagHeap[int] = TagHeap()
    model: dict[int, tuple[float, int]] = {}
    for number, (step, key, tag) in enumerate(steps):
        if step == "put":
            heap.put(key, tag)
            model[key] = (tag, number)
        else:
            heap.discard(key)
            model.pop(key, None)
        best = min(model, key=model.__getitem__, default=None)
        assert heap.first() == (None if best is None else (model[best][0], best))
        assert len(heap) == len(model)
        assert len(heap._heap) <= 2 * len(model) + SLACK


def test_a_key_moved_for_ever_takes_no_more_room() -> None:
    heap: TagHeap[str] = TagHeap()
    heap.put("first", -1.0)
    for tag in range(10_000):
        heap.put("moved", tag)
    assert len(heap._heap) <= 2 * 2 + SLACK
    heap.clear()
    assert heap.first() is None
