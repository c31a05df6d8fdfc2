"""Carries out a plan, and decides nothing: each change says what is to be done, and in which order.

What is done survives a kill at any instant, and applying again converges: a key is recorded and written before its
certificate, a serial is in the ledger before its certificate is in place, a text is known as ours before it is written.
"""

from __future__ import annotations

from scaffold.apply.context import Progress
from scaffold.apply.run import Outcome, apply

__all__ = ["Outcome", "Progress", "apply"]
