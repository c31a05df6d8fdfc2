"""The same with requests, and so with urllib3, which take files."""

import pytest
import requests
import urllib3


def get(url, files):
    return requests.get(url, cert=(files.certificate, files.key), verify=files.trust, timeout=30)


def test_the_allowed_client_gets_in(scaffold_env, accounts):
    assert get(accounts, scaffold_env.files("teller")).status_code == 200


@pytest.mark.parametrize("fault", ["expired", "wrong-ca"])
def test_a_broken_certificate_is_refused(scaffold_env, accounts, fault):
    with pytest.raises(requests.ConnectionError):
        get(accounts, scaffold_env.broken("teller", fault))


def test_urllib3_takes_a_context(scaffold_env, accounts):
    with urllib3.PoolManager(ssl_context=scaffold_env.ssl_context("teller")) as pool:
        assert pool.request("GET", accounts).status == 200
