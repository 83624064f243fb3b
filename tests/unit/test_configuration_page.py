import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_configuration_page_is_that_of_the_settings() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "tools" / "configuration_table.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
