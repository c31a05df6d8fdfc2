{% include "shared/revocation.py" -%}
