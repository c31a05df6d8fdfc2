"""Which callers get in, and which are refused, with httpx."""

import httpx
import pytest


def get(scaffold_env, url, who):
    return httpx.get(url, verify=scaffold_env.ssl_context(who), trust_env=False)


def test_the_allowed_client_gets_in(scaffold_env, accounts):
    assert get(scaffold_env, accounts, "teller").status_code == 200


def test_a_client_that_is_not_allowed_is_refused(scaffold_env, accounts):
    assert get(scaffold_env, accounts, "auditor").status_code == 403


@pytest.mark.parametrize("fault", ["expired", "wrong-ca", "self-signed", "wrong-eku"])
def test_a_broken_certificate_is_refused_in_the_handshake(scaffold_env, accounts, fault):
    with pytest.raises(httpx.TransportError):
        get(scaffold_env, accounts, scaffold_env.broken("teller", fault))


def test_a_certificate_with_another_name_gets_403(scaffold_env, accounts):
    assert get(scaffold_env, accounts, scaffold_env.broken("teller", "wrong-name")).status_code == 403
