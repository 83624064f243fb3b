"""Asks PyPI's database for known vulnerabilities of what the locks pin: `make audit`.

Exit codes: 0 every package was asked about and none is known to be vulnerable, 1 some are,
3 the database gave no answer about some, which says nothing of them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VULNERABLE, UNKNOWN = 1, 3


@dataclass(frozen=True)
class Audit:
    """What is known of the packages of a lock."""

    vulnerable: Sequence[str] = ()
    unknown: Sequence[str] = ()
    asked: int = 0


def main() -> int:
    """Audits every lock, or those that are named."""
    locks = [Path(name) for name in sys.argv[1:]] or sorted(ROOT.glob("requirements/*.lock"))
    audits = [audit(lock) for lock in locks]
    for lock, found in zip(locks, audits, strict=True):
        print(f"{lock.name}: {found.asked} packages asked about")
        for line in (*found.vulnerable, *found.unknown[:3]):
            print(f"  {line}")
    if any(found.vulnerable for found in audits):
        print("VULNERABLE: raise what is named above in pyproject.toml, then make lock")
        return VULNERABLE
    unknown = sum(len(found.unknown) for found in audits)
    if unknown:
        print(f"NOT AUDITED: no answer about {unknown} packages; this is not a pass")
        return UNKNOWN
    print("No known vulnerability")
    return 0


def audit(lock: Path) -> Audit:
    """What pip-audit finds; where it fails or is told nothing, nothing is known."""
    options = ["--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off"]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options, "-r", str(lock)],
        capture_output=True,
        text=True,
        check=False,
    )
    return judged(done.stdout, done.stderr)


def judged(report: str, errors: str) -> Audit:
    """A report of pip-audit in JSON; one without packages is no answer."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    if not packages:
        return Audit(unknown=[errors.strip().rpartition("\n")[2] or "pip-audit said nothing"])
    unknown = [each["skip_reason"] for each in packages if "skip_reason" in each]
    vulnerable = [line for each in packages for line in _vulnerabilities(each)]
    return Audit(vulnerable, unknown, len(packages) - len(unknown))


def _vulnerabilities(package: dict[str, list[dict[str, list[str]]]]) -> Iterator[str]:
    for found in package.get("vulns", []):
        fixed = ", ".join(found["fix_versions"]) or "no version"
        yield f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}"


if __name__ == "__main__":
    sys.exit(main())
