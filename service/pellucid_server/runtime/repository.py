"""The models of a folder, kept as the folder stands."""

import threading
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import structlog

from pellucid_server.errors import InvalidInput, ModelUnavailable, NotFound, PellucidError
from pellucid_server.runtime.catalog import (
    Catalog,
    ModelEntry,
    ModelState,
    VersionEntry,
    version_number,
)
from pellucid_server.runtime.folder import ModelFolder
from pellucid_server.runtime.loader import Loader
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.spec_file import FILE
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.runtime.watch import Look, Watch
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics

__all__ = ["ModelEntry", "ModelRepository", "ModelState", "VersionEntry"]

log = structlog.get_logger()


class ModelRepository:
    """The models of a folder, kept as the folder stands.

    Readers see a catalog that is replaced as a whole and never wait; one writer at a
    time reads files. `check` refuses a model that was read by raising a PellucidError;
    `on_unload` hears of every model that stops being served. `suspects` are those that
    crashed or hung; `screen` tries out the files of new models.
    """

    def __init__(
        self,
        root: Path,
        metrics: Metrics,
        *,
        poll_interval: float = 1.0,
        on_unload: Callable[[ServedModel], None] = lambda _: None,
        check: Callable[[ServedModel], None] = lambda _: None,
        suspects: Suspects | None = None,
        screen: Callable[[Path], None] | None = None,
    ) -> None:
        self._root = root
        self._metrics = metrics
        self._poll_interval = poll_interval
        self._on_unload = on_unload
        self._check = check
        self._catalog = Catalog()
        metrics.model_versions.of(self._states)
        self._folders: dict[str, ModelFolder] = {}
        self._watch = Watch(root)
        self._suspects = suspects or Suspects(metrics=metrics)
        self._loader = Loader(root, self._suspects, screen)
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._away = False
        self._unread: tuple[str, ...] = ()
        self._thread: threading.Thread | None = None

    def entries(self) -> tuple[ModelEntry, ...]:
        """Every model, by name."""
        return tuple(self._catalog.models.values())

    @property
    def unread(self) -> tuple[str, ...]:
        """What the look that is under way has yet to follow; the first is worked on."""
        return self._unread

    def entry(self, name: str) -> ModelEntry:
        """One model, by name or alias; NotFound names those there are."""
        return self._catalog.entry(name)

    def get(self, name: str, version: str = "") -> ServedModel:
        """The served version; NotFound, or ModelUnavailable with the reason."""
        return self._catalog.get(name, version)

    def load(self, name: str, version: str = "") -> ModelEntry:
        """Reads a model (again) and serves it; ModelUnavailable with the reason."""
        number = version_number(version) if version else None
        with self._writing:
            folder, look = self._at_hand(name)
            there = look.versions(folder.name)
            _require(folder.name, there, number)
            if not there:
                raise ModelUnavailable(f"{folder.name} has no version folder", field="model_name")
            folder.see(look)
            self._suspects.pardon(folder.name, number)
            folder.ask(ModelState.READY, number)
            outcomes = folder.update(look, there if number is None else {number})
            self._publish()
        _raise_failure(folder.name, outcomes, number)
        return self.entry(folder.name)

    def unload(self, name: str, version: str = "") -> ModelEntry:
        """Stops serving a model, or one version of it."""
        number = version_number(version) if version else None
        with self._writing:
            folder = self._folders[self.entry(name).name]
            _require(folder.name, folder.versions, number)
            folder.ask(ModelState.UNLOADED, number)
            self._publish()
        return self.entry(folder.name)

    def scan(self) -> None:
        """Looks once, and follows what changed."""
        with self._writing:
            try:
                look = self._watch.look()
            except OSError as error:
                self._log_away(error)
                return
            self._away = False
            names = tuple(sorted(look.names | set(self._folders)))
            if not self._folders:
                log.info("reading models", models=names)
            for index, name in enumerate(names):
                if self._closing.is_set():
                    return
                self._unread = names[index:]
                self._follow(self._folder(name), look)
            self._unread = ()

    def start(self) -> None:
        """Looks every `poll_interval` seconds, in the background; what comes new is screened."""
        self._loader.careful = True
        self._thread = threading.Thread(target=self._run, name="model-repository", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops looking; what is served stays served."""
        self._closing.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.scan()
            except Exception:  # the watch outlives whatever one look runs into
                log.exception("a look at the models failed")
            self._closing.wait(self._poll_interval)

    def _log_away(self, error: OSError) -> None:
        if not self._away:
            log.warning("cannot look at the models", folder=str(self._root), error=str(error))
        self._away = True

    def _follow(self, folder: ModelFolder, look: Look) -> None:
        before = self._catalog.models.get(folder.name)
        folder.refuse(self._suspects.refusal)
        folder.update(look)
        if folder.gone:
            del self._folders[folder.name]
        if folder.gone or folder.entry() != before:
            self._publish()

    def _folder(self, name: str) -> ModelFolder:
        if name not in self._folders:
            self._folders[name] = ModelFolder(self._root / name, self._read, self._publish)
        return self._folders[name]

    def _at_hand(self, name: str) -> tuple[ModelFolder, Look]:
        """The folder as it is now, also one that no look has seen yet."""
        try:
            look = self._watch.peek()
        except OSError as error:
            raise ModelUnavailable(
                f"the models' folder cannot be read: {error.strerror}"
            ) from error
        known = self._catalog.aliases.get(name, name)
        if known not in look.names:
            known = self.entry(name).name
        folder = self._folder(known)
        return folder, look

    def _read(self, path: Path, declared: ModelSpec | None) -> ServedModel:
        name, version = path.parent.name, path.name
        loads = self._metrics.model_loads
        try:
            served = self._loader.read(path, declared)
            self._check(served)
        except PellucidError as error:
            loads.labels(name, "failure").inc()
            log.warning("model failed", model=name, version=version, reason=error.message)
            raise ModelUnavailable(_with_field(error)) from error
        loads.labels(name, "success").inc()
        log.info("model loaded", model=name, version=version, format=served.format)
        return served

    def _states(self) -> dict[tuple[str, ...], float]:
        entries = self.entries()
        return dict(
            Counter((entry.name, _state(each)) for entry in entries for each in entry.versions)
        )

    def _publish(self) -> None:
        before = self._catalog
        self._catalog = Catalog.of((each.entry() for each in self._folders.values()), before)
        self._metrics.models_loaded.set(len(self._catalog.served))
        for served in before.served - self._catalog.served:
            log.info("model unloaded", model=served.name, version=served.version)
            self._on_unload(served)


def _state(version: VersionEntry) -> str:
    """As metrics have it: a served version with something wrong beside is degraded."""
    return "degraded" if version.served and version.reason else version.state.value


def _with_field(error: PellucidError) -> str:
    if isinstance(error, InvalidInput) and error.field:
        return f"{FILE}: {error.field}: {error.message}"
    return error.message


def _require(name: str, versions: Collection[int], number: int | None) -> None:
    if number and number not in versions:
        known = ", ".join(str(each) for each in sorted(versions, reverse=True)) or "none"
        raise NotFound(f"{name} has no version {number}; it has {known}", field="model_version")


def _raise_failure(name: str, outcomes: dict[int, str], number: int | None) -> None:
    """One version that was asked for must work; of all, at least one."""
    tried = {number: outcomes[number]} if number else outcomes
    if all(tried.values()):
        version, reason = max(tried.items())
        raise ModelUnavailable(
            f"{name} version {version} cannot be served: {reason}",
            field="model_version" if number else "model_name",
        )
