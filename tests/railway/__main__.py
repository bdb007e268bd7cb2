"""The double as a process: `python -m railway ADDRESS`, there until its standard input ends.

So it ends with whoever started it, however that ends, and its containers with it. It prints a line
of JSON: `url`; `token` of a project's one environment; `account`, the token of whoever sits before
Railway's pages.
"""

from __future__ import annotations

import json
import sys

from component.railway_caller import Caller
from railway.double import RailwayDouble
from railway.settings import Delays, Settings


def main() -> None:
    settings = Settings(delays=Delays.railway(), public_address=sys.argv[1])
    with RailwayDouble(settings) as railway:
        account = railway.token("account")
        given = {"name": "shop", "workspaceId": railway.workspace_id, "prDeploys": False}
        made = Caller(railway, account)("CreateProject", input=given)
        token = railway.project_token(made["primaryEnvironmentId"])
        print(json.dumps({"url": railway.url, "token": token, "account": account}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
