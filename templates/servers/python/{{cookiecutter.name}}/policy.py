{% include "shared/policy.py" -%}
