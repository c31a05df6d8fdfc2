{% include "shared/sessions.py" -%}
