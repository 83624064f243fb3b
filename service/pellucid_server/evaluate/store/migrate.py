"""Brings a database to the tables of this version."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from pellucid_server.evaluate.store.errors import StoreTooNew
from pellucid_server.evaluate.store.schema import VERSION_TABLE

FOLDER = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x70656C6C75636964
"""The letters of the program's name: PostgreSQL's locks are numbers that all programs share."""

_one_at_a_time = threading.Lock()  # Alembic keeps its context in a module


def alembic_config(connection: Connection) -> Config:
    """What Alembic's commands take, on this connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config


def migrate(connection: Connection) -> None:
    """Upgrades to the newest tables, in the transaction of `connection`.

    Replicas that start at once do so one after the other: SQLite's transaction is immediate, and
    PostgreSQL gets an advisory lock until the end of the transaction.

    Raises:
        StoreTooNew: a newer version of the program was here.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    with _one_at_a_time:
        config = alembic_config(connection)
        _refuse_newer(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, "head")


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    known = {script.revision for script in scripts.walk_revisions()}
    if unknown := set(context.get_current_heads()) - known:
        raise StoreTooNew(
            f"the store was written by a newer version of pellucid (its tables are at "
            f"{', '.join(sorted(unknown))}, this version knows {max(known)}): install the newer "
            "version, or name another store",
            field="store",
        )
