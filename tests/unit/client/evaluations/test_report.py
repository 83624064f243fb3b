"""Pages of evaluations: what is in them, and how they behave in a real Chromium."""

import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import grpc
import pytest

import pellucid
from pellucid import report
from pellucid.evaluations import ClassReport, Confusion, Curve, EvaluationReport
from pellucid.report import charts
from pellucid.report.confusion import matrix, most_confused
from pellucid.report.glossary import MEANINGS, meaning
from pellucid.types import Category
from pellucid.v1 import common_pb2, evaluation_pb2

EVIL = "</script><img src=x onerror=alert(1)>"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, headless; its path is found on PATH or in CHROMIUM."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        warnings.warn("NO CHROMIUM: the pages were not tested in a browser", stacklevel=1)
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    with playwright.sync_playwright() as running:
        # Containers run it as root, where it has no sandbox of its own.
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def sync(target: str) -> Iterator[pellucid.Client]:
    with pellucid.Client(target) as client:
        yield client


@pytest.fixture
def evaluation_html(sync: pellucid.Client, tmp_path: Path) -> Path:
    path = tmp_path / "evaluation.html"
    path.write_text(report.evaluation_page(sync, "ev-1"), "utf-8")
    return path


@pytest.fixture
def comparison_html(sync: pellucid.Client, tmp_path: Path) -> Path:
    found = sync.compare_evaluations("ev-1", "ev-2")
    path = tmp_path / "comparison.html"
    path.write_text(report.comparison_page(sync, "ev-1", "ev-2", found), "utf-8")
    return path


class Opened:
    """A page in a browser, with what it said and asked for."""

    def __init__(self, browser: Any, path: Path, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1200, "height": 900}, **settings)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def _dialog(self, dialog: Any) -> None:
        self.said.append("a dialog")
        dialog.dismiss()

    def column(self, table: int, column: int) -> list[str]:
        """Texts of the cells that are shown."""
        found: list[str] = self.page.evaluate(
            """([table, column]) => [
              ...document.querySelectorAll("table.sortable")[table].tBodies[0].rows
            ].filter(row => !row.hidden).map(row => row.cells[column].textContent.trim())""",
            [table, column],
        )
        return found

    def style(self, selector: str, name: str) -> str:
        """A computed style."""
        found: str = self.page.eval_on_selector(
            selector, "(element, name) => getComputedStyle(element)[name]", name
        )
        return found


@pytest.fixture(params=["evaluation_html", "comparison_html"])
def both(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


CLASSES, IMAGES = 0, 1


def test_pages_need_nothing_and_complain_of_nothing(browser: Any, both: Path) -> None:
    """No request but for the page itself and the pictures in it, and no word on the console."""
    opened = Opened(browser, both)
    opened.page.wait_for_load_state("networkidle")
    assert opened.said == []
    outside = [url for url in opened.requests if not url.startswith("data:image/jpeg")]
    assert outside == [both.as_uri()]
    loaded = opened.page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert loaded


def test_what_a_data_set_says_stays_text(browser: Any, both: Path) -> None:
    opened = Opened(browser, both)
    assert opened.page.evaluate("document.querySelectorAll('img[onerror], img[src=x]').length") == 0
    assert opened.page.evaluate("document.scripts.length") == 1
    assert EVIL in opened.page.evaluate("document.body.textContent")


def test_no_script_runs_but_the_pages_own(browser: Any, both: Path) -> None:
    """Were a text not escaped, the page's policy would stop it: one is smuggled in here."""
    path = both.with_name("smuggled.html")
    script = "<script>document.title = 'broken'</script><img src=x onerror=\"document.title='x'\">"
    path.write_text(both.read_text("utf-8").replace("<footer>", f"{script}<footer>"), "utf-8")
    opened = Opened(browser, path)
    assert opened.page.title() not in {"broken", "x"}
    assert any("Content Security Policy" in each for each in opened.said)


def test_columns_sort_by_their_values(browser: Any, evaluation_html: Path) -> None:
    """Shares as numbers, texts as people sort them; a second click turns the order round."""
    opened = Opened(browser, evaluation_html)
    heads = opened.page.locator("table.sortable").nth(IMAGES).locator("thead [role=button]")
    names = heads.all_text_contents()
    assert names == [
        "image",
        "annotated",
        "predicted",
        "confidence",
        "of annotated",
        "rank",
        "score",
        "correct",
    ]
    confidence = names.index("confidence")
    heads.nth(confidence).click()
    shown = [float(each.rstrip(" %")) for each in opened.column(IMAGES, confidence)]
    assert shown == sorted(shown)
    heads.nth(confidence).press("Enter")
    shown = [float(each.rstrip(" %")) for each in opened.column(IMAGES, confidence)]
    assert shown == sorted(shown, reverse=True)
    header = opened.page.locator("table.sortable").nth(IMAGES).locator("th").nth(confidence)
    assert header.get_attribute("aria-sort") == "descending"
    heads.nth(names.index("predicted")).click()
    predicted = opened.column(IMAGES, names.index("predicted"))
    assert predicted == sorted(predicted)


def test_rows_are_filtered_by_text_and_by_right_and_wrong(
    browser: Any, evaluation_html: Path
) -> None:
    opened = Opened(browser, evaluation_html)
    section = opened.page.locator("section", has=opened.page.locator("h2", has_text="Images"))
    section = section.filter(has=opened.page.locator("select"))
    assert len(opened.column(IMAGES, 0)) == 98
    section.locator("select").select_option("wrong")
    assert len(opened.column(IMAGES, 0)) == 14
    assert section.locator("output").text_content() == "14 of 98"
    section.locator("input").fill("DOG 049")
    assert opened.column(IMAGES, 0) == ["cat/049.jpg"]
    section.locator("input").fill("")
    section.locator("select").select_option("")
    assert section.locator("output").text_content() == ""


def test_charts_speak_under_the_pointer(browser: Any, evaluation_html: Path) -> None:
    opened = Opened(browser, evaluation_html)
    opened.page.locator(".chart [aria-label^='cat taken for dog']").first.hover()
    tip = opened.page.locator("#tip")
    assert tip.text_content() == "cat taken for dog: 8 (16.7%)"
    opened.page.mouse.move(2, 2)
    assert tip.is_hidden()


def test_dark_and_light_follow_the_reader(browser: Any, both: Path) -> None:
    """Text of charts too: their lines and letters take the page's colours."""
    light = Opened(browser, both, color_scheme="light")
    dark = Opened(browser, both, color_scheme="dark")
    for selector, name in (("body", "backgroundColor"), (".chart svg text", "fill")):
        assert light.style(selector, name) != dark.style(selector, name)


def test_paper_is_white_and_takes_whole_tables(browser: Any, evaluation_html: Path) -> None:
    """In a dark browser too; of long tables the first 60 rows that are shown."""
    opened = Opened(browser, evaluation_html, color_scheme="dark")
    opened.page.emulate_media(media="print")
    assert opened.style("body", "backgroundColor") == "rgb(255, 255, 255)"
    assert opened.style(".table-tools", "display") == "none"
    assert opened.style(".scroll.tall", "overflowY") == "visible"
    printed = opened.page.evaluate(
        """[...document.querySelectorAll("table.sortable")[1].tBodies[0].rows]
          .filter(row => getComputedStyle(row).display !== "none").length"""
    )
    assert printed == 60
    assert opened.page.pdf(format="A4").startswith(b"%PDF")


def test_phones_scroll_downwards_only(browser: Any, both: Path) -> None:
    opened = Opened(browser, both)
    opened.page.set_viewport_size({"width": 375, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 375


def test_pages_are_small(evaluation_html: Path, comparison_html: Path) -> None:
    """Without their pictures, some 100 kB for 98 rows: charts are drawn, no library is carried."""
    for path in (evaluation_html, comparison_html):
        text = re.sub(r'"data:image/jpeg[^"]*"', '""', path.read_text("utf-8"))
        assert len(text) < 150_000


def test_a_page_of_2000_rows_stays_below_3_megabytes(
    sync: pellucid.Client, evaluations: Any
) -> None:
    evaluations.rows = [
        evaluation_pb2.Example(
            path=f"validation/n0{index % 1000:07}/ILSVRC2012_val_{index:08}.JPEG",
            predicted=common_pb2.Category(class_id=1, label="sulphur-crested cockatoo"),
            annotated=common_pb2.Category(class_id=1, label="sulphur-crested cockatoo"),
            correct=True,
            index=index,
        )
        for index in range(2500)
    ]
    found = evaluations.report()
    found.images = 2500
    evaluations.report = lambda: found
    page = report.evaluation_page(sync, "ev-1")
    assert page.count("ILSVRC2012_val") == 2000
    assert "The 2,000 with the lowest scores of 2,500" in page
    assert len(page) < 3_000_000


def test_a_picture_that_cannot_be_drawn_says_why(sync: pellucid.Client, evaluations: Any) -> None:
    plain = evaluations.render

    def render(request: Any, context: Any) -> bytes:
        if request.index == 7:
            context.abort(grpc.StatusCode.NOT_FOUND, "cat/007.jpg <is> gone")
        drawn: bytes = plain(request, context)
        return drawn

    evaluations.render = render
    page = report.evaluation_page(sync, "ev-1")
    assert page.count("cat/007.jpg &lt;is&gt; gone") == 1
    assert page.count("data:image/jpeg;base64,") == 13


def test_a_page_says_how_it_was_made(sync: pellucid.Client, evaluations: Any) -> None:
    sync.evaluate(
        "sets/val",
        model="lights",
        subset=100,
        label_map={"kitty": "cat"},
        threshold=0.5,
        preprocess=pellucid.Preprocess(color="BGR"),
        parameters={"bins": 10},
    ).result()
    page = report.evaluation_page(sync, "ev-1")
    for fact in (
        "sets/val",
        "size = 100",
        "kitty = cat",
        "0.5",
        "color = BGR",
        "bins = 10",
        "ab" * 32,
        "imagenet",
        "2023-11-14 22:13:20 UTC",
        "1 min 30 s",
        "f32",
    ):
        assert fact in page
    assert not evaluations.asked(evaluation_pb2.CancelEvaluationRequest)


def test_an_evaluation_that_has_no_report_has_no_page(
    sync: pellucid.Client, evaluations: Any
) -> None:
    evaluations.state = "RUNNING"
    with pytest.raises(pellucid.FailedPreconditionError, match="ev-1 is running"):
        report.evaluation_page(sync, "ev-1")


def test_a_page_of_next_to_nothing(sync: pellucid.Client, evaluations: Any) -> None:
    """Not annotated and without curves: what there is, is shown."""
    evaluations.rows = [evaluation_pb2.Example(path="a.jpg", index=0)]
    evaluations.report = lambda: evaluation_pb2.EvaluationReport(images=1)
    page = report.evaluation_page(sync, "ev-1")
    assert "a.jpg" in page
    for absent in ("Where it errs", "Worst images", "<h2>Metrics</h2>", "<select"):
        assert absent not in page


@pytest.mark.parametrize("kept", ["confusions", "curves", "metrics", "classes"])
def test_a_page_of_only_a_part_of_a_report(
    sync: pellucid.Client, evaluations: Any, kept: str
) -> None:
    whole, part = evaluations.report(), evaluation_pb2.EvaluationReport(images=1)
    getattr(part, kept).extend(getattr(whole, kept))
    evaluations.report = lambda: part
    assert report.evaluation_page(sync, "ev-1").count("<h2>Settings</h2>") == 1


def test_without_the_extra_the_error_says_what_to_install(
    sync: pellucid.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ImportError, match=r"pip install 'pellucid\[report\]'"):
        report.require()
    with pytest.raises(ImportError, match="HTML reports need vl_convert"):
        report.evaluation_page(sync, "ev-1")


def of_classes(count: int, name: str = "c{}") -> EvaluationReport:
    """Every class is taken for the next one, the more often the higher its index."""
    categories = [Category(index, name.format(index), 0.5) for index in range(count)]
    return EvaluationReport(
        classes=tuple(ClassReport(each, 0.5, 0.5, 0.5, 10) for each in categories),
        confusions=tuple(
            confusion
            for index in range(count)
            for confusion in (
                Confusion(index, index, 100),
                Confusion(index, (index + 1) % count, index),
                Confusion(index, -1, 1),
            )
        ),
    )


def test_the_most_confused_come_first_and_shares_are_of_the_annotated_class() -> None:
    first, second, *_ = most_confused(of_classes(50), 3)
    assert (first.annotated, first.predicted, first.count) == ("c49", "c0", 49)
    assert first.share == pytest.approx(49 / 150)
    assert (second.annotated, second.predicted) == ("c48", "c49")


def test_of_many_classes_the_worst_are_drawn_and_nothing_comes_last() -> None:
    found = matrix(of_classes(50), 30)
    assert found.names == ("c0", *(f"c{index}" for index in range(21, 50)), "nothing")
    assert found.left_out == 20
    assert {each.annotated for each in found.cells} == set(found.names[:-1])


def test_classes_of_one_name_are_told_apart() -> None:
    assert matrix(of_classes(3, "same")).names == ("same", "same (2)", "same (3)", "nothing")


@pytest.mark.parametrize(
    "name", [EVIL, "a & b", "\x00\x1b[2J", "\ud800\ufffe", "$x$", "日本", "", "x" * 500, "🦜" * 99]
)
def test_any_name_makes_a_chart_that_is_well_formed(name: str) -> None:
    """Control characters kill the converter, and so do emoji that Vega cuts in two."""
    curve = Curve("precision_recall", name, (0.0, 1.0), (1.0, 0.0))
    for svg in (
        charts.confusion(matrix(of_classes(2, name.replace("{", "") + "{}"))),
        charts.precision_recall([curve]),
    ):
        ET.fromstring(svg)  # noqa: S314 - our own, no entities
        assert "<img" not in svg
        assert "<script" not in svg


def test_metrics_of_the_server_have_a_meaning() -> None:
    """Those that every task reports, by the names of the methods' document."""
    known = (
        "top_1 top_5 precision_macro recall_weighted f1_micro log_loss ece mean_rank map map_50 "
        "map_small mar_1 mar_100 mar_large voc_map voc_map_11 precision recall f1 mean_iou "
        "pixel_accuracy mean_accuracy frequency_weighted_iou dice psnr ssim psnr_holes mse msle "
        "rmse mae r2 exact_match mean_confidence"
    )
    assert [name for name in known.split() if name not in MEANINGS] == []
    assert all(each.text for name, each in MEANINGS.items())
    assert meaning("ece").lower_is_better
    assert not meaning("top_1").lower_is_better


@pytest.mark.parametrize(
    ("name", "value", "unit", "signed", "shown"),
    [
        ("top_1", 0.875, "", False, "87.50 %"),
        ("top_1", -0.02, "", True, "-2.00 points"),
        ("psnr", 31.456, "dB", False, "31.46 dB"),
        ("rmse", 0.5, "", True, "+0.5"),
        ("unknown", 3.0, "", False, "3"),
    ],
)
def test_values_are_shown_as_people_read_them(
    name: str, value: float, unit: str, signed: Any, shown: str
) -> None:
    assert meaning(name).show(value, unit, signed=signed) == shown
