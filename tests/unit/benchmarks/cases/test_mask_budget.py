from benchmarks.cases.mask_budget import masks

PAGE = """# Designs

<!-- needs -->
| network | design | to 0.95 |
|---|---|--:|
| lite | plain | 1,314 |
<!-- end -->

<!-- photos -->
| photo | plain | centred | hadamard | plain's 16,000 against the reference |
|---|--:|--:|--:|--:|
| chelsea.png | more | 1,200 | 400 | 0.9900 |
| coffee.png | 1,314 | 710 | 165 | 0.9950 |
| hard.png | more | more | 2,048 | 0.9000 |
| harder.png | more | more | more | 0.9000 |
<!-- end -->
"""


def test_each_photo_gives_plain_and_default() -> None:
    """Too many plain masks count as the most that were tried; without a default, no ratio."""
    assert list(masks(PAGE)) == [(1200, 400), (710, 165), (4096, 2048)]


def test_a_page_without_the_table_gives_nothing() -> None:
    assert list(masks("# Designs\n")) == []
