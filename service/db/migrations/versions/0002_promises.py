"""Confirmation of deliveries, circuit breakers, retention and legal hold

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from service.errors import ConfigurationError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("deliveries", sa.Column("transaction_uid", sa.String(length=64), nullable=True))
    op.add_column("deliveries", sa.Column("confirm_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "deliveries", sa.Column("confirm_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "deliveries", sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.create_index(op.f("ix_deliveries_transaction_uid"), "deliveries", ["transaction_uid"], unique=False)
    op.create_index("ix_deliveries_state_confirm_at", "deliveries", ["state", "confirm_at"], unique=False)
    op.create_index(
        "ix_deliveries_peer_state_next_at", "deliveries", ["peer", "state", "next_at"], unique=False
    )
    with op.batch_alter_table("outputs") as table:
        table.add_column(sa.Column("variants", sa.String(length=255), server_default="", nullable=False))
        table.add_column(sa.Column("withdrawal", sa.Boolean(), server_default=sa.false(), nullable=False))
        table.drop_constraint("uq_outputs_analysis_id", type_="unique")
        table.create_unique_constraint("uq_outputs_analysis_id", ["analysis_id", "sop_instance_uid"])
    op.create_table(
        "peer_circuits",
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.Column("reason_text", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fallback", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("peer", name=op.f("pk_peer_circuits")),
    )
    op.create_table(
        "legal_holds",
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.String(length=256), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_legal_holds_study_id_studies"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_legal_holds")),
    )
    op.add_column("rejected_callers", sa.Column("tls_subject", sa.String(length=256), nullable=True))
    op.create_index(op.f("ix_studies_patient_id"), "studies", ["patient_id"], unique=False)
    op.add_column("series", sa.Column("pixels_purged_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("analyses", sa.Column("results_purged_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("analyses", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("analyses", sa.Column("withdrawal_reason", sa.String(length=16), nullable=True))
    op.add_column("analyses", sa.Column("withdrawn_by", sa.String(length=80), nullable=True))
    op.add_column("analyses", sa.Column("withdrawal_made_at", sa.DateTime(timezone=True), nullable=True))
    withdrawal_open = sa.text("withdrawn_at IS NOT NULL AND withdrawal_made_at IS NULL")
    op.create_index(
        "ix_analyses_withdrawal_open",
        "analyses",
        ["id"],
        unique=False,
        sqlite_where=withdrawal_open,
        postgresql_where=withdrawal_open,
    )


def downgrade() -> None:
    """Go back to the revision before; what the newer columns said is lost.

    A withdrawn result stays out of use: it counts as superseded. Refused while more would be lost: a legal
    hold, objects of a further variant or of a withdrawal that somebody is still to get, or a withdrawal that
    the peers are not told of yet.
    """
    further = (
        "SELECT id FROM outputs WHERE withdrawal OR id NOT IN "
        "(SELECT MIN(id) FROM outputs GROUP BY analysis_id, kind)"
    )
    waiting = f"SELECT 1 FROM deliveries WHERE state IN ('pending', 'sending') AND output_id IN ({further})"
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT 1 FROM legal_holds")).first() is not None:
        raise ConfigurationError("There are legal holds: release them first.", reason="cannot_go_back")
    if connection.execute(sa.text(waiting)).first() is not None:
        raise ConfigurationError(
            "Objects wait for peers that the earlier release cannot send.", reason="cannot_go_back"
        )
    untold = "SELECT 1 FROM analyses WHERE withdrawn_at IS NOT NULL AND withdrawal_made_at IS NULL"
    if connection.execute(sa.text(untold)).first() is not None:
        raise ConfigurationError(
            "The peers are not told of a withdrawal yet: let the worker do that first.",
            reason="cannot_go_back",
        )
    op.execute("UPDATE analyses SET state = 'superseded' WHERE withdrawn_at IS NOT NULL")
    op.execute(f"DELETE FROM deliveries WHERE output_id IN ({further})")
    op.execute(f"DELETE FROM outputs WHERE id IN ({further})")
    with op.batch_alter_table("outputs") as table:
        table.drop_constraint("uq_outputs_analysis_id", type_="unique")
        table.create_unique_constraint("uq_outputs_analysis_id", ["analysis_id", "kind"])
        table.drop_column("withdrawal")
        table.drop_column("variants")
    op.drop_index(op.f("ix_studies_patient_id"), table_name="studies")
    op.drop_index("ix_analyses_withdrawal_open", table_name="analyses")
    for column in ("withdrawal_made_at", "withdrawn_by", "withdrawal_reason", "withdrawn_at"):
        op.drop_column("analyses", column)
    op.drop_column("analyses", "results_purged_at")
    op.drop_column("series", "pixels_purged_at")
    op.drop_column("rejected_callers", "tls_subject")
    op.drop_table("legal_holds")
    op.drop_table("peer_circuits")
    op.drop_index("ix_deliveries_peer_state_next_at", table_name="deliveries")
    op.drop_index("ix_deliveries_state_confirm_at", table_name="deliveries")
    op.drop_index(op.f("ix_deliveries_transaction_uid"), table_name="deliveries")
    op.drop_column("deliveries", "failures")
    op.drop_column("deliveries", "confirm_attempts")
    op.drop_column("deliveries", "confirm_at")
    op.drop_column("deliveries", "transaction_uid")
