"""The tables. A change needs a file in `migrations/versions`; a test finds what is forgotten."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

VERSION_TABLE = "evaluation_store_version"
"""Alembic's; named so that a database may be shared."""

metadata = MetaData()

Key = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up only what it calls INTEGER."""

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("request", Text, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("precision", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("ended", Double),
    Column("total", BigInteger),
    Column("done", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("next_index", BigInteger, nullable=False),
    Column("report", Text),
    Column("cancel_requested", Boolean, nullable=False),
    Column("owner", Text),
    Column("token", BigInteger, nullable=False),
    Column("lease_until", Double),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("deleted", Boolean, nullable=False),
    Index("evaluations_by_state", "state", "id"),
    Index("evaluations_by_model", "model_name", "id"),
    sqlite_autoincrement=True,  # an id is never used again, so that late writers find nothing
)

rows = Table(
    "evaluation_rows",
    metadata,
    Column("evaluation_id", Key, ForeignKey(evaluations.c.id), primary_key=True),
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("predicted_class", Integer),
    Column("predicted_label", Text),
    Column("predicted_confidence", Double),
    Column("annotated_class", Integer),
    Column("annotated_label", Text),
    Column("annotated_confidence", Double),
    Column("rank", Integer, nullable=False),
    Column("correct", Boolean),
    Column("score", Double),
    Column("missed", Integer, nullable=False),
    Column("extra", Integer, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

columns = Table(
    "evaluation_columns",
    metadata,
    Column("evaluation_id", Key, ForeignKey(evaluations.c.id), primary_key=True),
    Column("block", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""What rows are filtered and ordered by; see the module `columns`."""
