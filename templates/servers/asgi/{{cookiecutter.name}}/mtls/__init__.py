"""Who calls, calls to others, the settings: what app.py may use of its server. All of this folder is scaffold's."""

from mtls.caller import Caller, current_caller, get_caller
from mtls.outgoing import CallFailed, call, own_settings

__all__ = ["CallFailed", "Caller", "call", "current_caller", "get_caller", "own_settings"]
