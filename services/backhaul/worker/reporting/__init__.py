"""What attempts say, kept and sent again until a ledger has recorded it."""
