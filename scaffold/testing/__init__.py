"""The pytest plugin: a topology's certificates, contexts, faults and servers for tests, another face beside `cli`."""
