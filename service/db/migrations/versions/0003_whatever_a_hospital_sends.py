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
    op.add_column("analyses", sa.Column("undecided", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column(
        "analyses",
        sa.Column("rescores_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
    )
    op.create_index(op.f("ix_series_first_at"), "series", ["first_at"], unique=False)
    op.create_index(
        "ix_analyses_funnel",
        "analyses",
        ["state", "reason_code", "contrast", "flagged", "undecided"]
        + ["withdrawn_at", "withdrawal_reason", "version", "study_id"],
        unique=False,
    )
    op.add_column(
        "peer_circuits", sa.Column("refused", sa.String(length=64), server_default="", nullable=False)
    )
    op.execute("UPDATE peer_circuits SET refused = 'labelmap' WHERE fallback")
    op.drop_column("peer_circuits", "fallback")
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

    op.create_table(
        "commitment_requests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("objects", sa.JSON(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("committed", sa.Integer(), nullable=True),
        sa.Column("failed", sa.Integer(), nullable=True),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_requests")),
        sa.UniqueConstraint("peer", "transaction_uid", "digest", name=op.f("uq_commitment_requests_peer")),
    )
    op.create_index(
        "ix_commitment_requests_state_next_at", "commitment_requests", ["state", "next_at"], unique=False
    )
    _upgrade_reading()
    _upgrade_backfill()
    _upgrade_watching()
    for table in ("series", "analyses"):
        op.add_column(table, sa.Column("trace", sa.String(length=55), nullable=True))
    op.create_table(
        "audit_outbox",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("sent_number", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_outbox")),
    )
    _upgrade_population()
    _upgrade_people()
    _upgrade_activations()
    _upgrade_edits()
    _upgrade_replays()
    _upgrade_steps()
    _upgrade_numbers()


def _upgrade_steps() -> None:
    """What scanners say that they made."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "performed_steps",
        sa.Column("id", big, nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performed_steps")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_performed_steps_sop_instance_uid")),
    )
    op.create_table(
        "performed_series",
        sa.Column("step_id", big, autoincrement=False, nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["step_id"], ["performed_steps.id"], name=op.f("fk_performed_series_step_id_performed_steps")
        ),
        sa.PrimaryKeyConstraint("step_id", "series_uid", name=op.f("pk_performed_series")),
    )
    op.create_index(op.f("ix_performed_series_series_uid"), "performed_series", ["series_uid"], unique=False)


def _upgrade_numbers() -> None:
    """No number of a study or an analysis is given again; SQLite takes that for a new table alone.

    The revision before has no use for it and is not harmed by it, so it stays on the way back.
    """
    if op.get_bind().dialect.name == "sqlite":
        for table in ("studies", "analyses"):
            with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
                pass


def _upgrade_people() -> None:
    """People whom a provider knows, and results that are opened with a reason."""
    op.add_column("users", sa.Column("issuer", sa.String(length=512), nullable=True))
    op.add_column("users", sa.Column("subject", sa.String(length=255), nullable=True))
    op.create_index("ix_users_issuer_subject", "users", ["issuer", "subject"], unique=True)
    op.add_column(
        "web_sessions",
        sa.Column("opening_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
    )
    op.create_table(
        "provider_answers",
        sa.Column("state_sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("state_sha256", name=op.f("pk_provider_answers")),
    )
    op.create_index(op.f("ix_provider_answers_at"), "provider_answers", ["at"], unique=False)
    op.create_table(
        "openings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_openings")),
    )
    op.create_index(op.f("ix_openings_opened_at"), "openings", ["opened_at"], unique=False)


def _downgrade_people() -> None:
    """Without them; who has no password here is shut out, because the earlier release knows no provider."""
    op.execute("UPDATE users SET disabled = true WHERE issuer IS NOT NULL")
    op.drop_table("openings")
    op.drop_table("provider_answers")
    op.drop_column("web_sessions", "opening_id")
    op.drop_index("ix_users_issuer_subject", table_name="users")
    op.drop_column("users", "subject")
    op.drop_column("users", "issuer")


#: What status and funnel are read by.
_FASTER = (
    ("ix_analyses_state_finished_at", "analyses", ["state", "finished_at"]),
    ("ix_deliveries_funnel", "deliveries", ["analysis_id", "state", "error_code", "confirm_at"]),
    ("ix_deliveries_traffic", "deliveries", ["peer", "state", "sent_at", "confirmed_at"]),
)


def _upgrade_population() -> None:
    """What the population page needs of each result; a worker fills it for those that are here."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    for name, which in (
        ("ix_analyses_current", "state = 'measured' AND withdrawn_at IS NULL"),
        ("ix_analyses_past", "state = 'superseded' OR withdrawn_at IS NOT NULL"),
    ):
        where = sa.text(which)
        op.create_index(name, "analyses", ["id"], unique=False, sqlite_where=where, postgresql_where=where)
    family = ("definition", "network", "boundary_rule", "fat_method", "contrast", "region")
    op.create_table(
        "population_families",
        sa.Column("id", big, nullable=False),
        sa.Column("definition", sa.String(length=128), nullable=False),
        sa.Column("network", sa.String(length=128), nullable=False),
        sa.Column("boundary_rule", sa.String(length=64), nullable=False),
        sa.Column("fat_method", sa.String(length=64), server_default="", nullable=False),
        sa.Column("contrast", sa.String(length=16), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("coverage_from_mm", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_population_families")),
        sa.UniqueConstraint(*family, "coverage_from_mm", name=op.f("uq_population_families_definition")),
    )
    op.create_table(
        "population",
        sa.Column("analysis_id", big, autoincrement=False, nullable=False),
        sa.Column("study_id", big, nullable=False),
        sa.Column("family_id", big, nullable=True),
        sa.Column("person", sa.BigInteger(), nullable=True),
        sa.Column("numbers", sa.String(length=128), server_default="", nullable=False),
        sa.Column("norms", sa.String(length=256), server_default="", nullable=False),
        sa.Column("scanner", sa.String(length=128), server_default="", nullable=False),
        sa.Column("protocol", sa.String(length=64), server_default="", nullable=False),
        sa.Column("site", sa.String(length=16), server_default="", nullable=False),
        sa.Column("opted_out", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(
            ["analysis_id"], ["analyses.id"], name=op.f("fk_population_analysis_id_analyses")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_population_study_id_studies")),
        sa.ForeignKeyConstraint(
            ["family_id"],
            ["population_families.id"],
            name=op.f("fk_population_family_id_population_families"),
        ),
        sa.PrimaryKeyConstraint("analysis_id", name=op.f("pk_population")),
    )
    op.create_index(op.f("ix_population_study_id"), "population", ["study_id"], unique=False)
    op.add_column("deliveries", sa.Column("analysis_id", big, nullable=True))
    op.execute(
        "UPDATE deliveries SET analysis_id = (SELECT outputs.analysis_id FROM outputs "
        "WHERE outputs.id = deliveries.output_id AND NOT outputs.withdrawal)"
    )
    for name, table, columns in (
        (
            "ix_population_people",
            "population",
            ["family_id", "person", "opted_out", "study_id", "analysis_id"],
        ),
        ("ix_population_groups", "population", ["family_id", "scanner", "protocol", "site", "norms"]),
        *_FASTER,
    ):
        op.create_index(name, table, columns, unique=False)
    op.create_table(
        "drift_looks",
        sa.Column("id", big, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("alarms", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_looks")),
    )


def _downgrade_population() -> None:
    """Without it: nothing stands in it that does not stand in the findings."""
    for table in ("drift_looks", "population", "population_families"):
        op.drop_table(table)
    for name in ("ix_analyses_past", "ix_analyses_current"):
        op.drop_index(name, table_name="analyses")
    for name, table, _ in _FASTER:
        op.drop_index(name, table_name=table)
    op.drop_column("deliveries", "analysis_id")


def _upgrade_watching() -> None:
    """Self-tests, and messages about trouble."""
    op.create_table(
        "self_tests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=True),
        sa.Column("peers", sa.String(length=1024), server_default="", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_self_tests")),
        sa.UniqueConstraint("study_uid", name=op.f("uq_self_tests_study_uid")),
    )
    op.create_table(
        "open_troubles",
        sa.Column("recipient", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("about", sa.String(length=96), server_default="", nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("recipient", "key", name=op.f("pk_open_troubles")),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("recipient", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("once", sa.String(length=160), nullable=True),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("once", name=op.f("uq_notices_once")),
    )
    op.create_index("ix_notices_state_next_at", "notices", ["state", "next_at"], unique=False)


def _upgrade_reading() -> None:
    """What people say of results and of their flags, and keys that expire."""
    op.add_column("api_keys", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_analyses_flagged",
        "analyses",
        ["id"],
        unique=False,
        sqlite_where=sa.text("flagged"),
        postgresql_where=sa.text("flagged"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("analysis_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("comment", sa.String(length=500), server_default="", nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["analysis_id"], ["analyses.id"], name=op.f("fk_reviews_analysis_id_analyses")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
    )
    op.create_index(op.f("ix_reviews_analysis_id"), "reviews", ["analysis_id"], unique=False)
    op.create_table(
        "flag_handlings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("analysis_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("to_user", sa.String(length=64), nullable=True),
        sa.Column("comment", sa.String(length=500), server_default="", nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["analysis_id"], ["analyses.id"], name=op.f("fk_flag_handlings_analysis_id_analyses")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flag_handlings")),
    )
    op.create_index(op.f("ix_flag_handlings_analysis_id"), "flag_handlings", ["analysis_id"], unique=False)


def _downgrade_reading() -> None:
    """Without them; what is held for a review is given up, because the earlier release knows no such state."""
    op.execute(
        "UPDATE deliveries SET state = 'dead', error_code = 'not_reviewed', "
        "error_text = 'No reviewer had accepted the result.' WHERE state = 'held'"
    )
    # The earlier release knows neither role, and stops where it reads one.
    for table in ("users", "api_keys"):
        op.execute(f"UPDATE {table} SET role = 'viewer' WHERE role = 'reviewer'")
    op.execute(
        "UPDATE api_keys SET role = 'viewer', revoked_at = coalesce(revoked_at, created_at) WHERE role = 'sender'"
    )
    # The earlier release would let expired keys in.
    op.execute(
        "UPDATE api_keys SET revoked_at = expires_at WHERE expires_at IS NOT NULL AND revoked_at IS NULL"
    )
    op.drop_column("api_keys", "expires_at")
    op.drop_table("flag_handlings")
    op.drop_table("reviews")
    op.drop_index("ix_analyses_flagged", table_name="analyses")


def _upgrade_backfill() -> None:
    """Past studies that are to be fetched."""
    op.create_table(
        "backfills",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("deliver", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("brought", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("count", sa.Integer(), nullable=True),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfills")),
        sa.UniqueConstraint("peer", "kind", "value", name=op.f("uq_backfills_peer")),
    )
    op.create_index("ix_backfills_outcome_next_at", "backfills", ["outcome", "next_at"], unique=False)
    op.create_index("ix_backfills_value", "backfills", ["value"], unique=False)
    op.create_index(op.f("ix_backfills_started_at"), "backfills", ["started_at"], unique=False)


def _upgrade_activations() -> None:
    """What was put into force, by whom and since when."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "activations",
        sa.Column("id", big, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("version", sa.String(length=512), server_default="", nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("pieces", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_by", sa.String(length=80), nullable=False),
        sa.Column("asked_person", sa.String(length=64), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(length=500), server_default="", nullable=False),
        sa.Column("decided_by", sa.String(length=80), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_reason", sa.String(length=500), server_default="", nullable=False),
        sa.Column("holds_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("before_id", big, nullable=True),
        sa.Column("restores_id", big, nullable=True),
        sa.Column("undoes_id", big, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activations")),
    )
    for state in ("active", "proposed"):
        only = sa.text(f"state = '{state}'")
        op.create_index(
            f"ix_activations_{state}",
            "activations",
            ["kind"],
            unique=True,
            sqlite_where=only,
            postgresql_where=only,
        )
    op.create_table(
        "settings_seen",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_settings_seen")),
    )


def _upgrade_edits() -> None:
    """Segmentations that came back edited, and versions that measure them."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("analyses", sa.Column("edit_id", big, nullable=True))
    op.create_table(
        "edits",
        sa.Column("id", big, nullable=False),
        sa.Column("series_id", big, nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=256), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=True),
        sa.Column("reason_text", sa.String(length=500), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("analysis_id", big, nullable=True),
        sa.Column("corrects_id", big, nullable=True),
        sa.Column("network", sa.String(length=160), nullable=True),
        sa.Column("contrast", sa.String(length=16), nullable=True),
        sa.Column("comparison", sa.JSON(), nullable=True),
        sa.Column("leaves_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_edits_series_id_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edits")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_edits_sop_instance_uid")),
    )
    for column in ("series_id", "outcome", "leaves_at"):
        op.create_index(op.f(f"ix_edits_{column}"), "edits", [column], unique=False)


def _upgrade_replays() -> None:
    """Replays that people ordered."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "replay_orders",
        sa.Column("id", big, nullable=False),
        sa.Column("analysis_id", big, nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("taken_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.Column("reason_text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["analysis_id"], ["analyses.id"], name=op.f("fk_replay_orders_analysis_id_analyses")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay_orders")),
    )
    for column in ("analysis_id", "finished_at"):
        op.create_index(op.f(f"ix_replay_orders_{column}"), "replay_orders", [column], unique=False)


def _downgrade_edits() -> None:
    """Without them; the earlier release would have the network draw in their place."""
    op.execute(
        "UPDATE analyses SET state = 'superseded' WHERE edit_id IS NOT NULL AND state IN ('ready', 'running')"
    )
    op.drop_column("analyses", "edit_id")
    op.drop_table("edits")


def downgrade() -> None:
    """Go back to the revision before, as far as data allow."""
    for table in ("performed_series", "performed_steps"):
        op.drop_table(table)
    # The earlier release knows no such reason.
    op.execute("UPDATE series SET completion_reason = 'quiet' WHERE completion_reason = 'performed'")
    op.drop_table("replay_orders")
    _downgrade_edits()
    for table in ("settings_seen", "activations"):
        op.drop_table(table)
    _downgrade_people()
    op.drop_table("audit_outbox")
    for table in ("analyses", "series"):
        op.drop_column(table, "trace")
    op.drop_table("backfills")
    _downgrade_population()
    for table in ("notices", "open_troubles", "self_tests"):
        op.drop_table(table)
    _downgrade_reading()
    op.drop_table("commitment_requests")
    op.drop_index("ix_analyses_funnel", table_name="analyses")
    op.drop_index(op.f("ix_series_first_at"), table_name="series")
    op.drop_table("opt_outs")
    op.add_column(
        "peer_circuits", sa.Column("fallback", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    # The earlier release knows of the label map alone.
    said = sa.table("peer_circuits", sa.column("fallback", sa.Boolean()), sa.column("refused", sa.String()))
    op.execute(said.update().where(said.c.refused.contains("labelmap")).values(fallback=sa.true()))
    op.drop_column("peer_circuits", "refused")
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
