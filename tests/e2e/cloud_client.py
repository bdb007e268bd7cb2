"""A client of the Postbase Cloud API, written from the API page alone: it imports nothing of ours.

Nothing here knows of Kubernetes. Names of endpoints and fields are the page's; an answer that has
them in another way is a failure.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]
CODES = {
    "AUTH_REQUIRED",
    "PROJECT_NOT_FOUND",
    "DATABASE_NOT_FOUND",
    "BACKUP_NOT_FOUND",
    "PITR_NOT_ENABLED",
    "TARGET_TIME_INVALID",
    "RATE_LIMIT_EXCEEDED",
    "INTERNAL_ERROR",
}


class CloudError(Exception):
    """`{"success": false, "error": {"code", "message"}}`."""

    def __init__(self, status: int, code: str, message: str, retry_after: float) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.retry_after = status, code, retry_after


@dataclass
class CloudClient:
    """Raises CloudError. A rate limit is waited for, as Retry-After says, unless `impatient`."""

    base: str
    token: str = ""
    impatient: bool = False

    def ask(self, method: str, path: str, body: JSON | None = None) -> JSON:
        while True:
            try:
                return self._once(method, path, body)
            except CloudError as error:
                if error.code != "RATE_LIMIT_EXCEEDED" or self.impatient:
                    raise
                time.sleep(error.retry_after)

    def _once(self, method: str, path: str, body: JSON | None) -> JSON:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the address of a test
            self.base + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                told: JSON = json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            told = json.loads(refused.read())
            assert told["success"] is False
            after = float(refused.headers.get("Retry-After") or 1)
            error = told["error"]
            raise CloudError(refused.code, error["code"], error["message"], after) from None
        assert told["success"] is True
        found: JSON = told["data"]
        return found

    # -- the page, in its order ------------------------------------------------------------------

    def health(self) -> JSON:
        return self.ask("GET", "/")

    def start_device_flow(self) -> JSON:
        return self.ask("POST", "/auth/device")

    def poll_for_token(self, device_code: str) -> JSON:
        return self.ask("POST", "/auth/device/token", {"device_code": device_code})

    def me(self) -> JSON:
        return self.ask("GET", "/auth/me")

    def projects(self) -> list[JSON]:
        return list(self.ask("GET", "/projects")["projects"])

    def create_project(self, name: str) -> JSON:
        return self.ask("POST", "/projects", {"name": name})

    def project(self, id: str) -> JSON:
        return self.ask("GET", f"/projects/{id}")

    def delete_project(self, id: str) -> JSON:
        return self.ask("DELETE", f"/projects/{id}")

    def databases(self, project: str) -> list[JSON]:
        return list(self.ask("GET", f"/projects/{project}/databases")["databases"])

    def provision(self, project: str, name: str, region: str, config: JSON) -> JSON:
        body = {"name": name, "region": region, "config": config}
        return self.ask("POST", f"/projects/{project}/databases", body)

    def on(self, project: str, name: str) -> CloudDatabase:
        return CloudDatabase(self, f"/projects/{project}/databases/{name}")


@dataclass
class CloudDatabase:
    """What the page has under `/projects/:project_id/databases/:name`."""

    client: CloudClient
    path: str

    def get(self) -> JSON:
        return self.client.ask("GET", self.path)

    def url(self) -> JSON:
        return self.client.ask("GET", f"{self.path}/url")

    def delete(self) -> JSON:
        return self.client.ask("DELETE", self.path)

    def backups(self) -> list[JSON]:
        return list(self.client.ask("GET", f"{self.path}/backups")["backups"])

    def create_backup(self) -> JSON:
        return self.client.ask("POST", f"{self.path}/backups")

    def backup(self, id: str) -> JSON:
        return self.client.ask("GET", f"{self.path}/backups/{id}")

    def download(self, id: str) -> JSON:
        return self.client.ask("GET", f"{self.path}/backups/{id}/download")

    def restore_backup(self, id: str) -> JSON:
        return self.client.ask("POST", f"{self.path}/backups/{id}/restore")

    def delete_backup(self, id: str) -> JSON:
        return self.client.ask("DELETE", f"{self.path}/backups/{id}")

    def pitr_config(self) -> JSON:
        return self.client.ask("GET", f"{self.path}/pitr/config")

    def enable_pitr(self, retention_days: int) -> JSON:
        body = {"retention_days": retention_days}
        return self.client.ask("POST", f"{self.path}/pitr/enable", body)

    def disable_pitr(self) -> JSON:
        return self.client.ask("POST", f"{self.path}/pitr/disable")

    def wal(self) -> JSON:
        return self.client.ask("GET", f"{self.path}/pitr/wal")

    def recovery_window(self) -> JSON:
        return self.client.ask("GET", f"{self.path}/pitr/recovery-window")

    def restore_to(self, target_time: str) -> JSON:
        return self.client.ask("POST", f"{self.path}/pitr/restore", {"target_time": target_time})

    def restores(self) -> list[JSON]:
        return list(self.client.ask("GET", f"{self.path}/pitr/restores")["restores"])

    def restore(self, id: str) -> JSON:
        return self.client.ask("GET", f"{self.path}/pitr/restores/{id}")

    def receiver_status(self) -> JSON:
        return self.client.ask("GET", f"{self.path}/pitr/receiver-status")

    def restart_receiver(self) -> JSON:
        return self.client.ask("POST", f"{self.path}/pitr/restart-receiver")
