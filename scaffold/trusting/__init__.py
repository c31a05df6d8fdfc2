"""Roots in the stores that a machine's programs trust: the system's, those of NSS (browsers), and Java's."""
