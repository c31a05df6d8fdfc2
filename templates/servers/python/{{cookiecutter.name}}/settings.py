{% include "shared/settings.py" -%}
