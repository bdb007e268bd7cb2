"""What a plan of Railway's allows, and what it does to those who reach its end."""

from __future__ import annotations

from railway.tries.without import Try

COMPONENT = "tests/component"
CLOCKED = f"{COMPONENT}/test_railway_clocked.py"
SERVICES = "tests/unit/railway/test_services.py"

PLANS: tuple[Try, ...] = (
    Try(
        "plan-limits",
        f"{CLOCKED}::test_what_the_plan_does_not_allow_is_told_before_anything_is_made",
        "railway/lifecycle/volumes.py",
        fix="            await self._check_plan(db, state)\n",
        instead="",
    ),
    Try(
        "plan-limits",
        f"{CLOCKED}::test_a_size_that_railway_rejects_later_is_told_at_the_field",
        "railway/lifecycle/volumes.py",
        fix="""\
        except PlanLimit as error:
            most = f"set {error.megabytes}M or less" if error.megabytes else "set less"
            why = f"Railway refuses {db.spec.storage.size}: {error}: {most}, or take a larger plan"
            raise InvalidSpec("spec.storage.size", why, reason="PlanLimitExceeded") from error
""",
        instead="        except PlanLimit:\n            raise\n",
    ),
    Try(
        "first-size",
        f"{SERVICES}::test_the_size_of_a_volume",
        "railway/plans.py",
        fix="return max(wanted, held_mb or plan.first_mb or 0)",
        instead="return wanted",
    ),
    Try(
        "first-size",
        f"{SERVICES}::test_the_size_of_a_volume",
        "railway/plans.py",
        fix=" and held_mb > (plan.first_mb or 0):",
        instead=":",
    ),
    Try(
        "volumes-of-a-project",
        f"{CLOCKED}::test_a_project_that_is_full_is_told_before_anything_is_made",
        "railway/lifecycle/volumes.py",
        fix="        plans.check_room(plan, volumes_in(state))\n",
        instead="",
    ),
    Try(
        "volumes-of-a-project",
        f"{CLOCKED}::test_a_project_that_others_have_filled_meanwhile_is_told_at_the_field",
        "railway/lifecycle/volumes.py",
        fix="""\
        except PlanLimit as error:
            ground.was_not_done(VOLUME, service_id)
            why = f"{error}: delete volumes of its Railway project, or take a larger plan"
            raise InvalidSpec("spec.projectRef", why, reason="PlanLimitExceeded") from error
""",
        instead="",
    ),
    Try(
        "regions-retire",
        f"{SERVICES}::test_where_it_runs",
        "railway/services.py",
        fix="""\
    if replacement := known[wanted].replacement:
        raise InvalidSpec(
            "spec.region",
            f"Railway gives {wanted!r} up: set {replacement!r} in its place",
            reason="UnknownRegion",
        )
""",
        instead="",
    ),
    Try(
        "usage-limit",
        f"{COMPONENT}/test_railway_platform_bad_days.py::"
        "test_a_usage_limit_that_stops_it_is_told_in_railways_words",
        "railway/lifecycle/building.py",
        fix=' or latest.standing is Standing.STOPPED or latest.status == "REMOVED":',
        instead=":",
    ),
)
