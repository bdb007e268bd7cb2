"""`token create | list | revoke`: what an administrator does about tokens, in the cluster.

The token is printed alone on standard output, once; nothing else ever holds it.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta

from postbase_operator.api.account import Account, Plan
from postbase_operator.api.api_token import ApiToken, Scope
from postbase_operator.api.scalars import parse_duration
from postbase_operator.errors import InvalidSpec
from postbase_operator.gateway import tokens
from postbase_operator.gateway.settings import GatewaySettings
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.kinds import ACCOUNT, API_TOKEN, Body
from postbase_operator.kube.refusals import AlreadyExists
from postbase_operator.kube.session import Session

MANAGER = "postbase-operator-token"
LOGIN = re.compile(r"[A-Za-z0-9_-]{1,50}", re.ASCII)


def main(settings: GatewaySettings, asked: argparse.Namespace) -> int:
    return asyncio.run(_main(settings, asked))


async def _main(settings: GatewaySettings, asked: argparse.Namespace) -> int:
    session = await Session.login(WriteBudget(10.0))
    try:
        match asked.action:
            case "create":
                sys.stdout.write(f"{await create(session, settings.namespace, asked)}\n")
            case "list":
                for line in await table(session, settings.namespace, asked.login):
                    sys.stdout.write(f"{line}\n")
            case "revoke":
                await revoke(session, settings.namespace, asked.name)
    finally:
        await session.close()
    return 0


async def create(session: Session, namespace: str, asked: argparse.Namespace) -> str:
    """The token."""
    expires = None
    if asked.expires_in is not None:
        expires = datetime.now(UTC) + span(asked.expires_in)
    account = await account_for(session, asked.login, asked.plan)
    token = tokens.new_token()
    digest = tokens.digest(token)
    spec: Body = {"digest": digest, "accountRef": {"name": account.metadata.name}}
    if asked.name:
        spec["displayName"] = asked.name
    if asked.scope is not None:
        spec["scopes"] = [Scope[asked.scope.upper()].value]
    if expires is not None:
        spec["expiresAt"] = expires.isoformat(timespec="seconds")
    name = ApiToken.name_of(digest)
    await session.create(API_TOKEN, namespace, _body(API_TOKEN.kind, name, spec), MANAGER)
    return token


def span(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidSpec("--expires-in", str(error)) from error


async def account_for(session: Session, login: str, plan: str | None) -> Account:
    """That of the login, the eldest where there are several; its plan set where one is named."""
    if LOGIN.fullmatch(login) is None:
        raise InvalidSpec("--login", "must be letters, digits, hyphens and underscores")
    listed = (await session.list(ACCOUNT)).items
    accounts = [Account.model_validate(body) for body in listed]
    same = [each for each in accounts if each.spec.login.lower() == login.lower()]
    if not same:
        name = f"login-{re.sub('[^a-z0-9-]', '-', login.lower()).strip('-') or 'user'}"
        spec: Body = {"login": login, "plan": plan or Plan.FREE.value}
        try:
            body = _body(ACCOUNT.kind, name, spec)
            return Account.model_validate(await session.create(ACCOUNT, None, body, MANAGER))
        except AlreadyExists as error:
            raise InvalidSpec(
                "--login", f"the Account {name} is somebody else's: make one of another name"
            ) from error
    found = min(same, key=lambda each: str(each.metadata.creation_timestamp))
    if plan is not None and found.spec.plan.value != plan:
        patch: Body = {"spec": {"plan": plan}}
        live = await session.merge(ACCOUNT, None, found.metadata.name, patch, MANAGER)
        return Account.model_validate(live)
    return found


def _body(kind: str, name: str, spec: Body) -> Body:
    meta = {"name": name}
    return {"apiVersion": ACCOUNT.api_version, "kind": kind, "metadata": meta, "spec": spec}


async def table(session: Session, namespace: str, login: str | None) -> list[str]:
    accounts = {
        body["metadata"]["name"]: Account.model_validate(body)
        for body in (await session.list(ACCOUNT)).items
    }
    lines = ["NAME\tLOGIN\tSCOPES\tCREATED\tEXPIRES\tLAST USED\tFOR"]
    for body in (await session.list(API_TOKEN, namespace)).items:
        token = ApiToken.model_validate(body)
        if token.metadata.is_deleting:
            continue  # revoked: the gateway refuses it from that moment on
        account = accounts.get(token.spec.account_ref.name)
        whose = account.spec.login if account is not None else "(gone)"
        if login is not None and whose.lower() != login.lower():
            continue
        times = (
            token.metadata.creation_timestamp,
            token.spec.expires_at,
            token.status.last_used_at,
        )
        scopes = ",".join(scope.value for scope in token.spec.scopes) or "all"
        shown = (f"{each:%Y-%m-%dT%H:%M:%SZ}" if each else "-" for each in times)
        words = (token.metadata.name, whose, scopes, *shown, token.spec.display_name or "-")
        lines.append("\t".join(words))
    return lines


async def revoke(session: Session, namespace: str, name: str) -> None:
    """Raises NotFound."""
    live = await session.get(API_TOKEN, namespace, name)
    await session.delete(API_TOKEN, namespace, name, live["metadata"]["uid"], foreground=False)
