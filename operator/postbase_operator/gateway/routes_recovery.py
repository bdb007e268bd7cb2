"""Rows of the route table: backups, restores and point-in-time recovery."""

from __future__ import annotations

from postbase_operator.gateway import backups, bodies, pitr, restores, shapes
from postbase_operator.gateway.problems import Code
from postbase_operator.gateway.route import Route

DATABASE = "/projects/{project}/databases/{database}"
BACKUP = f"{DATABASE}/backups/{{backup}}"
PITR = f"{DATABASE}/pitr"
MANAGED = (Code.MANAGED_EXTERNALLY, Code.CONFLICT)
RESTORING = (
    Code.OPERATION_IN_PROGRESS,
    Code.DATABASE_NOT_READY,
    Code.PLAN_LIMIT_EXCEEDED,
    Code.CONFLICT,
)
OFF = (Code.PITR_NOT_ENABLED,)

BACKUPS = (
    Route(
        "GET",
        f"{DATABASE}/backups",
        "List backups",
        backups.list_backups,
        (shapes.Backups,),
        query=bodies.BackupList,
    ),
    Route(
        "POST",
        f"{DATABASE}/backups",
        "Create backup",
        backups.create_backup,
        (shapes.Backup,),
        status=201,
        body=bodies.NewBackup,
        idempotent=True,
        problems=RESTORING,
    ),
    Route("GET", BACKUP, "Get backup details", backups.get_backup, (shapes.Backup,)),
    Route(
        "GET",
        f"{BACKUP}/download",
        "Download backup",
        backups.download,
        (shapes.Download,),
        secret=True,
        problems=(Code.BACKUP_NOT_READY,),
    ),
    Route(
        "POST",
        f"{BACKUP}/restore",
        "Restore from backup",
        restores.restore_backup,
        (shapes.RestoreStarted,),
        status=202,
        body=bodies.NewRestore,
        idempotent=True,
        problems=(Code.BACKUP_NOT_READY, *RESTORING),
    ),
    Route(
        "DELETE",
        BACKUP,
        "Delete backup",
        backups.delete_backup,
        (shapes.Deleting,),
        problems=(Code.BACKUP_IN_USE, *MANAGED),
    ),
    Route(
        "GET",
        f"{DATABASE}/restores",
        "List all restores",
        restores.list_restores,
        (shapes.Restores,),
        query=bodies.Paged,
    ),
    Route(
        "GET",
        f"{DATABASE}/restores/{{restore}}",
        "Get a restore's status",
        restores.get_restore,
        (shapes.Restore,),
    ),
)
RECOVERY = (
    Route("GET", f"{PITR}/config", "Get PITR config", pitr.config, (shapes.PitrConfig,)),
    Route(
        "POST",
        f"{PITR}/enable",
        "Enable PITR",
        pitr.enable,
        (shapes.PitrEnabled,),
        status=202,
        body=bodies.EnablePitr,
        problems=(Code.DATABASE_NOT_READY, Code.PLAN_LIMIT_EXCEEDED, *MANAGED),
    ),
    Route(
        "POST",
        f"{PITR}/disable",
        "Disable PITR",
        pitr.disable,
        (shapes.PitrDisabled,),
        status=202,
        problems=(Code.DATABASE_NOT_READY, *MANAGED),
    ),
    Route(
        "GET",
        f"{PITR}/wal",
        "List WAL archives",
        pitr.list_wal,
        (shapes.WalArchives,),
        query=bodies.Paged,
        problems=OFF,
    ),
    Route(
        "GET",
        f"{PITR}/recovery-window",
        "Get recovery window",
        pitr.recovery_window,
        (shapes.FullWindow,),
        problems=OFF,
    ),
    Route(
        "POST",
        f"{PITR}/restore",
        "Initiate PITR restore",
        restores.restore_to,
        (shapes.PitrRestoreStarted,),
        status=202,
        body=bodies.NewPitrRestore,
        body_needed=True,
        idempotent=True,
        problems=(*OFF, Code.TARGET_TIME_INVALID, *RESTORING),
    ),
    Route(
        "GET",
        f"{PITR}/restores",
        "List PITR restores",
        restores.list_pitr_restores,
        (shapes.Restores,),
        query=bodies.Paged,
    ),
    Route(
        "GET",
        f"{PITR}/restores/{{restore}}",
        "Get restore status",
        restores.get_pitr_restore,
        (shapes.Restore,),
    ),
    Route(
        "GET",
        f"{PITR}/receiver-status",
        "Get WAL receiver status",
        pitr.receiver_status,
        (shapes.Receiver,),
        problems=OFF,
    ),
    Route(
        "POST",
        f"{PITR}/restart-receiver",
        "Restart WAL receiver",
        pitr.restart_receiver,
        (shapes.Receiver,),
        status=202,
        problems=OFF,
    ),
)
