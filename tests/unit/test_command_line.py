import re
from pathlib import Path

import pytest
import yaml

from pellucid import __version__
from pellucid_server.command_line import SettingsError, as_yaml, every_setting, read_settings
from pellucid_server.config import Settings


def problems(argv: list[str], environment: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(argv, environment or {})
    return "\n".join(caught.value.problems)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pellucid.yaml"
    path.write_text("port: 1\nhost: file\nlimits:\n  inputs: 1\n  image_pixels: 1\n")
    return path


def test_nothing_said_gives_the_defaults() -> None:
    assert read_settings([], {}) == Settings()


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path) -> None:
    environment = {"PELLUCID_PORT": "2", "PELLUCID_LIMITS__INPUTS": "2", "HOME": "/"}
    settings = read_settings(["--config", str(file), "--limits-inputs", "3"], environment)
    assert (settings.port, settings.host) == (2, "file")
    assert (settings.limits.inputs, settings.limits.image_pixels) == (3, 1)


def test_the_environment_may_name_the_file(file: Path) -> None:
    assert read_settings([], {"PELLUCID_CONFIG": str(file)}).host == "file"


def test_none_takes_back_an_optional_value() -> None:
    assert read_settings(["--metrics-port", "none"], {}).metrics_port is None


def test_a_line_break_at_the_end_of_a_secret_is_not_part_of_it() -> None:
    url = "postgresql://me@database/evaluations"
    settings = read_settings([], {"PELLUCID_EVALUATIONS__STORE": f"{url}\n"})
    assert settings.evaluations.store == url


def test_every_setting_can_be_given_as_flag_and_as_variable() -> None:
    """Defaults written out, as flags and as variables, are the defaults."""
    settings = list(every_setting())
    flags = [f"{setting.flag}={setting.default}" for setting in settings if setting.default]
    variables = {setting.variable: setting.default for setting in settings}
    assert read_settings(flags, {}) == Settings()
    assert read_settings([], variables) == Settings()


def test_every_setting_has_a_meaning() -> None:
    assert all(setting.meaning.endswith((".", ")")) for setting in every_setting())


@pytest.mark.parametrize(
    ("argv", "environment", "message"),
    [
        (["--prot", "4"], {}, "unknown flag --prot; did you mean --port?"),
        (["--limits-input=4"], {}, "unknown flag --limits-input; did you mean --limits-inputs?"),
        (["7"], {}, "unknown flag 7; see pellucid-server --help"),
        ([], {"PELLUCID_PROT": "4"}, "unknown variable PELLUCID_PROT; did you mean PELLUCID_PORT?"),
        (
            [],
            {"PELLUCID_LIMITS_INPUTS": "4"},
            "unknown variable PELLUCID_LIMITS_INPUTS; did you mean PELLUCID_LIMITS__INPUTS?",
        ),
        (["--port"], {}, "argument --port: expected one argument"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(
    argv: list[str], environment: dict[str, str], message: str
) -> None:
    assert problems(argv, environment) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot: 1", ": prot is not a setting; did you mean port?"),
        (
            "limits: {inptus: 1}",
            ": limits.inptus is not a setting; did you mean limits.inputs?",
        ),
        ("port: [1]", ": port: input should be a valid integer, not [1]"),
        ("- 1", " must hold settings by name, such as `port: 8001`"),
        ("a: [", " is not YAML: "),
        ("a: \x00", " is not YAML: "),
    ],
)
def test_a_bad_file_is_refused_in_a_line_that_names_it(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    told = problems(["--config", str(path)])
    assert "\n" not in told
    assert told.startswith(f"{path}{message}")


def test_a_missing_file_is_refused() -> None:
    assert problems(["--config", "/nowhere"]) == "cannot read /nowhere: No such file or directory"


def test_every_problem_has_its_line_and_its_origin() -> None:
    told = problems(["--log-level", "loud"], {"PELLUCID_PORT": "x", "PELLUCID_X": "1"})
    lines = told.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("unknown variable PELLUCID_X")
    assert lines[1].startswith("PELLUCID_PORT: input should be a valid integer")
    assert lines[2].startswith("--log-level: input should be 'debug', 'info'")


def test_variables_that_kubernetes_sets_for_a_service_are_ignored() -> None:
    environment = {
        "PELLUCID_PORT": "tcp://10.0.0.1:8001",
        "PELLUCID_SERVICE_HOST": "10.0.0.1",
        "PELLUCID_SERVICE_PORT": "8001",
        "PELLUCID_SERVICE_PORT_GRPC": "8001",
        "PELLUCID_PORT_8001_TCP": "tcp://10.0.0.1:8001",
        "PELLUCID_PORT_8001_TCP_ADDR": "10.0.0.1",
    }
    assert read_settings([], environment) == Settings()


def test_printed_settings_read_back_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--port=7", "--data-roots=/a,/b", "--limits-inputs=3", "--metrics-port=none"]
    with pytest.raises(SystemExit) as ended:
        read_settings([*argv, "--print-config"], {})
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["limits"]["inputs"] == 3
    path = tmp_path / "printed.yaml"
    path.write_text(printed)
    settings = read_settings(["--config", str(path)], {})
    assert settings == read_settings(argv, {})
    assert as_yaml(settings) == printed


@pytest.mark.parametrize("user", ["ann:s3cret", ":s3cret", "ann:s3:c/ret".replace("/", "%2F")])
def test_the_store_s_password_is_not_printed(user: str) -> None:
    settings = read_settings([f"--evaluations-store=postgresql://{user}@db/pellucid"], {})
    printed = as_yaml(settings)
    assert "s3" not in printed
    assert f"postgresql://{user.split(':', maxsplit=1)[0]}:***@db/pellucid" in printed


def test_help_has_every_setting_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"], {})
    told = re.sub(r"\s+", " ", capsys.readouterr().out)
    for setting in every_setting():
        assert setting.flag in told
        assert setting.meaning in told


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--version"], {})
    assert capsys.readouterr().out == f"pellucid-server {__version__}\n"
