import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_figures_of_the_performance_page_are_those_of_the_results() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "tools" / "performance_table.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
