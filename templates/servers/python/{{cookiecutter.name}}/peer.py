{% include "shared/peer.py" -%}
