"""Rules and opt-out, conflicts and changed identities, back-fill, commitment towards senders, new scores

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("audit", sa.Column("chain_number", sa.Integer(), nullable=True))
    op.add_column("audit", sa.Column("chain_hash", sa.String(length=64), nullable=True))
    op.create_index("ix_audit_chain_number", "audit", ["chain_number"], unique=True)
    op.add_column(
        "studies", sa.Column("issuer_of_patient_id", sa.String(length=64), server_default="", nullable=False)
    )
    for name, length in (("patient_id", 256), ("issuer_of_patient_id", 64), ("birth_date", 16), ("sex", 16)):
        op.add_column("series", sa.Column(name, sa.String(length=length), server_default="", nullable=False))
    op.add_column(
        "series", sa.Column("mixed_identity", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("series", sa.Column("expected", sa.Integer(), nullable=True))
    op.add_column("series", sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_series_patient_id"), "series", ["patient_id"], unique=False)
    # So far nobody looked at more than the first image of a study.
    for name in ("patient_id", "birth_date", "sex"):
        op.execute(
            f"UPDATE series SET {name} = (SELECT {name} FROM studies WHERE studies.id = series.study_id)"
        )
    op.create_table(
        "set_aside",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("instance_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("difference", sa.String(length=16), nullable=True),
        sa.Column("detail", sa.String(length=64), nullable=True),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=256), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.String(length=256), nullable=False),
        sa.Column("issuer_of_patient_id", sa.String(length=64), nullable=False),
        sa.Column("patient_name", sa.String(length=512), nullable=False),
        sa.Column("birth_date", sa.String(length=16), nullable=False),
        sa.Column("sex", sa.String(length=16), nullable=False),
        sa.Column("accession_number", sa.String(length=64), nullable=False),
        sa.Column("study_date", sa.String(length=16), nullable=False),
        sa.Column("description", sa.String(length=256), nullable=False),
        sa.Column("series_description", sa.String(length=256), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("leaves_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_set_aside_instance_id_instances")
        ),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_set_aside_series_id_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_set_aside")),
        sa.UniqueConstraint("instance_id", "sha256", name=op.f("uq_set_aside_instance_id")),
    )
    op.create_index(op.f("ix_set_aside_instance_id"), "set_aside", ["instance_id"], unique=False)
    op.create_index(op.f("ix_set_aside_series_id"), "set_aside", ["series_id"], unique=False)
    op.create_index(op.f("ix_set_aside_leaves_at"), "set_aside", ["leaves_at"], unique=False)
    not_compared = sa.text("difference IS NULL")
    op.create_index(
        "ix_set_aside_not_compared",
        "set_aside",
        ["id"],
        unique=False,
        sqlite_where=not_compared,
        postgresql_where=not_compared,
    )
    op.add_column("analyses", sa.Column("choice", sa.JSON(), nullable=True))
    op.add_column(
        "analyses", sa.Column("undecided", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column(
        "analyses",
        sa.Column("rescores_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
    )
    op.create_table(
        "opt_outs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("patient_key", sa.String(length=64), nullable=False),
        sa.Column("issuer_key", sa.String(length=64), server_default="", nullable=False),
        sa.Column("made_with", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=256), server_default="", nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opt_outs")),
        sa.UniqueConstraint("patient_key", "issuer_key", name=op.f("uq_opt_outs_patient_key")),
    )


def downgrade() -> None:
    """Go back to the revision before, as far as data allow."""
    op.drop_table("opt_outs")
    # The earlier release would measure the images for them, which may be gone.
    op.execute(
        "UPDATE analyses SET state = 'superseded' "
        "WHERE rescores_id IS NOT NULL AND state IN ('ready', 'running')"
    )
    op.drop_column("analyses", "rescores_id")
    for column in ("undecided", "choice"):
        op.drop_column("analyses", column)
    op.drop_table("set_aside")
    op.drop_index(op.f("ix_series_patient_id"), table_name="series")
    for column in ("counted_at", "expected", "mixed_identity"):
        op.drop_column("series", column)
    for column in ("sex", "birth_date", "issuer_of_patient_id", "patient_id"):
        op.drop_column("series", column)
    op.drop_column("studies", "issuer_of_patient_id")
    op.drop_index("ix_audit_chain_number", table_name="audit")
    op.drop_column("audit", "chain_hash")
    op.drop_column("audit", "chain_number")
