"""The Secrets of a Database: authority, server certificate, credentials.

Generated ones are created by POST and never by apply: two operators that overlap for some seconds
would make two passwords, and the last writer would win. A 409 means "read theirs". They are read
by name before each use, never listed or watched: a right to list Secrets reads them all.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import TOKEN_KEY
from postbase_operator.desired import meta, names
from postbase_operator.errors import InvalidSpec, NotReady
from postbase_operator.kube import own_secrets
from postbase_operator.kube.apply import MANAGER, body_of
from postbase_operator.kube.kinds import SECRET, Body
from postbase_operator.kube.own_secrets import OwnCertificate
from postbase_operator.kube.ownership import is_owned, refuse_stranger
from postbase_operator.kube.refusals import AlreadyExists
from postbase_operator.kube.secret_data import decode, encode
from postbase_operator.kube.secret_marks import annotations_of, made_for
from postbase_operator.kube.session import Session
from postbase_operator.postgres import authority as authorities
from postbase_operator.postgres import certificates, credentials
from postbase_operator.postgres.authority import Authority
from postbase_operator.postgres.credentials import Credentials, Front

TLS = "kubernetes.io/tls"


class DatabaseSecrets:
    """The three Secrets of one Database, made where they are missing, renewed where they age."""

    def __init__(self, session: Session, db: Database, now: Callable[[], datetime]) -> None:
        self._session = session
        self._db = db
        self._names = meta.names_of(db)
        self._now = now
        self._own: OwnCertificate | None = None  # once it has been read

    async def ensure(self, *, first: bool = False) -> tuple[Authority, Credentials]:
        """All three as they should be. Leaves: each by itself, in the order of their need.

        `first`: there is no volume yet, hence no server, and most likely no Secret. Then they are
        created without asking before; what is there already shows by a 409.
        """
        ca = await self.authority(first=first)
        await self._server_certificate(ca, first=first)
        return ca, await self.credentials(self.front(ca), first=first)

    def front(self, ca: Authority) -> Front:
        """Where clients connect: the Service in front of the pod."""
        return Front(self._names.host, names.PORT, ca.servers)

    async def receiver_token(self) -> str:
        """What the sidecar asks of whoever wants to hear of it. Raises NotReady where it is gone,
        until the next look over all Secrets."""
        live = await self._get(self._names.tls)
        token = decode(live).get(TOKEN_KEY, b"") if live is not None else b""
        if not token:
            raise NotReady(f"Secret {self._names.tls} has no {TOKEN_KEY} yet", retry_after=1.0)
        return token.decode()

    async def authority(self, *, first: bool = False) -> Authority:
        """The Database's own certificate authority, followed by its successor in time, and who
        signed the certificate that the user brings. Raises InvalidSpec where that one is wrong.

        Never a new one beside a server certificate of the old: the running server would trust
        neither our clients nor us, and only its restart would end that.
        """
        name, title = self._names.authority, f"postbase {self._names.host}"
        self._own = await own_secrets.certificate(self._session, self._db, self._names.host)
        own = b"" if self._own is None else self._own.authority
        if first:
            made = authorities.new(title, self._now(), own)
            if await self._post(name, authorities.written(made)):
                return made
        live = await self._get(name)
        if live is None:
            if await self._get(self._names.tls) is not None:
                raise InvalidSpec(
                    f"Secret {name}",
                    "is gone; put it back, or, for a new authority, delete the Secret "
                    f"{self._names.tls} too and then the pod {self._names.pod}",
                    reason="AuthorityLost",
                )
            made = authorities.new(title, self._now(), own)
            return authorities.read(await self._create(name, authorities.written(made)), name)
        held = authorities.read(decode(live), name)
        now, overlap = self._now(), self._db.spec.tls.overlap
        due = authorities.beside(authorities.renewed(held, title, now, overlap), own, now, overlap)
        await self._keep(live, authorities.written(due) if due is not held else decode(live))
        return due

    async def _server_certificate(self, ca: Authority, *, first: bool) -> None:
        name, hosts = self._names.tls, self._names.hosts
        if first and await self._post(name, self._server_keys(ca, new_token()), kind=TLS):
            return
        live = await self._get(name)
        if live is None:
            await self._create(name, self._server_keys(ca, new_token()), kind=TLS)
            return
        held = decode(live)
        token = held.get(TOKEN_KEY) or new_token()
        current = held.get("tls.crt", b"")
        right = self._own is None and (
            held.get("ca.crt") == ca.trusted
            and certificates.serves(current, ca.signing, hosts)
            and certificates.belong(current, held.get("tls.key", b""))
            and not certificates.due(current, self._now())
        )
        keys = held | {TOKEN_KEY: token} if right else self._server_keys(ca, token)
        await self._keep(live, keys)

    def _server_keys(self, ca: Authority, token: bytes) -> dict[str, bytes]:
        """`ca.crt` is what the server trusts its clients by: our authority, whoever signed it."""
        if self._own is not None:
            made = self._own.identity
        else:
            made = certificates.server(ca.signing, self._names.hosts, self._now())
        return {
            "tls.crt": made.certificate,
            "tls.key": made.key,
            "ca.crt": ca.trusted,
            TOKEN_KEY: token,
        }

    async def credentials(self, front: Front, *, first: bool = False) -> Credentials:
        """The logins as they stand; what is derived from them is put back where edited."""
        name = self._names.credentials
        given = await own_secrets.password(self._session, self._db)
        if first:
            made = credentials.fresh(given)
            if await self._post(name, credentials.written(made, front), owned=False):
                return made
        live = await self._get(name)
        if live is None:
            data = await self._create(
                name, credentials.written(credentials.fresh(given), front), owned=False
            )
            return replace(credentials.read(data, {}), given=given)
        held = credentials.read(decode(live), annotations_of(live))
        # One that an earlier Database of this name has left is this one's from now on.
        await self._keep(live, credentials.written(held, front), owned=False)
        return replace(held, given=given)

    async def change(self, front: Front, new: Callable[[Credentials], Credentials]) -> Credentials:
        """One write of what `new` makes of what is there. Conflict where somebody else wrote."""
        live = await self._get(self._names.credentials)
        if live is None:
            raise NotReady(f"Secret {self._names.credentials} is gone", retry_after=1.0)
        given = await own_secrets.password(self._session, self._db)
        held = replace(credentials.read(decode(live), annotations_of(live)), given=given)
        after = new(held)
        if after != held:
            await self._replace(live, credentials.written(after, front), credentials.marks(after))
        return after

    async def superuser(self, known: str = "") -> str:
        """The superuser's password, where only a password lets us in: on Railway. Made once, and
        without an owner: it must not go while there are data that nothing else opens. `known`:
        what the server has, for a Secret that is gone."""
        name = self._names.superuser(self._db.metadata.uid)
        live = await self._get(name)
        if live is not None:
            password = decode(live).get("password", b"")
        else:
            made = {"password": (known or credentials.new_password()).encode()}
            password = (await self._create(name, made, owned=False)).get("password", b"")
        if not password:
            raise InvalidSpec(
                f"Secret {name}", "has no password; put it back", reason="SuperuserPasswordLost"
            )
        return password.decode()

    async def replication(self) -> str:
        """The password of the receiver's role, where it has one: on Railway. It goes with the
        Database; one that is gone, or that an edit has made unfit, is followed by another."""
        name, made = self._names.replication(self._db.metadata.uid), credentials.new_password()
        data = {"password": made.encode()}
        live = await self._get(name)
        if live is None:
            data = await self._create(name, data)
        elif credentials.is_plain(held := decode(live).get("password", b"")):
            return held.decode()
        else:
            await self._keep(live, data)
        return data["password"].decode()

    async def store(self, data: Mapping[str, bytes]) -> None:
        """The copy of the object store's keys and configuration, as they are now."""
        name = self._names.store
        live = await self._get(name)
        if live is None:
            await self._create(name, data)
        else:
            await self._keep(live, data)

    async def _get(self, name: str) -> Body | None:
        """Ours, or None. What an earlier Database of this name has left counts as ours only where
        it was left on purpose: the credentials."""
        live = await self._session.find(SECRET, self._names.namespace, name)
        if live is None or self._is_ours(live):
            return live
        if name != self._names.credentials or not made_for(live):
            refuse_stranger(live, f"Secret {name}", self._db)
        return live

    def _is_ours(self, live: Body) -> bool:
        """By the mark or the owner; where somebody struck both out, by having written its data."""
        mark, owners = made_for(live), live["metadata"].get("ownerReferences")
        struck_out = not mark and not owners and _written_by_us(live)
        return mark == self._db.metadata.uid or is_owned(live, self._db) or struck_out

    async def _create(
        self, name: str, data: Mapping[str, bytes], *, kind: str = "Opaque", owned: bool = True
    ) -> dict[str, bytes]:
        """Creates the Secret, or reads the one that somebody else just created."""
        if await self._post(name, data, kind=kind, owned=owned):
            return dict(data)
        live = await self._get(name)
        if live is None:
            raise NotReady(f"Secret {name} was there and is gone", retry_after=1.0)
        return decode(live)

    async def _post(
        self, name: str, data: Mapping[str, bytes], *, kind: str = "Opaque", owned: bool = True
    ) -> bool:
        """Creates the Secret; False where there is one of this name."""
        metadata = meta.child(self._db, name, owned=owned, annotations=self._mark())
        body: Body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": kind,
            "metadata": body_of(metadata),
            "data": encode(data),
        }
        try:
            await self._session.create(SECRET, self._names.namespace, body, MANAGER)
        except AlreadyExists:
            return False
        return True

    async def _keep(self, live: Body, data: Mapping[str, bytes], *, owned: bool = True) -> None:
        """Puts back what differs: data, labels, owner, the mark of whose it is."""
        wanted = body_of(meta.child(self._db, live["metadata"]["name"], owned=owned))
        held = live["metadata"]
        labels, owners = dict(held.get("labels") or {}), list(held.get("ownerReferences") or [])
        missing = [each for each in wanted.get("ownerReferences", []) if each not in owners]
        right = (
            decode(live) == dict(data)
            and wanted["labels"].items() <= labels.items()
            and not missing
            and made_for(live) == self._db.metadata.uid
        )
        if right:
            return
        metadata = {**held, "labels": {**labels, **wanted["labels"]}}
        if missing:
            metadata["ownerReferences"] = [*owners, *missing]
        await self._replace({**live, "metadata": metadata}, data)

    async def _replace(
        self, live: Body, data: Mapping[str, bytes], more: Mapping[str, str] | None = None
    ) -> None:
        """Conditional on what was read: a write in between is a Conflict, seen by the next run."""
        marks = {**annotations_of(live), **self._mark(), **(more or {})}
        body = {
            **live,
            "metadata": {**live["metadata"], "annotations": marks},
            "data": encode(data),
        }
        await self._session.replace(SECRET, self._names.namespace, body, MANAGER)

    def _mark(self) -> dict[str, str]:
        return {names.ANNOTATION_DATABASE_UID: self._db.metadata.uid}


def new_token() -> bytes:
    """For the sidecar's port: made once, kept, and made anew where somebody has deleted it."""
    return secrets.token_urlsafe(32).encode()


def _written_by_us(secret: Body) -> bool:
    entries = secret["metadata"].get("managedFields") or []
    return any(e["manager"] == MANAGER and "f:data" in e.get("fieldsV1", {}) for e in entries)
