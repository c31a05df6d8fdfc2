"""Mutual TLS from one file: topology says what should be, plan what differs, apply makes it so, verify proves it."""

__version__ = "0.1.0"
