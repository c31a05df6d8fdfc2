{% include "shared/calls.py" -%}
