"""A certificate for the Kafka of this machine and of who signed it; operators bring their own."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deploy.secrets import write_once

AUTHORITY: Final = "ca.pem"
SERVER: Final = "server.pem"
_DAYS: Final = 365


def ensure_certificates(folder: Path, host: str) -> tuple[Path, Path]:
    """The authority's certificate, for clients, and the server's with its key, as Kafka reads it;
    made once for this address."""
    authority, server = folder / AUTHORITY, folder / SERVER
    if authority.exists() and server.exists():
        return authority, server
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("wishgrid development authority")
    root = _certificate(issuer, issuer, root_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    leaf = _certificate(_name("wishgrid development kafka"), issuer, key).add_extension(
        address, critical=False
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signed = leaf.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM)
    write_once(server, private + signed)
    write_once(authority, root.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return authority, server


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
    )
