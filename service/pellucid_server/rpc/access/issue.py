"""`pellucid-server token`: makes a token, and what the server keeps of it."""

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from pellucid_server.rpc.access.documents import parse_document
from pellucid_server.rpc.access.tokens import TokenFile, digest_of

PREFIX = "pellucid_"
"""Programs that look for secrets in code find it by this."""
LONGEST_DAYS = 36_500
EPILOG = """\
The token goes to standard output, once: nobody can read it out of the file, which has its hash.
"""


def issue(argv: Sequence[str]) -> None:
    """Makes a token; its entry goes into the file, or to standard error.

    Raises:
        SystemExit: wrong usage, or the file cannot be used.
    """
    asked = _parser().parse_args(argv)
    token = PREFIX + secrets.token_urlsafe(32)
    entry = {"tenant": asked.tenant, "sha256": digest_of(token).hex()}
    entry |= {"expires": asked.days} if asked.days else {}
    entry |= {"note": asked.note} if asked.note else {}
    try:
        _keep(entry, asked.file)
    except (OSError, ValueError) as error:
        raise SystemExit(f"pellucid-server token: {error}") from None
    sys.stdout.write(f"{token}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pellucid-server token", description="Makes a token of a tenant.", epilog=EPILOG
    )
    parser.add_argument("tenant", help="whose it is")
    parser.add_argument("--file", type=Path, help="file of auth.tokens, to which it is added")
    parser.add_argument("--days", type=_expiry, help="how long it is good; default: for ever")
    parser.add_argument("--note", default="", help="for people, such as who has it")
    return parser


def _expiry(days: str) -> str:
    """When a token ends that is made now."""
    if not 0 < float(days) <= LONGEST_DAYS:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {LONGEST_DAYS}")
    expires = datetime.now(UTC) + timedelta(days=float(days))
    return expires.replace(microsecond=0).isoformat()


def _keep(entry: dict[str, Any], path: Path | None) -> None:
    if path is None:
        text = yaml.safe_dump({"tokens": [entry]}, sort_keys=False)
        parse_document(TokenFile, text.encode(), Path("the entry"))
        sys.stderr.write(text)
        return
    before = path.read_text("utf-8") if path.exists() else ""
    text = before or "tokens:\n"
    text += "" if text.endswith("\n") else "\n"
    text += yaml.safe_dump([entry], sort_keys=False)
    kept = parse_document(TokenFile, text.encode(), path).tokens
    if not kept or kept[-1].sha256 != entry["sha256"]:
        raise ValueError(f"{path}: `tokens:` must be the last part, for an entry to be added")
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    """Whole, so that a server never reads half of it; what it is a link to, not the link."""
    target = path.resolve()
    fresh = target.with_name(f".{target.name}.new")
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123  # of a handle
        file.write(text)
    fresh.replace(target)
