"""Fixtures of the egress tests: a machine without a way out, and an authority for TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.doubles.closed_network import ClosedNetwork
from tests.doubles.egress_server import (
    PUBLIC,
)


@pytest.fixture(name="network")
def closed_network(monkeypatch: pytest.MonkeyPatch) -> ClosedNetwork:
    """Return the network of a test, with one public host."""
    network = ClosedNetwork(monkeypatch)
    network.names["one.test"] = [PUBLIC]
    return network


@pytest.fixture(name="tls")
def private_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's side of TLS for one.test, by an authority that SSL_CERT_FILE names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "one.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("one.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "one.pem"
    text = certificate.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(
        text
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (tmp_path / "authority.pem").write_bytes(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context
