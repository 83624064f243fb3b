import numpy as np
import pytest

from pellucid_server.explain.designs.hadamard import Hadamard, sylvester
from pellucid_server.explain.masks import MaskBlock


@pytest.mark.parametrize("order", [1, 2, 16, 64, 256])
def test_the_matrix_is_hadamards(order: int) -> None:
    """Rows and columns of signs are orthogonal: H H^T = H^T H = n I."""
    signs = 1 - 2 * sylvester(order).astype(int)
    assert np.array_equal(signs @ signs.T, order * np.eye(order))
    assert np.array_equal(signs.T @ signs, order * np.eye(order))


def strata(cells: int, count: int) -> list[MaskBlock]:
    design = Hadamard(cells, (32, 20), 0.5, 5)
    size = design.stratum
    blocks = list(design.blocks(count * size))
    per = size // len(blocks[0])
    return [MaskBlock.join(blocks[i * per : (i + 1) * per]) for i in range(count)]


@pytest.mark.parametrize(
    ("cells", "size"), [(1, 32), (4, 32), (5, 64), (7, 128), (8, 128), (9, 256), (16, 512)]
)
def test_a_stratum_is_twice_the_least_matrix_with_enough_columns(cells: int, size: int) -> None:
    assert Hadamard(cells, (4, 4), 0.5, 0).stratum == size


@pytest.mark.parametrize("cells", [1, 3, 7, 8, 16])
def test_cells_are_balanced_and_orthogonal_in_each_stratum(cells: int) -> None:
    """Each cell shows in exactly half the masks, each pair of cells in exactly a quarter."""
    for stratum in strata(cells, 3):
        bits = stratum.grids.reshape(len(stratum), -1).astype(int)
        expected = np.full((cells**2, cells**2), len(bits) // 4)
        np.fill_diagonal(expected, len(bits) // 2)
        assert np.array_equal(bits.T @ bits, expected)


def test_each_run_is_followed_by_its_complement_under_the_same_shift() -> None:
    """So products of three cells are balanced too: every eighth of the masks shows all three."""
    for stratum in strata(7, 3):
        assert np.array_equal(stratum.grids[::2], 1 - stratum.grids[1::2])
        assert len(np.unique(stratum.shifts, axis=0)) == 1
        signs = 1 - 2 * stratum.grids.reshape(len(stratum), -1).astype(int)
        pairs = signs[:, :, None] * signs[:, None, :]
        assert not np.einsum("ni,njk->ijk", signs, pairs).any()


def test_columns_and_signs_differ_between_strata() -> None:
    first, second = strata(7, 2)
    assert 0.4 < np.mean(first.grids == second.grids) < 0.6
    assert not np.array_equal(first.shifts[0], second.shifts[0])


def test_shifts_are_spread_more_evenly_than_at_random() -> None:
    """Of 64 shifts no quarter of either axis, nor of the plane, is far from its share."""
    design = Hadamard(7, (32, 32), 0.5, 9)
    shifts = np.asarray([design.shift(index) for index in range(64)])
    for axis in (0, 1):
        counts = np.bincount(shifts[:, axis] // 8, minlength=4)
        assert np.abs(counts - 16).max() <= 2
    plane = np.bincount(shifts[:, 0] // 16 * 2 + shifts[:, 1] // 16, minlength=4)
    assert np.abs(plane - 16).max() <= 3
