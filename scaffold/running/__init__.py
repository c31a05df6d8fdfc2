"""Running rendered projects on this machine: where they listen, when they are ready, calls, and renewal meanwhile."""
