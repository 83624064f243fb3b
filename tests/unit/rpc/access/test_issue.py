import re
import stat
from pathlib import Path

import pytest

from pellucid_server.rpc.access.issue import issue
from pellucid_server.rpc.access.tokens import read_tokens


def issued(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[str, str]:
    """The token, and what is said beside it."""
    issue(argv)
    out, err = capsys.readouterr()
    return out.removesuffix("\n"), err


def test_a_token_is_added_to_a_file_that_has_its_hash_alone(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = issued(capsys, "team-a", "--file", str(file), "--note", "Ann's: laptop")
    second, err = issued(capsys, "team-b", "--file", str(file), "--days", "30")
    tokens = read_tokens([file.read_bytes()], file)
    for token, tenant in ((first, "team-a"), (second, "team-b")):
        identity = tokens.find(token)
        assert identity
        assert identity.tenant == tenant
        assert token not in file.read_text()
    assert re.fullmatch(r"pellucid_[\w-]{43}", first)
    assert err == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_without_a_file_the_entry_is_shown_beside_the_token(
    capsys: pytest.CaptureFixture[str],
) -> None:
    token, entry = issued(capsys, "team-a")
    found = read_tokens([entry.encode()], Path("x")).find(token)
    assert found
    assert found.tenant == "team-a"


def test_the_rest_of_a_file_stays_as_it_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = "# ours\ntokens:\n- {tenant: a, sha256: " + "a" * 64 + "} # old"
    file.write_text(before)
    file.chmod(0o640)
    issued(capsys, "b", "--file", str(file))
    assert file.read_text().startswith(before + "\n- tenant: b\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("text", ["tokens: []\n", "[", "other: 1\n"])
def test_a_file_that_cannot_take_an_entry_is_left_alone(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SystemExit, match="pellucid-server token: "):
        issue(["team-a", "--file", str(file)])
    assert file.read_text() == text


@pytest.mark.parametrize("days", ["0", "-1", "nan", "1e9", "soon"])
def test_a_token_is_good_for_some_days_at_least(
    days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        issue(["team-a", "--days", days])
    assert "--days" in capsys.readouterr().err


def test_a_name_that_is_no_tenants_is_refused() -> None:
    with pytest.raises(SystemExit, match="tenant"):
        issue(["two words"])
