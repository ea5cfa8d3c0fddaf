"""Ports of servers that come and go while others look for them."""

import socket

from deploy.local.ports import HOST, free_ports, taken


def test_free_ports_are_different_free_and_no_connection_is_given_one() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(taken(port) for port in ports)
    with socket.socket() as client:
        client.bind((HOST, 0))  # as the kernel chooses for a connection
        assert client.getsockname()[1] > max(ports)
