"""The topology language as JSON Schema, for editors: drawn from the same fields that the loader reads by."""

from __future__ import annotations

import json

from scaffold.topology import language
from scaffold.topology.fields import Json


def schema_text() -> str:
    """The JSON Schema as it is printed and written."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def json_schema() -> Json:
    """JSON Schema, draft 2020-12. What it accepts has the right form; whether it can be is for the loader to say."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A topology of CAs, servers and clients",
        **language.TOPOLOGY.definition(),
        "$defs": {table.ref: table.definition() for table in language.REFERENCED if table.ref},
    }
