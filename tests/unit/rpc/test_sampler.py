from pellucid_server.rpc.sampler import Sampler


def test_of_many_lines_of_a_kind_one_is_written() -> None:
    sampler = Sampler(interval=3600)
    assert [sampler.missed("m", "r") for _ in range(4)] == [0, None, None, None]


def test_the_next_line_tells_how_many_were_left_out() -> None:
    sampler = Sampler(interval=3600)
    for _ in range(5):
        sampler.missed("m", "r")
    sampler._due.clear()
    assert sampler.missed("m", "r") == 4
    assert sampler.missed("m", "r") is None


def test_kinds_are_counted_apart() -> None:
    sampler = Sampler(interval=3600)
    assert sampler.missed("m", "r") == sampler.missed("m", "other") == 0
