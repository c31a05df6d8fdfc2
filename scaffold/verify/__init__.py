"""Proof by handshake: starts what was rendered and probes who gets in and who does not."""
