"""The documents that are sent, one file each in `operations/`, proven against Railway's schema.

The API has no versions: the live one may lack what the newest schema has. A field that can be done
without stands on a line of its own, marked `# optional <Type>`; where Railway does not know it, the
document is asked again without it (client.py), from then on at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources

_FOLDER = resources.files(__package__)
_HEAD = re.compile(r"^(query|mutation) (\w+)(?:\(([^)]*)\))?", re.MULTILINE)
_OPTIONAL = re.compile(r"^\s*(\w+).*# optional (\w+)$")
_COMMENT = re.compile(r"#.*$", re.MULTILINE)
# GraphQL servers differ in their quotation marks.
_UNKNOWN_FIELD = re.compile(r"""Cannot query field ["'](\w+)["'] on type ["'](\w+)["']""")

Field = tuple[str, str]
"""A type and a field of it: ("Environment", "configEtag")."""


@dataclass(frozen=True, slots=True)
class Document:
    """One operation. `text` is as in its file; `optional` are the fields it can do without."""

    name: str
    text: str
    mutation: bool
    optional: frozenset[Field] = frozenset()

    @classmethod
    def of(cls, text: str) -> Document:
        head = _HEAD.search(text)
        if head is None:
            raise ValueError("a document begins with query or mutation, and its name")
        marks = (_OPTIONAL.match(line) for line in text.splitlines())
        optional = frozenset((mark[2], mark[1]) for mark in marks if mark)
        return cls(head[2], text, head[1] == "mutation", optional)

    def without(self, fields: Iterable[Field]) -> Document:
        """The same without these of its optional fields."""
        gone = frozenset(fields)
        lines = [
            line
            for line in self.text.splitlines()
            if not ((mark := _OPTIONAL.match(line)) and (mark[2], mark[1]) in gone)
        ]
        return replace(self, text="\n".join(lines), optional=self.optional - gone)

    @property
    def body(self) -> str:
        """What is sent: no comments, no more white space than it takes."""
        return " ".join(_COMMENT.sub("", self.text).split())


def unknown_fields(messages: Sequence[str]) -> frozenset[Field] | None:
    """The fields that Railway does not know; None where it complains of anything else, too."""
    found = [_UNKNOWN_FIELD.search(message) for message in messages]
    if not found or not all(found):
        return None
    return frozenset((match[2], match[1]) for match in found if match)


def _load(name: str) -> Document:
    document = Document.of(_FOLDER.joinpath(f"{name}.graphql").read_text())
    if document.name != name:
        raise ValueError(f"{name}.graphql is about {document.name}")
    return document


ACCOUNT_WORKSPACES = _load("AccountWorkspaces")
TOKEN_WORKSPACES = _load("TokenWorkspaces")
PROJECT_TOKEN_SCOPE = _load("ProjectTokenScope")
WORKSPACE_QUOTA = _load("WorkspaceQuota")
REGIONS = _load("Regions")
FIND_PROJECTS = _load("FindProjects")
CREATE_PROJECT = _load("CreateProject")
READ_PROJECT = _load("ReadProject")
LIST_ENVIRONMENTS = _load("ListEnvironments")
CREATE_ENVIRONMENT = _load("CreateEnvironment")
LIST_SERVICES = _load("ListServices")
ENVIRONMENT_STATE = _load("EnvironmentState")
READ_TCP_PROXIES = _load("ReadTcpProxies")
DELETE_TCP_PROXY = _load("DeleteTcpProxy")
CREATE_SERVICE = _load("CreateService")
UPDATE_SERVICE_INSTANCE = _load("UpdateServiceInstance")
DELETE_SERVICE = _load("DeleteService")
READ_VARIABLES = _load("ReadVariables")
SET_VARIABLES = _load("SetVariables")
READ_LIMITS = _load("ReadLimits")
SET_LIMITS = _load("SetLimits")
CREATE_VOLUME = _load("CreateVolume")
RENAME_VOLUME = _load("RenameVolume")
DELETE_VOLUME = _load("DeleteVolume")
COMMIT_PATCH = _load("CommitPatch")
RECENT_PATCHES = _load("RecentPatches")
WORKFLOW_STATE = _load("WorkflowState")
DEPLOY = _load("Deploy")
DEPLOYMENT_STATE = _load("DeploymentState")
DEPLOYMENT_STEPS = _load("DeploymentSteps")
RESTART_DEPLOYMENT = _load("RestartDeployment")
STOP_DEPLOYMENT = _load("StopDeployment")
REMOVE_DEPLOYMENT = _load("RemoveDeployment")
DEPLOYMENT_LOGS = _load("DeploymentLogs")
SERVICE_METRICS = _load("ServiceMetrics")


def environment_state(services: int) -> Document:
    """ENVIRONMENT_STATE, with the proxies of so many services as root fields proxy0, proxy1, …

    The ids of the services are the variables service0, service1, … of the request.
    """
    selection = READ_TCP_PROXIES.text[READ_TCP_PROXIES.text.index(") {\n  tcpProxies") :]
    fields = selection[selection.index("{\n    id") : selection.rindex("}")]
    variables = "".join(f", $service{n}: String!" for n in range(services))
    asked = "".join(
        f"  proxy{n}: tcpProxies(serviceId: $service{n}, environmentId: $environmentId) {fields}"
        for n in range(services)
    )
    text = ENVIRONMENT_STATE.text.replace(
        "$volumesAfter: String)", f"$volumesAfter: String{variables})"
    )
    return replace(ENVIRONMENT_STATE, text=text.rstrip().removesuffix("}") + asked + "}\n")
