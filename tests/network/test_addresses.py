"""Hosts as people write them: names, IPv4, IPv6, and what is none of these."""

import pytest
from pynetdicom import AE

from simlab.lab.echo import echo
from simlab.network.live.directory import Peer
from simlab.network.seam import Trouble
from simlab.network.sop_classes import VERIFICATION


@pytest.fixture(params=["127.0.0.1", "localhost", "::1"])
def listening(request):
    entity = AE("ANY")
    entity.add_supported_context(VERIFICATION)
    host = request.param
    try:
        server = entity.start_server((host, 0) if host != "::1" else (host, 0, 0, 0), block=False)
    except OSError:
        pytest.skip(f"{host} is no address of this machine")
    yield Peer("any", "ANY", host, server.server_address[1])
    server.shutdown()


def test_an_ae_is_reached_by_any_kind_of_address(listening):
    assert echo("SIMLAB", listening, 10.0).ok


@pytest.mark.parametrize("host", ["nowhere.invalid", "host..name", "1.2.3.4.5"])
def test_a_host_without_an_address_is_unreachable(host):
    outcome = echo("SIMLAB", Peer("any", "ANY", host, 104), 10.0)
    assert (outcome.trouble, outcome.comment) == (Trouble.UNREACHABLE, f"no address of {host}")
