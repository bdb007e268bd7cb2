"""The cluster's authority and what it signs: one `openssl` call a certificate, ECDSA P-256.

Ten years: the authority lives as long as one `make up`, and a clock set far back must not break it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.commands import run

_DAYS = "3650"
_CURVE = "ec_paramgen_curve:P-256"
# Without a configuration of its own openssl adds the distribution's extensions, CA:TRUE among them.
_CONFIGURATION = "[req]\ndistinguished_name=name\n[name]\n"


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    """The certificate authority in `folder`, made when it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._configuration = folder / "openssl.cnf"
        self._own = self._pair("ca")
        if not self._own.certificate.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._configuration.write_text(_CONFIGURATION)
            self._request(self._own, "/CN=postbase-node", ["basicConstraints=critical,CA:TRUE"])

    @property
    def certificate(self) -> Path:
        return self._own.certificate

    def client(self, name: str, user: str, group: str = "") -> Pair:
        """For a user, and the group that RBAC knows it by."""
        subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
        return self._signed(name, subject, ["extendedKeyUsage=clientAuth"])

    def server(self, name: str, addresses: Sequence[str], names: Sequence[str]) -> Pair:
        known = [f"IP:{address}" for address in addresses] + [f"DNS:{host}" for host in names]
        alternative = f"subjectAltName={','.join(known)}"
        return self._signed(name, f"/CN={name}", ["extendedKeyUsage=serverAuth", alternative])

    def signing_key(self, name: str) -> Path:
        """A bare key in SEC1 form: kube-apiserver takes the public half of no other from it."""
        key = self._folder / f"{name}.key"
        if not key.exists():
            run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key])
        return key

    def _signed(self, name: str, subject: str, extensions: Sequence[str]) -> Pair:
        pair = self._pair(name)
        if not pair.certificate.exists():
            signer = ["-CA", str(self._own.certificate), "-CAkey", str(self._own.key)]
            leaf = ["basicConstraints=critical,CA:FALSE", *extensions]
            self._request(pair, subject, leaf, signer)
        return pair

    def _request(
        self, pair: Pair, subject: str, extensions: Sequence[str], signer: Sequence[str] = ()
    ) -> None:
        added = [word for extension in extensions for word in ("-addext", extension)]
        run(
            [
                *("openssl", "req", "-x509", "-config", self._configuration, "-days", _DAYS),
                *("-newkey", "ec", "-pkeyopt", _CURVE, "-nodes", "-subj", subject),
                *("-keyout", pair.key, "-out", pair.certificate),
                *added,
                *signer,
            ]
        )

    def _pair(self, name: str) -> Pair:
        return Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
