"""How Railway is asked, and what its answers mean: the traps of its API, and those of its plans."""

from __future__ import annotations

from railway.tries.plans import PLANS
from railway.tries.without import Try

UNIT = "tests/unit/railway"
CLIENT, FAULTS, SERVICES = (f"{UNIT}/test_{name}.py" for name in ("client", "faults", "services"))
COMPONENT = "tests/component"
CLOCKED = f"{COMPONENT}/test_railway_clocked.py"

ASKING: tuple[Try, ...] = (
    Try(
        "token-headers",
        f"{CLIENT}::test_each_kind_of_token_has_its_header",
        "railway/graphql/client.py",
        fix="""\
        if self.kind is TokenKind.PROJECT:
            return {"Project-Access-Token": self.value}
""",
        instead="",
    ),
    Try(
        "rate-limits",
        f"{CLIENT}::test_clients_of_one_token_share_its_budget",
        "railway/graphql/budget.py",
        fix="return self._of.setdefault(fingerprint, made)",
        instead="return made",
    ),
    Try(
        "rate-limits",
        f"{UNIT}/test_budget_shared.py::test_a_change_finds_room_whenever_it_comes",
        "railway/graphql/budget.py",
        fix="return max(alone, min(LONGEST_PACE, alone * self.crowd))",
        instead="return alone",
    ),
    Try(
        "rate-limits",
        f"{UNIT}/test_budget.py::test_never_more_than_so_many_in_a_second",
        "railway/graphql/budget.py",
        fix="at = max(now, self._recent[-1], self._recent[-most] + SECOND / min(1.0, own))",
        instead="at = max(now, self._recent[-1])",
    ),
    Try(
        "look-per-database",
        f"{CLOCKED}::test_a_second_database_costs_no_look_more",
        "railway/graphql/sight.py",
        fix="""\
            if state is None or fresh or self.clock() - self._read_at >= self.client.budget.pace:
                state = await self._read_or(state, urgent=fresh)
""",
        instead="            state = await self._read_or(state, urgent=fresh)\n",
    ),
    Try(
        "page-in-place-of-json",
        f"{CLIENT}::test_each_kind_of_token_has_its_header",
        "railway/graphql/client.py",
        fix="""                params={"source": SOURCE},\n""",
        instead="",
    ),
    Try(
        "page-in-place-of-json",
        f"{FAULTS}::test_answers_that_are_no_graphql",
        "railway/graphql/faults.py",
        fix="if status in (401, 403) and not is_page(raw):",
        instead="if status in (401, 403):",
    ),
    Try(
        "too-quickly",
        f"{CLIENT}::test_making_too_quickly_stops_nothing_else",
        "railway/graphql/client.py",
        fix="if isinstance(error, Throttled) and not isinstance(error, TooQuickly):",
        instead="if isinstance(error, Throttled):",
    ),
    Try(
        "too-quickly",
        f"{FAULTS}::test_too_quickly_waits_half_a_minute",
        "railway/graphql/faults.py",
        fix="""\
    if _QUICKLY.search(sentence):
        return TooQuickly(RAILWAY, why, TOO_QUICKLY_SECONDS)
""",
        instead="",
    ),
    Try(
        "one-error-code",
        f"{FAULTS}::test_each_sentence_means_one_thing",
        "railway/graphql/faults.py",
        fix="known = of_sentence(why, complaint.message, complaint.path)",
        instead="""\
known: PostbaseError | None = None
    if complaint.code == "NOT_FOUND":
        known = NotFound(f"{RAILWAY}: {why}", "", complaint.path)""",
    ),
    Try(
        "one-error-code",
        f"{FAULTS}::test_gone_is_only_what_every_error_of_an_answer_calls_gone",
        "railway/graphql/faults.py",
        fix="return min(kinds, key=lambda error: _GRAVITY.index(type(error)))",
        instead="return kinds[0]",
    ),
    Try(
        "denied-is-not-gone",
        f"{FAULTS}::test_denied_is_never_gone",
        "railway/graphql/faults.py",
        fix="return NotAuthorized(why, path)",
        instead="""return NotFound(f"{RAILWAY}: {why}", "", path)""",
    ),
    Try(
        "outcome-unknown",
        f"{FAULTS}::test_a_change_with_an_error_that_says_nothing_is_unknown",
        "railway/graphql/faults.py",
        fix="""\
    if request.mutation:
        return UnknownOutcome(RAILWAY, f"{request.name}: {why}", wait)
""",
        instead="",
    ),
    Try(
        "outcome-unknown",
        f"{CLOCKED}::test_a_volume_that_nobody_has_heard_of_and_that_shows_late_is_not_made_twice",
        "railway/lifecycle/volumes.py",
        fix="""\
        except UnknownOutcome:
            raise
        except PlanLimit""",
        instead="        except PlanLimit",
    ),
    Try(
        "volume-made-twice",
        f"{CLOCKED}::test_a_volume_that_nobody_has_heard_of_and_that_shows_late_is_not_made_twice",
        "railway/lifecycle/volumes.py",
        fix="""\
            ground.is_met(VOLUME, service_id)
            ground.wait_for(VOLUME, service_id)  # before all that it may make needless
""",
        instead="",
    ),
    Try(
        "volume-made-twice",
        f"{UNIT}/test_observe.py::test_of_two_volumes_none_is_guessed",
        "railway/observe.py",
        fix="    if len(found) > 1:\n        names =",
        instead="    if len(found) > 1:\n        return found[0]\n        names =",
    ),
    Try(
        "names-are-shared",
        f"{SERVICES}::test_databases_of_one_name_have_services_of_their_own",
        "railway/services.py",
        fix="""return f"{db.metadata.name[:room]}-{mark}{suffix}\"""",
        instead="""return f"{db.metadata.name[:LONGEST_NAME - len(suffix)]}{suffix}\"""",
    ),
    Try(
        "names-are-shared",
        f"{SERVICES}::test_names_are_dns_names_that_railway_takes",
        "railway/services.py",
        fix="db.metadata.name[:room]",
        instead="db.metadata.name",
    ),
    Try(
        "names-are-shared",
        f"{COMPONENT}/test_railway_platform.py::test_a_strangers_service_is_neither_taken_nor_deleted",
        "railway/ground.py",
        fix="                self.refuse_stranger(db, variables, each.service_name)\n",
        instead="",
    ),
    Try(
        "no-labels",
        f"{SERVICES}::test_whose_a_service_is",
        "railway/services.py",
        fix="        MARKER: marker(db, cluster),\n",
        instead="",
    ),
    Try(
        "no-labels",
        f"{CLOCKED}::test_a_service_that_does_not_show_yet_is_not_left_behind",
        "railway/lifecycle/volumes.py",
        fix="            service_id = await create_service(ground, db, name, wanted)\n",
        instead="""\
            service_id = await create_service(ground, db, name, {})
            await changes.set_variables(ground.client, ground.place, service_id, wanted)
""",
    ),
    Try(
        "schema-moves",
        f"{CLIENT}::test_a_field_that_railway_does_not_have_is_left_out_and_remembered",
        "railway/graphql/client.py",
        fix="""\
        while True:
            try:
                data = await self._data(asked, inputs, asked.mutation if urgent is None else urgent)
                break
            except InvalidDocument as error:
                # Refused as a whole before anything of it was done: so it can be asked again.
                missing = unknown_fields(error.messages)
                if not missing or not missing <= asked.optional:
                    raise
                self._unknown |= missing
                asked = asked.without(missing)
""",
        instead="""\
        data = await self._data(asked, inputs, asked.mutation if urgent is None else urgent)
""",
    ),
    Try(
        "null-is-not-absent",
        f"{CLIENT}::test_absent_is_absent_and_cleared_is_null",
        "railway/graphql/values.py",
        fix="for key, inner in value.items() if inner is not None}",
        instead="for key, inner in value.items()}",
    ),
    Try(
        "null-is-not-absent",
        f"{UNIT}/test_patches.py::test_a_port_is_closed_by_null_and_nothing_else",
        "railway/graphql/patches.py",
        fix="{PORT: {} if open_ else NULL}",
        instead="{PORT: {} if open_ else None}",
    ),
    Try(
        "gb-is-unclear",
        f"{SERVICES}::test_limits_that_are_set_are_not_set_again_whatever_a_gb_is",
        "railway/services.py",
        fix="either = (wanted.memory_bytes, round(wanted.memory_gb * 1024**3))",
        instead="either = (wanted.memory_bytes,)",
    ),
    Try(
        "all-environments",
        f"{COMPONENT}/test_railway_check.py::test_a_project_with_more_than_one_environment_is_told",
        "../../tests/railway_check/reading.py",
        fix="len(found) == 1, ",
        instead="len(found) > 0, ",
    ),
    Try(
        "pr-environments",
        f"{CLOCKED}::test_with_environments_for_pull_requests_on_it_is_made_all_the_same",
        "railway/graphql/changes.py",
        fix="        await client.ask(operations.UPDATE_SERVICE_INSTANCE, answers.Done, asked)\n",
        instead="""\
        connect = operations.Document.of(
            "mutation ConnectService($id: String!, $input: ServiceConnectInput!)"
            " { serviceConnect(id: $id, input: $input) { id } }"
        )
        source = {"id": service_id, "input": wanted["source"]}
        await client.ask(connect, answers.Result, source)
        asked["input"] = {name: each for name, each in wanted.items() if name != "source"}
        await client.ask(operations.UPDATE_SERVICE_INSTANCE, answers.Done, asked)
""",
    ),
    *PLANS,
)
