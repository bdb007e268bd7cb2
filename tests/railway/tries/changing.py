"""What runs on Railway is changed, and deleted."""

from __future__ import annotations

from railway.tries.without import Try

PLATFORM = "tests/component/test_railway_platform.py"
BAD_DAYS = "tests/component/test_railway_platform_bad_days.py"
CLOCKED = "tests/component/test_railway_clocked.py"
UNIT = "tests/unit/railway"

CHANGED = (
    Try(
        "redeploy-hides-image",
        f"{PLATFORM}::test_a_restart_by_request_takes_the_new_image_with_it",
        "railway/graphql/changes.py",
        fix="""\
    return (await client.ask(operations.DEPLOY, answers.Deployed, asked)).deployment_id
""",
        instead="""\
    document = operations.Document.of(
        "mutation Redeploy($serviceId: String!, $environmentId: String!) {"
        " serviceInstanceRedeploy(serviceId: $serviceId, environmentId: $environmentId) }"
    )
    await client.ask(document, answers.Done, asked)
    return ""
""",
    ),
    Try(
        "variables-need-deployment",
        f"{PLATFORM}::test_from_nothing_to_sql_and_then_nothing_is_asked",
        "railway/graphql/changes.py",
        fix='        "skipDeploys": True,\n',
        instead="",
    ),
    Try(
        "volume-never-shrinks",
        f"{UNIT}/test_services.py::test_the_size_of_a_volume",
        "railway/plans.py",
        fix="""\
    if held_mb is not None and wanted < held_mb and held_mb > (plan.first_mb or 0):
        raise InvalidSpec(
            "spec.storage.size",
            f"{size} is less than the {held_mb} MB of the volume, and none of Railway's can "
            f"shrink: set {held_mb}M, or restore into a new Database with a smaller size",
            reason="VolumeCannotShrink",
        )
""",
        instead="",
    ),
    Try(
        "volume-never-shrinks",
        f"{UNIT}/test_services.py::test_a_volume_never_shrinks",
        "railway/plans.py",
        fix="return max(wanted, held_mb or plan.first_mb or 0)",
        instead="return wanted",
    ),
    Try(
        "region-change-copies",
        f"{UNIT}/test_services.py::test_where_it_runs",
        "railway/services.py",
        fix="""\
        if (db.spec.region or held) != held:
            raise InvalidSpec(
                "spec.region",
                f"it was made in {held!r}, and cannot be moved to {db.spec.region!r}: set {held!r} "
                "again, or restore into a new Database there",
                reason="RegionChanged",
            )
        return held
""",
        instead="        return db.spec.region or held\n",
    ),
    Try(
        "replicas-reset",
        f"{UNIT}/test_services.py::test_the_service_runs_in_one_place_and_is_not_cut_short",
        "railway/services.py",
        fix='{region: {"numReplicas": 1}}',
        instead="{region: {}}",
    ),
    Try(
        "success-is-started",
        f"{UNIT}/test_reads.py::test_success_is_not_all_that_counts",
        "railway/graphql/deployments.py",
        fix="""\
        if standing is not Standing.RUNNING:
            return standing
        states = {instance.status for instance in self.instances}
        if self.deployment_stopped or (states and states <= _ENDED):
            return Standing.STOPPED
        return Standing.FAILED if states == {"CRASHED"} else Standing.RUNNING
""",
        instead="        return standing\n",
    ),
    Try(
        "success-is-started",
        f"{UNIT}/test_observe.py::test_it_runs_once_it_can_be_asked",
        "railway/observe.py",
        fix="state = ProcessState.RUNNING if reachable else ProcessState.STARTING",
        instead="state = ProcessState.RUNNING",
    ),
    Try(
        "crashed-after-ten",
        f"{UNIT}/test_services.py::test_the_service_runs_in_one_place_and_is_not_cut_short",
        "railway/services.py",
        fix='"restartPolicyType": "ALWAYS"',
        instead='"restartPolicyType": "ON_FAILURE"',
    ),
)

DELETED = (
    Try(
        "volume-outlives-service",
        f"{CLOCKED}::test_a_volume_that_does_not_show_yet_is_not_left_behind",
        "railway/lifecycle/taking_away.py",
        fix="""\
    for volume in volumes:
        wanted = (volume_name if whole else part_name)(ground.name(db), volume.volume_id)
        if volume.volume.name != wanted:
            ground.sight.changed()
            await changes.rename_volume(ground.client, volume.volume_id, wanted)
""",
        instead="",
    ),
    Try(
        "deleted-volume-shown",
        f"{UNIT}/test_reads.py::test_a_volume_that_waits_for_its_end_is_gone",
        "railway/graphql/models.py",
        fix="""\
        waits = self.deleted_at is not None or self.is_pending_deletion
        return waits or self.state in ("DELETING", "DELETED")
""",
        instead='        return self.state == "DELETED"\n',
    ),
    Try(
        "deleted-volume-shown",
        f"{CLOCKED}::test_a_volume_that_was_deleted_holds_its_name",
        "railway/observe.py",
        fix='return f"{service_name}-{volume_id[:8]}"',
        instead="return service_name",
    ),
    Try(
        "kept-password",
        f"{PLATFORM}::test_what_deletion_leaves",
        "railway/leaving.py",
        fix="""\
        if kept and not delete:  # by the status, too: Railway may show a volume late
            await self.keyring.keep(db, kept)
        else:
            await self.keyring.let_go(db)
""",
        instead="        await self.keyring.let_go(db)\n",
    ),
    Try(
        "kept-password",
        "tests/unit/kube/test_far_keys.py::test_what_opens_a_kept_volume_stays_and_says_which",
        "kube/secrets.py",
        fix="(await self._create(name, made, owned=False))",
        instead="(await self._create(name, made))",
    ),
    Try(
        "password-of-an-empty-volume",
        "tests/unit/kube/test_far_keys.py::test_the_superusers_password_is_made_once",
        "kube/secrets.py",
        fix="(known or credentials.new_password()).encode()",
        instead="credentials.new_password().encode()",
    ),
    Try(
        "password-of-an-empty-volume",
        f"{BAD_DAYS}::test_one_that_was_edited_is_told_and_the_copy_on_railway_stays",
        "railway/lifecycle/building.py",
        fix="if held.get(name) != value and not (name == services.PASSWORD and held.get(name))",
        instead="if held.get(name) != value",
    ),
)

CHANGING = (*CHANGED, *DELETED)
