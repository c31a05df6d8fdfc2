"""The topology language: its values, loading with positions, and the graph of who issues and who calls."""
