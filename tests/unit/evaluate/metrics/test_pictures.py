import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pellucid_server.evaluate.metrics.pictures import CAP, luma, psnr, ssim
from pellucid_server.types import Array, Image


def pair(height: int, width: int, noise: float) -> tuple[Image, Image]:
    rng = np.random.default_rng(height)
    one = rng.integers(0, 256, (height, width, 3))
    other = (one + rng.normal(0, noise, one.shape)).clip(0, 255)
    return one.astype(np.uint8), other.astype(np.uint8)


def reference(one: Array, other: Array) -> float:
    return float(
        structural_similarity(
            one,
            other,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=2 if one.ndim == 3 else None,
        )
    )


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (37, 64)])
@pytest.mark.parametrize("noise", [1.0, 30.0])
def test_equal_to_scikit_image(size: tuple[int, int], noise: float) -> None:
    """PSNR to 1e-14, SSIM to 1e-12, of colours and of brightness."""
    one, other = pair(*size, noise)
    for a, b in ((one, other), (luma(one), luma(other))):
        expected = peak_signal_noise_ratio(a, b, data_range=255)
        assert psnr(a, b) == pytest.approx(expected, rel=1e-14)
        assert ssim(a, b) == pytest.approx(reference(a, b), rel=1e-12)


def test_of_flat_pictures() -> None:
    flat = np.zeros((16, 16, 3), np.uint8)
    assert ssim(flat, flat) == 1
    assert ssim(flat, flat + 255) == pytest.approx(reference(flat, flat + 255), abs=1e-12)
    assert psnr(flat, flat + 255) == 0


def test_equal_pictures_get_the_most_and_none_gets_more() -> None:
    one, _ = pair(300, 300, 1)
    other = one.copy()
    other[0, 0, 0] ^= 1
    assert psnr(one, one) == psnr(one, other) == CAP


def test_brightness_equals_scikit_image() -> None:
    """To 1e-12."""
    one, _ = pair(9, 7, 1)
    np.testing.assert_allclose(luma(one), rgb2ycbcr(one)[..., 0], rtol=1e-12)


def test_there_is_no_structure_below_the_window() -> None:
    one, other = pair(10, 40, 3)
    assert ssim(one, other) is None
