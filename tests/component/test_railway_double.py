"""The double of Railway: its schema, its documents, and the traps that calls alone show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLObjectType, TypeInfo, TypeInfoVisitor, parse, validate, visit
from graphql.language import FieldNode, Visitor

from component.railway_caller import Caller, Failed, Place
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.fields import FIELDS
from railway.postgres_ssl import NAME
from railway.schema import documents, schema
from railway.settings import GRACE, Delays, Settings


@pytest.fixture
def railway() -> Iterator[RailwayDouble]:
    """Nothing runs, and time stands still."""
    with RailwayDouble(clock=VirtualClock(), processes=False) as double:
        yield double


@pytest.fixture
def call(railway: RailwayDouble) -> Caller:
    return Caller(railway, railway.token())


@pytest.fixture
def place(call: Caller) -> Place:
    return Place(call).made()


def test_all_documents_are_valid() -> None:
    assert len(documents()) == 61
    for name, document in documents().items():
        assert not validate(schema(), parse(document)), name


def test_the_double_has_the_fields_of_the_documents_and_no_other() -> None:
    asked: set[tuple[str, str]] = set()
    info = TypeInfo(schema())

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            parent = info.get_parent_type()
            assert isinstance(parent, GraphQLObjectType)
            if not parent.name.endswith(("Connection", "Edge")):
                asked.add((parent.name, node.name.value))

    for document in documents().values():
        visit(parse(document), TypeInfoVisitor(info, Fields()))
    assert {(name, field) for name, fields in FIELDS.items() for field in fields} == asked


def test_what_the_schema_refuses_is_refused(call: Caller) -> None:
    answer = call.send("query { project(id: 1.5) { nmae } }")
    assert answer.status == 400
    codes = {each["extensions"]["code"] for each in answer.body["errors"]}
    assert codes == {"GRAPHQL_VALIDATION_FAILED"}
    answer = call.send(documents()["CreateProject"], {"input": {"title": "x"}})
    assert answer.status == 400
    assert "unknown field 'title'" in answer.body["errors"][0]["message"]


def test_what_the_double_has_not_is_named(call: Caller) -> None:
    answer = call.send("query { regions { name workspaceId } me { id } }")
    messages = {each["message"] for each in answer.body["errors"]}
    assert "NotImplemented in the double: Query.me" in messages
    assert "NotImplemented in the double: Region.workspaceId" in messages


def test_errors_have_the_shape_that_was_seen_live(call: Caller) -> None:
    answer = call.send(documents()["ReadProject"], {"id": "no-such-project"})
    assert answer.status == 200
    assert answer.body["data"] is None
    (error,) = answer.body["errors"]
    assert error["message"] == "Project not found"
    assert error["path"] == ["project"]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR"}
    assert error["traceId"]


def test_every_document_is_answered(railway: RailwayDouble, call: Caller) -> None:
    """Those that the traps below need, and all others here; one has nothing to answer with."""
    place = Place(call).deployed()
    where, environment, project = place.where, place.environment, place.project
    volume = place.instances()[0]["id"]
    latest = place.latest()["id"]
    one = {"environmentId": environment}
    network = call("PrivateNetworks", **one)[0]["publicId"]
    assert call("TokenWorkspaces") == {"workspaces": [{"id": railway.workspace_id, "name": "acme"}]}
    asked = [
        ("WorkspaceQuota", {"workspaceId": railway.workspace_id}),
        ("Regions", {"projectId": project}),
        ("FindProjects", {"workspaceId": railway.workspace_id, "first": 10}),
        ("ReadProject", {"id": project}),
        ("ListEnvironments", {"projectId": project}),
        ("CreateEnvironment", {"input": {"name": "x", "projectId": project}}),
        ("ListServices", {"projectId": project}),
        ("EnvironmentConfig", one),
        ("SetVariables", {"input": place.here | {"variables": {"A": "${{B}}"}, **where}}),
        ("ReadVariables", where | {"projectId": project}),
        ("ReadRenderedVariables", where | {"projectId": project}),
        ("DeleteVariable", {"input": where | {"projectId": project, "name": "A"}}),
        ("SetLimits", {"input": where | {"memoryGB": 1.0, "vCPUs": 0.5}}),
        ("ReadLimits", where),
        ("PrivateEndpoint", where | {"privateNetworkId": network}),
        ("StagePatch", one | {"patch": {"sharedVariables": {"S": {"value": "1"}}}}),
        ("ReadStagedPatch", one),
        ("CommitStaged", one | {"skipDeploys": True}),
        ("RecentPatches", one),
        ("WorkflowState", {"workflowId": "none"}),
        ("RenameVolume", {"volumeId": place.volume, "input": {"name": "main"}}),
        ("ReadVolumeInstance", {"id": volume}),
        ("DeploymentSteps", {"id": latest}),
        ("DeploymentLogs", {"deploymentId": latest}),
        ("EnvironmentLogs", one),
        ("ServiceMetrics", where | {"startDate": "2026-01-01T00:00:00Z"}
         | {"measurements": ["DISK_USAGE_GB"]}),
        ("CreateBackup", {"volumeInstanceId": volume, "name": "b"}),
        ("SetBackupSchedule", {"volumeInstanceId": volume, "kinds": ["DAILY"]}),
        ("ReadBackupSchedule", {"volumeInstanceId": volume}),
        ("CreateBucket", {"input": {"projectId": project, "name": "wal"}}),
    ]  # fmt: skip
    answers = {name: call(name, **variables) for name, variables in asked}
    railway.advance(60)
    backup = call("ListBackups", volumeInstanceId=volume)[0]["id"]
    bucket = answers["CreateBucket"]["id"]
    credentials = one | {"projectId": project, "bucketId": bucket}
    assert call("BucketCredentials", **credentials) == []
    place.commit({"buckets": {bucket: {"region": "iad", "isCreated": True}}})
    railway.advance(60)
    assert call("BucketCredentials", **credentials)[0]["bucketName"].startswith("wal-")
    for name in ("LockBackup", "RestoreBackup", "DeleteBackup"):
        assert call(name, volumeInstanceId=volume, backupId=backup)
    with pytest.raises(Failed, match="not enabled"):
        call("RestoreToPointInTime", volumeInstanceId=volume, target="2026-01-01T00:00:00Z")
    for name in ("RestartDeployment", "StopDeployment", "RemoveDeployment", "RedeployDeployment"):
        assert call(name, id=place.latest()["id"])
        railway.advance(60)
    place.deploy()
    assert call("RedeploySameImage", **where)
    assert call("AttachVolume", volumeId=place.volume, **one, input={"serviceId": place.service})
    assert call("DeleteTcpProxy", id=place.proxy()["id"])
    assert call("CreateTcpProxyFallback", input=where | {"applicationPort": 5432})
    assert call("ConnectService", id=place.service, input={"image": place.image})
    assert call("DeleteService", id=place.service)
    assert call("DeleteVolume", volumeId=place.volume)
    assert call("ScheduleProjectDelete", id=project)
    inside = Place(call)
    own = Caller(railway, railway.project_token(inside.environment), "Project-Access-Token")
    assert own("ProjectTokenScope") == inside.here
    assert {each.name for each in railway.calls} == set(documents())


def test_an_image_at_create_starts_before_its_volume_and_crashes(call: Caller) -> None:
    place = Place(call)
    place.service = place.make_service(source={"image": f"{NAME}:17"})
    place.wait(lambda: place.latest()["status"] == "CRASHED", "CRASHED")
    assert "Railway volume not mounted" in place.log()
    assert place.log().count("container ended with 1") == 11


def test_a_name_is_taken_once_and_has_32_characters(place: Place) -> None:
    with pytest.raises(Failed, match=r'^A service named "shop-main" already exists in this proj'):
        place.make_service()
    with pytest.raises(Failed, match="32 characters"):
        place.make_service("x" * 33)


def test_a_volume_without_an_environment_has_no_instance(railway: RailwayDouble) -> None:
    place = Place(Caller(railway, railway.token()))
    given = {"projectId": place.project, "mountPath": "/data"}
    place.call("CreateVolume", input=given)
    assert place.instances() == []
    assert railway.left_behind()[0].endswith("without an instance")


def test_volumes_are_made_twice_and_named_once(place: Place) -> None:
    other = place.make_volume(serviceId=None)
    assert len(place.instances()) == 2
    names = [each["volume"]["name"] for each in place.instances()]
    with pytest.raises(Failed, match="Volume name already exists"):
        place.call("RenameVolume", volumeId=other, input={"name": names[0]})
    with pytest.raises(Failed, match="already has a volume"):
        place.make_volume()


def test_a_redeploy_hides_a_new_image_and_a_deploy_does_not(railway: RailwayDouble) -> None:
    place = Place(Caller(railway, railway.token())).deployed()
    old = place.latest()["id"]
    place.image = f"{NAME}:17.6"
    place.configure()
    railway.advance(60)
    assert place.latest()["id"] == old
    place.call("RedeploySameImage", **place.where)
    railway.advance(60)
    assert (place.latest()["status"], place.latest()["meta"]["image"]) == ("SUCCESS", f"{NAME}:17")
    place.deploy()
    assert place.latest()["meta"]["image"] == f"{NAME}:17.6"


def test_a_deleted_volume_is_gone_after_two_days(railway: RailwayDouble, place: Place) -> None:
    place.call("DeleteService", id=place.service, environmentId=place.environment)
    (volume,) = place.instances()
    assert (volume["serviceId"], volume["isPendingDeletion"]) == (None, False)
    place.call("DeleteVolume", volumeId=place.volume)
    (volume,) = place.instances()
    assert volume["isPendingDeletion"]
    assert volume["deletedAt"]
    assert railway.left_behind() == []
    railway.advance(GRACE)
    assert place.instances() == []


def test_without_the_service_a_volume_is_disconnected(place: Place) -> None:
    one = {"volumeId": place.volume, "environmentId": place.environment}
    place.call("AttachVolume", **one, input={"mountPath": "/elsewhere"})
    assert place.instances()[0]["serviceId"] is None


def test_null_clears_and_absence_keeps(place: Place) -> None:
    def command() -> object:
        return place.instances("serviceInstances")[0]["startCommand"]

    place.configure(startCommand="wrapper.sh postgres")
    place.configure()
    assert command() == "wrapper.sh postgres"
    place.configure(startCommand=None)
    assert command() is None


def test_for_seconds_an_instance_is_not_found_and_a_volume_not_seen() -> None:
    settings = Settings(delays=Delays.railway())
    with RailwayDouble(settings, VirtualClock(), processes=False) as railway:
        place = Place(Caller(railway, railway.token()))
        place.service = place.make_service()
        with pytest.raises(Failed, match="ServiceInstance not found"):
            place.configure()
        railway.advance(8)
        place.configure()
        place.make_volume()
        assert place.instances() == []
        railway.advance(3)
        assert len(place.instances()) == 1
