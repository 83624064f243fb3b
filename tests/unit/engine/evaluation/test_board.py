import threading
import time

from pellucid_server.engine.evaluation.board import Board
from pellucid_server.engine.evaluation.request import Progress


def progress(done: int) -> Progress:
    return Progress(done, 10, 1.0, 1.0, 1.0)


def test_what_does_not_run_here_is_unknown_at_once() -> None:
    start = time.monotonic()
    assert Board().latest("e", None, 60) is None
    assert time.monotonic() - start < 30


def test_the_latest_progress_replaces_those_before() -> None:
    board = Board()
    for done in (1, 2):
        board.post("e", progress(done))
    assert board.latest("e", None, 60) == progress(2)


def test_what_is_left_adds_up_over_what_runs() -> None:
    board = Board()
    board.post("e", progress(2))
    board.post("f", progress(9))
    assert board.left == 9
    board.remove("e")
    assert board.left == 1


def test_what_was_seen_is_waited_past() -> None:
    board, seen = Board(), progress(1)
    board.post("e", seen)
    threading.Timer(0.02, board.post, ("e", progress(2))).start()
    assert board.latest("e", seen, 60) == progress(2)


def test_patience_ends_with_what_was_seen() -> None:
    board, seen = Board(), progress(1)
    board.post("e", seen)
    assert board.latest("e", seen, 0.01) is seen


def test_who_waits_hears_of_the_end_at_once() -> None:
    board, seen = Board(), progress(1)
    board.post("e", seen)
    threading.Timer(0.02, board.remove, ("e",)).start()
    assert board.latest("e", seen, 60) is None


def test_who_waits_for_a_beginning_hears_of_it_at_once() -> None:
    board, start = Board(), time.monotonic()
    threading.Timer(0.02, board.post, ("e", progress(0))).start()
    board.appears("e", 60)
    assert board.latest("e", None, 0) == progress(0)
    assert time.monotonic() - start < 30


def test_a_beginning_is_not_waited_for_without_end() -> None:
    board = Board()
    board.appears("e", 0.01)
    assert board.latest("e", None, 0) is None


def test_evaluations_do_not_mix() -> None:
    board = Board()
    board.post("one", progress(1))
    board.post("other", progress(2))
    board.remove("other")
    board.remove("never there")
    assert board.latest("one", None, 0) == progress(1)
