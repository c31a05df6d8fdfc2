"""Mutual TLS from one file: a topology says what should be, a plan what differs, apply makes it so, verify proves it."""

__version__ = "0.1.0"
