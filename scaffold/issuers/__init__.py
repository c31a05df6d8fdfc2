"""Whoever issues certificates: the port, and the issuers behind it."""
