"""The disk: where everything lies, atomic files, the lock, the ledger, and what is there now."""
