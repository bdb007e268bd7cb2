"""What PostgreSQL stands on while it runs on Railway, and what of Railway is not used at all."""

from __future__ import annotations

from railway.tries.without import Try

SERVICES = "tests/unit/railway/test_services.py"
PARAMETERS = "tests/unit/railway/test_parameters.py"
RECEIVER = "tests/unit/railway/test_receiver_service.py"
PLATFORM = "tests/component/test_railway_platform.py"
BAD_DAYS = "tests/component/test_railway_platform_bad_days.py"
ARCHIVING = "tests/component/test_railway_archiving.py"
PRIVATE = "tests/component/test_railway_private.py"

RUNNING: tuple[Try, ...] = (
    Try(
        "mount-path",
        f"{PLATFORM}::test_from_nothing_to_sql_and_then_nothing_is_asked",
        "railway/services.py",
        fix='MOUNT = "/var/lib/postgresql/data"\n',
        instead='MOUNT = "/var/lib/postgresql"\n',
    ),
    Try(
        "lost-and-found",
        f"{SERVICES}::test_what_the_image_insists_on",
        "railway/services.py",
        fix='PGDATA = f"{MOUNT}/pgdata"\n',
        instead="PGDATA = MOUNT\n",
    ),
    Try(
        "replication-not-in-all",
        f"{BAD_DAYS}::test_who_stands_between_gets_neither_the_log_nor_a_base_backup",
        "railway/services.py",
        fix='f"scram-sha-256\\nhostssl replication {RECEIVER} all "\n        "scram-sha-256",\n',
        instead='"scram-sha-256",\n',
    ),
    Try(
        "replication-not-in-all",
        "tests/unit/desired/test_staged.py::test_who_may_come_in_before_and_after",
        "desired/staged.py",
        fix="hostssl replication {ROLE} all scram-sha-256\n",
        instead="",
    ),
    Try(
        "certificate-is-localhosts",
        f"{BAD_DAYS}::test_who_stands_between_with_a_certificate_of_his_own_does_not_get_in",
        "postgres/connect.py",
        fix='        channel_binding="require",\n',
        instead="",
    ),
    Try(
        "certificate-is-localhosts",
        f"{BAD_DAYS}::test_who_stands_between_gets_neither_the_log_nor_a_base_backup",
        "wal/client.py",
        fix='        channel_binding="require",\n',
        instead="",
    ),
    Try(
        "certificate-is-localhosts",
        "tests/component/test_railway_backups.py::test_who_stands_between_gets_no_dump",
        "desired/by_password.py",
        fix='CHANNEL = {"PGSSLMODE": "require", "PGCHANNELBINDING": "require"}\n',
        instead='CHANNEL = {"PGSSLMODE": "require"}\n',
    ),
    Try(
        "certificate-is-localhosts",
        "tests/component/test_railway_loading_faults.py"
        "::test_who_stands_between_gets_neither_in_nor_the_dump",
        "jobs/load_doors.py",
        fix='        "channel_binding": "require",\n',
        instead="",
    ),
    Try(
        "sigterm-goes-nowhere",
        f"{PLATFORM}::test_a_parameter_that_needs_a_restart_gets_one_after_a_checkpoint",
        "railway/platform.py",
        fix="                    await self._servers.checkpoint(ground, db)\n",
        instead="",
    ),
    Try(
        "sigterm-goes-nowhere",
        f"{PLATFORM}::test_paused_and_resumed",
        "railway/lifecycle/building.py",
        fix="                await before_stop()\n",
        instead="",
    ),
    Try(
        "sigterm-goes-nowhere",
        f"{SERVICES}::test_the_service_runs_in_one_place_and_is_not_cut_short",
        "railway/services.py",
        fix="DRAINING_SECONDS = 10\n",
        instead="DRAINING_SECONDS = 60\n",
    ),
    Try(
        "railway-redeploys",
        f"{PLATFORM}::test_a_deployment_of_railways_own_is_no_drift",
        "railway/lifecycle/building.py",
        fix="""\
        since = latest.status_updated_at
        failed =""",
        instead="""\
        if isinstance(latest.meta, dict) and latest.meta.get("reason") != "deploy":
            return True  # nobody here has asked for it
        since = latest.status_updated_at
        failed =""",
    ),
    Try(
        "start-command",
        f"{SERVICES}::test_the_service_runs_in_one_place_and_is_not_cut_short",
        "railway/services.py",
        fix="""\
        "restartPolicyType": "ALWAYS",
""",
        instead="""\
        "restartPolicyType": "ALWAYS",
        "startCommand": "postgres -c max_connections=100",
""",
    ),
    Try(
        "start-command",
        "tests/unit/railway/test_fill_service.py"
        "::test_to_recover_the_image_the_way_in_and_no_command_and_nothing_of_ours",
        "railway/fill_service.py",
        fix='            "startCommand": NULL,\n',
        instead="",
    ),
    Try(
        "no-way-back-in",
        f"{SERVICES}::test_parameters_that_would_be_fatal_are_refused",
        "railway/support.py",
        fix='    "shared_preload_libraries": _START,\n',
        instead="",
    ),
    Try(
        "no-way-back-in",
        f"{SERVICES}::test_connections_that_are_all_reserved_are_refused",
        "railway/support.py",
        fix="    _check_connections(db.spec.parameters)\n",
        instead="",
    ),
    Try(
        "shared-memory",
        f"{SERVICES}::test_what_the_image_insists_on",
        "railway/services.py",
        fix='        "RAILWAY_SHM_SIZE_BYTES": str(shm),\n',
        instead="",
    ),
    Try(
        "open-to-everybody",
        f"{SERVICES}::test_what_railway_cannot_do_is_said",
        "railway/support.py",
        fix="""\
    "spec.allowFrom": (
        lambda spec: spec.allow_from is not None,
        "Railway's proxy has no list of who may connect, and lets everybody try a password: remove "
        "it, or use provider Kubernetes",
    ),
""",
        instead="",
    ),
    Try(
        "open-to-everybody",
        f"{PRIVATE}::test_from_nothing_to_sql_inside_and_no_proxy_was_ever_made",
        "railway/lifecycle/building.py",
        fix="""\
        if is_private(db):
            self._begin_alone(service)
        elif""",
        instead="        if",
    ),
    Try(
        "slot-fills-volume",
        f"{PARAMETERS}::test_the_spec_stands_over_what_is_derived_and_the_operators_own_over_both",
        "railway/parameters.py",
        fix=', "max_slot_wal_keep_size")\n',
        instead=")\n",
    ),
    Try(
        "sealed-is-not-shown",
        f"{RECEIVER}::test_one_commit_says_all_of_it_and_seals_what_opens_something",
        "railway/receiver_service.py",
        fix="{name: value for name, value in wanted.variables.items() if name not in HIDDEN}",
        instead="dict(wanted.variables)",
    ),
    Try(
        "sealed-is-not-shown",
        f"{RECEIVER}::test_whatever_changes_is_seen_though_secrets_are_not_shown",
        "railway/receiver_service.py",
        fix="    return described and same and variables.get(REVISION) == wanted.revision\n",
        instead="    return described and same\n",
    ),
    Try(
        "private-network-only",
        f"{ARCHIVING}::test_what_keeps_it_from_archiving_is_told_in_its_own_words",
        "railway/wal/hearing.py",
        fix="""\
        if not receiver_report.is_well(report):
            said = await self._said(ground, memory, receiver)
            report = receiver_report.explained(report, said, seen, memory.known, receiver.config)
""",
        instead="",
    ),
    Try(
        "private-network-only",
        f"{PRIVATE}::test_from_nothing_to_sql_inside_and_no_proxy_was_ever_made",
        "railway/sql/either_servers.py",
        fix="""\
        if is_private(db):
            return await self._private.ask(ground, db)
        self._private.forget(db)
""",
        instead="        self._private.forget(db)\n",
    ),
    Try(
        "segments-leave-whole",
        f"{PARAMETERS}::test_the_spec_stands_over_what_is_derived_and_the_operators_own_over_both",
        "railway/parameters.py",
        fix="        **{name: derived[name] for name in DERIVED},\n",
        instead="""\
        **{name: derived[name] for name in DERIVED},
        "archive_timeout": "60",
""",
    ),
    Try(
        "backups-are-snapshots",
        "tests/unit/railway/test_operations.py"
        "::test_snapshots_the_stage_and_the_image_of_before_are_asked_for_by_nobody",
        "railway/operations/CreateBackup.graphql",
        fix="",
        instead="""\
mutation CreateBackup($volumeInstanceId: String!, $name: String) {
  volumeInstanceBackupCreate(volumeInstanceId: $volumeInstanceId, name: $name) { workflowId }
}
""",
    ),
    Try(
        "receiver-needs-a-volume",
        f"{ARCHIVING}::test_what_is_written_is_in_the_bucket_byte_for_byte",
        "railway/wal/receiving.py",
        fix="""\
            marker = {services.MARKER: services.marker(db, ground.cluster)}
            await create_service(ground, db, name, marker)
""",
        instead="""\
            told = {
                services.MARKER: services.marker(db, ground.cluster),
                "RAILWAY_RUN_UID": "0",  # a volume is root's
            }
            made = await create_service(ground, db, name, told)
            await changes.create_volume(ground.client, ground.place, made, "/spool", wanted.region)
""",
    ),
)
