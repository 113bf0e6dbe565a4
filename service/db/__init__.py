"""The ledger: only here SQLAlchemy is used."""
