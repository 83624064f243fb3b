"""How often an evaluation got no further."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


COUNTS = ("attempts", "crashes")


def upgrade() -> None:
    """None failed before."""
    for name in COUNTS:
        column = sa.Column(name, sa.Integer, nullable=False, server_default="0")
        op.add_column("evaluations", column)


def downgrade() -> None:
    """Forgets it."""
    for name in COUNTS:
        op.drop_column("evaluations", name)
