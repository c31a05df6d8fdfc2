"""For every server and client one frozen value with all that a template may print. Templates print and never decide."""
