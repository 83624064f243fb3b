from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.store import (
    NewEvaluation,
    Store,
    StoreTooNew,
    StoreUnavailable,
    open_store,
)
from pellucid_server.evaluate.store import store as store_module
from pellucid_server.evaluate.store.migrate import alembic_config
from pellucid_server.evaluate.store.schema import VERSION_TABLE, metadata


def test_tables_and_migrations_are_alike(store: Store) -> None:
    """What Alembic would write into a new migration is nothing."""
    with store._writer.begin() as connection:
        command.check(alembic_config(connection))


def test_indices_of_the_database_are_those_of_the_tables(store: Store) -> None:
    inspector = inspect(store._engine)
    for table in metadata.sorted_tables:
        found = {index["name"] for index in inspector.get_indexes(table.name)}
        assert {index.name for index in table.indexes} <= found


def test_there_is_a_way_down_and_up(url: str) -> None:
    """Down to nothing, and up again."""
    store = open_store(url)
    with store._writer.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
        assert set(inspect(connection).get_table_names()) <= {VERSION_TABLE, "sqlite_sequence"}
    store.prepare()
    assert store.evaluations().items == ()
    store.close()


def test_what_was_there_stays(url: str, new: NewEvaluation) -> None:
    first = open_store(url)
    created = first.create(new)
    first.close()
    second = open_store(url)
    assert second.get(created.name) == created
    second.close()


def test_a_newer_database_is_refused(url: str) -> None:
    """With what to do, and untouched."""
    store = open_store(url)
    with store._writer.begin() as connection:
        connection.execute(text("UPDATE evaluation_store_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match=r"9999.*knows 0002.*install the newer") as raised:
        open_store(url)
    assert raised.value.field == "store"
    with store._engine.connect() as connection:
        version = connection.execute(text("SELECT version_num FROM evaluation_store_version"))
        assert version.scalar() == "9999"
    store.close()


def test_other_tables_of_the_database_are_left_alone(url: str) -> None:
    """A database may be shared, even with Alembic's own names in it."""
    engine = store_module._engine(store_module._parse(url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    engine.dispose()
    store = open_store(url)
    with store._writer.begin() as connection:
        command.check(alembic_config(connection))
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    assert found == "theirs"
    store.close()


def _open(url: str) -> int:
    store = open_store(url)
    count = len(store.evaluations().items)
    store.close()
    return count


def test_threads_may_open_an_empty_database_at_once(url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(_open, [url] * 6)) == [0] * 6


def test_replicas_may_open_an_empty_database_at_once(url: str) -> None:
    """Each a process of its own."""
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as processes:
        assert list(processes.map(_open, [url] * 3)) == [0] * 3


@pytest.mark.parametrize(
    "url",
    ["", "store.db", "mysql://host/name", "sqlite://", "sqlite:///:memory:", "sqlite:///a?mode=ro"],
)
def test_what_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="sqlite:///") as raised:
        open_store(url)
    assert raised.value.field == "store"


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as raised:
        open_store("mysql://me:secret@host/name")
    assert "secret" not in raised.value.message


def test_the_folder_is_made(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/deep/er/store.db").close()
    assert (tmp_path / "deep" / "er" / "store.db").is_file()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="folder cannot be made"):
        open_store(f"sqlite:///{tmp_path}/file/store.db")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("not a database at all " * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(f"sqlite:///{tmp_path}/store.db")


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(StoreUnavailable, match=r"pip install 'pellucid\[postgres\]'"):
        open_store("postgresql://postgres@localhost/name")


def test_a_postgres_that_is_not_there_is_told_after_the_patience(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        open_store(f"postgresql://postgres@/name?host={tmp_path}", patience=0.2)


def test_commits_reach_the_disk(tmp_path: Path) -> None:
    """Settings of SQLite that neither kill -9 nor a power cut gets past."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    with store._engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert found == ["wal", 2, 1, 10_000]
    store.close()
