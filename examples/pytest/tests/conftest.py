"""The server that all tests call: started once, on a free port."""

import pytest


@pytest.fixture(scope="session")
def accounts(scaffold_env):
    scaffold_env.start("accounts")
    return scaffold_env.url("accounts")
