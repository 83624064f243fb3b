"""Evaluations, their rows, and what rows are filtered by."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """From an empty database."""
    _evaluations()
    _rows()
    _columns()


def downgrade() -> None:
    """To an empty database."""
    for table in ("evaluation_columns", "evaluation_rows", "evaluations"):
        op.drop_table(table)


def _evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", KEY, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("model_digest", sa.Text, nullable=False),
        sa.Column("precision", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("dataset_digest", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("total", sa.BigInteger),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("bad", sa.BigInteger, nullable=False),
        sa.Column("next_index", sa.BigInteger, nullable=False),
        sa.Column("report", sa.Text),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.Double),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("evaluations_by_state", "evaluations", ["state", "id"])
    op.create_index("evaluations_by_model", "evaluations", ["model_name", "id"])


def _rows() -> None:
    op.create_table(
        "evaluation_rows",
        sa.Column("evaluation_id", KEY, sa.ForeignKey("evaluations.id"), primary_key=True),
        sa.Column("index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("predicted_class", sa.Integer),
        sa.Column("predicted_label", sa.Text),
        sa.Column("predicted_confidence", sa.Double),
        sa.Column("annotated_class", sa.Integer),
        sa.Column("annotated_label", sa.Text),
        sa.Column("annotated_confidence", sa.Double),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("correct", sa.Boolean),
        sa.Column("score", sa.Double),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("extra", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )


def _columns() -> None:
    op.create_table(
        "evaluation_columns",
        sa.Column("evaluation_id", KEY, sa.ForeignKey("evaluations.id"), primary_key=True),
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # numbers hardly compress: do not try
        op.execute("ALTER TABLE evaluation_columns ALTER COLUMN data SET STORAGE EXTERNAL")
