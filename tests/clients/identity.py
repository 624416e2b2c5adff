"""Certificates, JWTs and the like for the tests of sign-in."""

import base64
import datetime
import hmac
import ipaddress
import json
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from conftest import BINARY, canary

ISSUER, AUDIENCE = "https://issuer.example", "athena-flight"


class Authority:
    """A certificate authority, and what it vouches for."""

    def __init__(self, folder, name="test"):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self.name, self.key).add_extension(constraints, critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.path = self._write(f"{name}-ca.pem", self.certificate)

    def server(self, file="server"):
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        return self._issue(file, subject, ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(names))

    def client(self, name, unit):
        subject = x509.Name([
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ])
        return self._issue(name, subject, ExtendedKeyUsageOID.CLIENT_AUTH, x509.SubjectAlternativeName([x509.DNSName(name)]))

    def _issue(self, file, subject, usage, names):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, key).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(names, critical=False)
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        path = self.folder / f"{file}.key"
        path.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
        return self._write(f"{file}.pem", builder.sign(self.key, hashes.SHA256())), path

    def _builder(self, subject, key):
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    def _write(self, file, certificate):
        path = self.folder / file
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


class Provider:
    """An identity provider: its keys, and the tokens it signs."""

    def __init__(self):
        self.keys = {"rsa-1": RSAKey.generate_key(2048), "ec-1": ECKey.generate_key("P-256")}

    def jwks(self):
        keys = [key.as_dict(private=False) | {"kid": name, "use": "sig"} for name, key in self.keys.items()]
        return json.dumps({"keys": keys})

    def token(self, kid="rsa-1", algorithm="RS256", key=None, **claims):
        now = int(time.time())
        all_claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "dora", "groups": ["analysts"], "iat": now, "exp": now + 300}
        all_claims = {name: value for name, value in (all_claims | claims).items() if value is not None}
        return canary(jwt.encode({"alg": algorithm, "kid": kid}, all_claims, key or self.keys[kid], algorithms=[algorithm]))

    def signed_with_the_public_key(self):
        """What a careless server takes: its public key as the secret of a symmetric algorithm."""
        header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa-1"}').rstrip(b"=").decode()
        said = f"{header}.{self.token().split('.')[1]}"
        mac = hmac.digest(self.keys["rsa-1"].as_pem(private=False), said.encode(), "sha256")
        return f"{said}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    def unsigned(self, **claims):
        """`alg: none`, with the claims of a sound one."""
        header = base64.urlsafe_b64encode(b'{"alg":"none","kid":"rsa-1"}').rstrip(b"=").decode()
        return f"{header}.{self.token(**claims).split('.')[1]}."


def user(file, name, password, *groups):
    arguments = [BINARY, "user", "add", "--file", file, name] + [f"--groups={','.join(groups)}" for _ in groups[:1]]
    subprocess.run(arguments, input=canary(password) + "\n", text=True, check=True)


def token(file, name, *groups):
    arguments = [BINARY, "token", "add", "--file", file, name] + [f"--groups={','.join(groups)}" for _ in groups[:1]]
    return canary(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip())


