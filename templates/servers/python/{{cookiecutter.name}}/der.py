{% include "shared/der.py" -%}
