"""A Database's parts on Railway are made; what comes after is in changing.py."""

from __future__ import annotations

from railway.tries.changing import CHANGING
from railway.tries.without import Try

PLATFORM = "tests/component/test_railway_platform.py"
KILLED = "tests/component/test_railway_platform_killed.py"
CLOCKED = "tests/component/test_railway_clocked.py"
UNIT = "tests/unit/railway"

MADE = (
    Try(
        "image-before-volume",
        f"{PLATFORM}::test_from_nothing_to_sql_and_then_nothing_is_asked",
        "railway/graphql/changes.py",
        fix="""\
        "name": name,
        "variables": dict(variables),
""",
        instead="""\
        "name": name,
        "source": {"image": "ghcr.io/railwayapp-templates/postgres-ssl:17"},
        "variables": dict(variables),
""",
    ),
    Try(
        "volume-without-environment",
        f"{PLATFORM}::test_from_nothing_to_sql_and_then_nothing_is_asked",
        "railway/graphql/changes.py",
        fix="""\
        "environmentId": place.environment_id,
        "serviceId": service_id,
        "mountPath": mount,
""",
        instead="""\
        "serviceId": service_id,
        "mountPath": mount,
""",
    ),
    Try(
        "volume-seen-late",
        f"{KILLED}::test_a_bad_day",
        "railway/lifecycle/volumes.py",
        fix="""\
            ground.is_met(VOLUME, service_id)
            ground.wait_for(VOLUME, service_id)  # before all that it may make needless
""",
        instead="",
    ),
    Try(
        "volume-seen-late",
        f"{CLOCKED}::test_a_volume_that_does_not_show_yet_is_not_left_behind",
        "railway/lifecycle/taking_away.py",
        fix="""\
    if not volumes:
        ground.is_met(VOLUME, service.service_id)
        ground.wait_for(VOLUME, service.service_id)
""",
        instead="",
    ),
    Try(
        "instance-found-late",
        f"{UNIT}/test_reads.py::test_a_young_service_is_not_gone",
        "railway/graphql/changes.py",
        fix="""\
    try:
        await client.ask(operations.UPDATE_SERVICE_INSTANCE, answers.Done, asked)
    except NotFound as error:
        if not young or error.what.lower() != "serviceinstance":
            raise
        raise NotReady(str(error), YOUNG_SECONDS) from error
""",
        instead="""\
    await client.ask(operations.UPDATE_SERVICE_INSTANCE, answers.Done, asked)
""",
    ),
    Try(
        "instance-found-late",
        f"{CLOCKED}::test_a_service_that_does_not_show_yet_is_not_left_behind",
        "railway/leaving.py",
        fix="        taking_away.wait_for_service(ground, db)\n",
        instead="",
    ),
    Try(
        "proxy-only-by-query",
        f"{UNIT}/test_operations.py::test_proxies_join_the_environment",
        "railway/operations/__init__.py",
        fix="""\
    return replace(ENVIRONMENT_STATE, text=text.rstrip().removesuffix("}") + asked + "}\\n")
""",
        instead="    return ENVIRONMENT_STATE\n",
    ),
    Try(
        "proxy-only-by-query",
        f"{UNIT}/test_reads.py::test_one_request_shows_all_databases_of_an_environment",
        "railway/graphql/models.py",
        fix="(each for each in self.proxies.get(service_id, ()) if not each.gone)",
        instead="iter(self.proxies.get(service_id, ()))",
    ),
    Try(
        "proxy-only-by-query",
        f"{UNIT}/test_reads.py::test_one_request_shows_all_databases_of_an_environment",
        "railway/graphql/models.py",
        fix='return domain.rstrip(".")',
        instead="return domain",
    ),
    Try(
        "commit-is-async",
        f"{KILLED}::test_a_bad_day",
        "railway/graphql/commits.py",
        fix="""\
        found = await reads.recent_patches(self.sight.client, self.sight.place.environment_id)
        now, ours = self.sight.clock(), any(each.message == message for each in found)
        waited = now - self._since[message] if message in self._since else None
        self.sight.changed()
        if ours:
            verdict = patches.verdict(found, message)
            if isinstance(verdict, NotReady):
                raise verdict
            self._since.setdefault(message, now)
            if verdict is not None and (waited is None or waited < REJECTED_AGAIN):
                raise verdict
            if verdict is None and (waited is None or waited < self.settles):
                raise NotReady(f"what the commit {message!r} has made is not seen yet", LOOK_AGAIN)
        elif waited is not None and waited < self.settles:
            raise NotReady(f"the commit {message!r} is not listed yet", LOOK_AGAIN)
""",
        instead="""\
        now = self.sight.clock()
        self.sight.changed()
""",
    ),
    Try(
        "commit-is-async",
        f"{UNIT}/test_patches.py::test_what_became_of_a_commit",
        "railway/graphql/patches.py",
        fix='patch.status == "COMMITTED" and not patch.last_applied_error for patch in ours',
        instead='patch.status == "COMMITTED" for patch in ours',
    ),
    Try(
        "staged-by-others",
        f"{PLATFORM}::test_what_others_have_staged_stays_staged",
        "railway/operations/CommitPatch.graphql",
        fix="""\
  environmentPatchCommit(environmentId: $environmentId, patch: $patch, commitMessage: $message)
""",
        instead="""\
  environmentStageChanges(environmentId: $environmentId, input: $patch, merge: true) { id }
  environmentPatchCommit: environmentPatchCommitStaged(
    environmentId: $environmentId, commitMessage: $message
  )
""",
    ),
    Try(
        "patch-makes-nothing",
        f"{CLOCKED}::test_a_commit_names_only_what_has_been_seen",
        "railway/lifecycle/volumes.py",
        fix="""\
        await changes.update_instance(client, place, service_id, instance, young=True)
""",
        instead="""\
        patch = {"services": {service_id: {"source": instance.pop("source"), "deploy": instance}}}
        await changes.commit(client, place, patch, f"postbase: {name} is made")
""",
    ),
    Try(
        "deploy-makes-another",
        f"{PLATFORM}::test_from_nothing_to_sql_and_then_nothing_is_asked",
        "railway/lifecycle/building.py",
        fix="""\
        elif state.proxy_of(service.service_id) is None:
            await self._open(db, service)
        if self.lacks_deployment(service):
            await self.deploy(service)
""",
        instead="""\
        if self.lacks_deployment(service):
            await self.deploy(service)
        if not is_private(db) and state.proxy_of(service.service_id) is None:
            await self._open(db, service)
""",
    ),
)

MAKING = (*MADE, *CHANGING)
