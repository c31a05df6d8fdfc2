{% include "shared/tls.py" -%}
