"""All kinds of the API group, in the order in which people meet them."""

from __future__ import annotations

from postbase_operator.api.account import Account
from postbase_operator.api.api_token import ApiToken
from postbase_operator.api.backup import Backup
from postbase_operator.api.base import Resource
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.project import Project

KINDS: tuple[type[Resource], ...] = (Project, Database, Backup, PitrRestore, Account, ApiToken)
