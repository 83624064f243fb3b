"""Connections to PostgreSQL, by psycopg 3: the extra `postgres`."""

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import ExecutionContext

from pellucid_server.evaluate.store.errors import StoreUnavailable

DRIVER = "postgresql+psycopg"
DEFAULTS = {
    "application_name": "pellucid",
    "connect_timeout": 5,  # seconds
    "tcp_user_timeout": 15_000,  # milliseconds: a host that vanished is noticed
}


def postgres_engine(url: URL) -> Engine:
    """An engine; parameters of the URL take precedence over the defaults.

    Raises:
        StoreUnavailable: psycopg is not installed.
    """
    try:
        import psycopg  # noqa: F401, PLC0415  # an extra
    except ImportError as error:
        raise StoreUnavailable(
            f"a PostgreSQL store needs psycopg ({error}): pip install 'pellucid[postgres]'",
            field="store",
        ) from error
    defaults = {key: value for key, value in DEFAULTS.items() if key not in url.query}
    engine = create_engine(url.set(drivername=DRIVER), connect_args=defaults)
    event.listen(engine, "before_cursor_execute", _as_bytes)
    return engine


def _as_bytes(
    _connection: object,
    cursor: Any,
    _statement: str,
    _parameters: object,
    context: ExecutionContext,
    _many: object,
) -> None:
    """Lets blocks come as bytes, not as hexadecimal digits."""
    if context.execution_options.get("binary"):
        cursor.format = 1
