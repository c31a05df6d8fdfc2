"""The contract of a template, tried on a real server: what `scaffold templates check` does."""
