"""Flags, environment and YAML file become one `Settings`; the first of them wins."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pellucid._version import __version__
from pellucid_server.config import Settings

PROGRAM = "pellucid-server"
PREFIX = "PELLUCID_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s/]*@")
CLIENT_NAMES = ("SERVER", "SERVER_NAME", "TOKEN", "TOKEN_FILE", "TLS", "CA", "CERT", "KEY")
CLIENTS = tuple(PREFIX + name for name in CLIENT_NAMES)
"""Variables of the client's command line, which may be set beside."""
SERVICE_LINK = re.compile(
    PREFIX + r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?)"
)
EPILOG = f"""\
Each setting can also stand in the environment ({PREFIX}PORT, {PREFIX}LIMITS__INPUTS) and in
a YAML file (--config, or {CONFIG_VARIABLE}). Flags win over the environment, the environment
over the file. "none" takes back an optional value.

"{PROGRAM} token TENANT" makes a token of a tenant, for the file of --auth-tokens.
"""


class SettingsError(Exception):
    """Settings that cannot be used: `problems` has a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Setting:
    """One value of `Settings`, and its names."""

    path: tuple[str, ...]
    field: FieldInfo
    section: type[BaseModel]

    @property
    def name(self) -> str:
        """As in the YAML file: `limits.inputs`."""
        return ".".join(self.path)

    @property
    def place(self) -> str:
        """The section, as in the YAML file: `limits`."""
        return ".".join(self.path[:-1])

    @property
    def variable(self) -> str:
        """As in the environment: `PELLUCID_LIMITS__INPUTS`."""
        return PREFIX + "__".join(self.path).upper()

    @property
    def flag(self) -> str:
        """As on the command line: `--limits-inputs`."""
        return "--" + "-".join(self.path).replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """The values it takes, where they are counted."""
        annotation = self.field.annotation
        return get_args(annotation) if get_origin(annotation) is Literal else ()

    @property
    def meaning(self) -> str:
        """What it is, in a sentence."""
        return " ".join((self.field.description or "").split())

    @property
    def default(self) -> str:
        """The default, as a flag would have it."""
        value = self.field.default
        if isinstance(value, tuple):
            return ",".join(map(str, value)) or "none"
        return "none" if value is None else str(value)


def every_setting(
    section: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[Setting]:
    """Every setting, in the order of the sections."""
    for name, field in section.model_fields.items():
        here = (*path, name)
        if isinstance(field.default, BaseModel):
            yield from every_setting(type(field.default), here)
        else:
            yield Setting(here, field, section)


def read_settings(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a command line.

    Raises:
        SettingsError: a line for each unknown name and each bad value.
        SystemExit: after --help, --version and --print-config.
    """
    environment = _without_service_links(environment)
    flags = vars(_parser().parse_args(argv))
    print_config = flags.pop("print_config", False)
    file = flags.pop("config", None) or environment.get(CONFIG_VARIABLE)
    values: dict[str, Any] = _file_values(Path(file)) if file else {}
    origins = dict.fromkeys(_leaves(values), str(file))
    for setting in every_setting():
        for origin, source in ((setting.variable, environment), (setting.flag, flags)):
            if origin in source:
                _put(values, setting.path, _plain(source[origin]))
                origins[setting.path] = origin
    problems = _unknown_variables(environment)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError([*problems, *_readable(error, origins)]) from None
    if problems:
        raise SettingsError(problems)
    if print_config:
        sys.stdout.write(as_yaml(settings))
        raise SystemExit(0)
    return settings


def as_yaml(settings: Settings) -> str:
    """Settings as a file that reads back as they are, but for a password in the store's URL."""
    text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    return PASSWORD.sub(r"\1***@", text)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, not with the whole usage."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError([message])

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        namespace, unknown = self.parse_known_args(*args, **kwargs)
        if unknown:
            known = [flag for flag in self._option_string_actions if flag.startswith("--")]
            flags = [name.split("=")[0] for name in unknown if name.startswith("-")] or unknown
            raise SettingsError([f"unknown flag {name}{_nearest(name, known)}" for name in flags])
        return namespace


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [settings]",
        description="Serves OpenVINO models over gRPC and explains what they do.",
        epilog=EPILOG,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings")
    parser.add_argument(
        "--print-config", action="store_true", help="print the settings as YAML and exit"
    )
    groups: dict[type[BaseModel], argparse._ArgumentGroup] = {}
    for setting in every_setting():
        section = setting.section
        if section not in groups:
            title = "Settings" if section is Settings else setting.place
            groups[section] = parser.add_argument_group(title, section.__doc__)
        groups[section].add_argument(
            setting.flag,
            dest=setting.flag,
            metavar="|".join(setting.choices) or setting.path[-1].upper(),
            help=f"{setting.meaning} [{setting.default}]".replace("%", "%%"),
        )
    return parser


def _file_values(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise SettingsError([f"cannot read {path}: {error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} is not YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(values, dict):
        raise SettingsError([f"{path} must hold settings by name, such as `port: 8001`"])
    return values


def _leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield (*path, str(name))
        if isinstance(value, dict):
            yield from _leaves(value, (*path, str(name)))


def _put(values: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    *sections, last = path
    for name in sections:
        section = values.get(name)
        values[name] = values = dict(section) if isinstance(section, dict) else {}
    values[last] = value


def _without_service_links(environment: Mapping[str, str]) -> dict[str, str]:
    """Kubernetes describes a Service named pellucid as PELLUCID_PORT=tcp://10.0.0.1:8001."""
    return {
        name: value
        for name, value in environment.items()
        if not (SERVICE_LINK.fullmatch(name) or value.startswith(("tcp://", "udp://")))
    }


def _plain(text: str) -> str | None:
    text = text.strip()  # variables of Secrets that were made of files end in a line break
    return None if text.lower() in {"none", ""} else text


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    known = [CONFIG_VARIABLE, *CLIENTS, *(setting.variable for setting in every_setting())]
    return [
        f"unknown variable {name}{_nearest(name, known)}"
        for name in environment
        if name.startswith(PREFIX) and name not in known
    ]


def _readable(error: ValidationError, origins: Mapping[tuple[str, ...], str]) -> Iterator[str]:
    names = [setting.name for setting in every_setting()]
    for problem in error.errors():
        path = tuple(str(part) for part in problem["loc"] if isinstance(part, str))
        name, origin = ".".join(path), origins.get(path, "")
        where = f"{origin}: {name}" if origin and not origin.startswith(("--", PREFIX)) else origin
        if problem["type"] == "extra_forbidden":
            yield f"{where or name} is not a setting{_nearest(name, names)}"
        else:
            text = problem["msg"].removeprefix("Value error, ")
            given = f", not {problem['input']!r}" if origin else ""
            yield f"{where or name}: {text[:1].lower()}{text[1:]}{given}"


def _nearest(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; see {PROGRAM} --help"
