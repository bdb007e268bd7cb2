"""Signing in, and what is asked of the one who is in."""

from __future__ import annotations

from postbase_operator.api.account import Account
from postbase_operator.api.api_token import ApiToken
from postbase_operator.gateway import rendering, tokens
from postbase_operator.gateway.bodies import DeviceToken
from postbase_operator.gateway.call import Call
from postbase_operator.gateway.device_flow import GitHubUser
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.problems import Code, Problem
from postbase_operator.gateway.route import Answer
from postbase_operator.gateway.settings import GatewaySettings
from postbase_operator.gateway.shapes import (
    Deleted,
    DeviceStart,
    SignedIn,
    Token,
    Tokens,
)
from postbase_operator.gateway.writes import Concern, Origin
from postbase_operator.kube.kinds import ACCOUNT, API_TOKEN


async def start(call: Call) -> Answer:
    return Answer(DeviceStart(**await call.services.device_flow.start()))


async def poll(call: Call) -> Answer:
    async def signed_in(user: GitHubUser) -> SignedIn:
        return await admit(call, user)

    code = call.body(DeviceToken).device_code
    told = await call.services.device_flow.poll(code, signed_in)
    if isinstance(told, SignedIn):
        return Answer(told)
    longer = b"" if told.interval is None else b',"interval":%d' % told.interval
    return Answer(b'{"status":"pending"%b}' % longer)


async def admit(call: Call, user: GitHubUser) -> SignedIn:
    """The account of this user, made at its first sign-in where the policy lets it, and a token."""
    held = call.index.account_of(user.id)
    if held is None:
        check_policy(call.services.settings, user)
        held = await call.writer.create(
            ACCOUNT, "", account_name(user), profile(user), unkeyed(call)
        )
    account = Account.model_validate_json(held.raw)
    if account.spec.suspended or held.deleting:
        raise Problem(Code.ACCESS_DENIED, "This account is suspended")
    if (account.spec.login, account.spec.email) != (user.login, user.email):
        known = {key: value for key, value in profile(user).items() if key != "githubId"}
        held = await call.writer.change(held, Concern.PROFILE, call.origin, known, {})
        account = Account.model_validate_json(held.raw)
    token = await new_token(call, held)
    return SignedIn(access_token=token, user=rendering.user(account))


def unkeyed(call: Call) -> Origin:
    """Two sign-ins of one user at the same moment make one account: its name is the key."""
    return Origin(call.origin.request_id, "", "github", "github")


def account_name(user: GitHubUser) -> str:
    return f"github-{user.id}"


def profile(user: GitHubUser) -> dict[str, object]:
    email = {"email": user.email} if user.email else {}
    return {"login": user.login, "githubId": user.id, **email}


def check_policy(settings: GatewaySettings, user: GitHubUser) -> None:
    """Raises ACCESS_DENIED for whom the installation does not let in."""
    match settings.sign_in:
        case "open":
            return
        case "allow-list":
            logins = {each.lower() for each in settings.allowed_logins}
            organizations = {each.lower() for each in settings.allowed_organizations}
            belongs = organizations.intersection(each.lower() for each in user.organizations)
            if user.login.lower() in logins or belongs:
                return
    raise Problem(Code.ACCESS_DENIED, "This installation gives no account to this user")


async def new_token(call: Call, account: Held) -> str:
    token = tokens.new_token()
    digest = tokens.digest(token)
    spec = {
        "digest": digest,
        "accountRef": {"name": account.name},
        "displayName": "Sign-in with GitHub",
    }
    namespace = call.services.settings.namespace
    name = ApiToken.name_of(digest)
    await call.writer.create(
        API_TOKEN, namespace, name, spec, Origin(call.origin.request_id, account.id)
    )
    return token


async def me(call: Call) -> Answer:
    return Answer(rendering.me(Account.model_validate_json(call.who.account.raw)))


async def list_tokens(call: Call) -> Answer:
    namespace = call.services.settings.namespace
    held = call.index.under(API_TOKEN, namespace, call.who.account.name)
    return Answer(Tokens(tokens=[shown(each, call) for each in held if not each.deleting]))


def shown(held: Held, call: Call) -> Token:
    model = ApiToken.model_validate_json(held.raw)
    return Token(
        id=held.id,
        name=model.spec.display_name,
        scopes=[scope.value.lower() for scope in model.spec.scopes],
        created_at=model.metadata.creation_timestamp or rendering.EPOCH,
        expires_at=model.spec.expires_at,
        last_used_at=model.status.last_used_at,
        current=held.uid == call.who.token.uid,
    )


async def revoke_current(call: Call) -> Answer:
    return await _revoke(call, call.who.token)


async def revoke(call: Call) -> Answer:
    namespace, key = call.services.settings.namespace, call.values["token"]
    held = call.index.find(API_TOKEN, namespace, key, call.who.account.name)
    if held is None or held.deleting or "_" not in key:
        raise Problem(Code.TOKEN_NOT_FOUND, "Token does not exist")
    return await _revoke(call, held)


async def _revoke(call: Call, held: Held) -> Answer:
    call.ids["token"] = held.id
    await call.writer.delete(held)
    return Answer(Deleted(id=held.id))
