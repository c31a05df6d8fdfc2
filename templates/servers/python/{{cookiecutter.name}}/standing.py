{% include "shared/standing.py" -%}
