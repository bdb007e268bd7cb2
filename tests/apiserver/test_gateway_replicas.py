"""Two replicas are one API: one rate for a caller, what one has written the other shows, and the
loss of one costs no answer of the other."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from apiserver.gateways import Answer, Client, GatewayWorld, Replica, gateway_world
from node import waiting
from postbase_operator.api.account import Plan
from postbase_operator.gateway.limiter import owner
from postbase_operator.gateway.plans import LIMITS

# The first account waits for controllers that look for new kinds every half minute.
pytestmark = pytest.mark.timeout(300)
FREE = LIMITS[Plan.FREE].rate
SERVICE = "postbase-gateway-peers"


def own_address() -> str:
    """Of this machine, and not the loopback: EndpointSlices take no others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but the loopback")
        return str(probe.getsockname()[0])


@dataclass
class Pair:
    world: GatewayWorld
    address: str

    def join(self, replica: Replica) -> None:
        """It is Ready: the Service has it."""
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"peers-{replica.internal_port}",
                "namespace": "postbase-system",
                "labels": {"kubernetes.io/service-name": SERVICE},
            },
            "addressType": "IPv4",
            "ports": [{"name": "peers", "port": replica.internal_port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [self.address], "conditions": {"ready": True}}],
        }
        self.world.api.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def leave(self, replica: Replica) -> None:
        name = f"endpointslice/peers-{replica.internal_port}"
        self.world.api.kubectl("delete", name, "--namespace=postbase-system")

    def owner_of(self, login: str) -> Replica:
        """The replica that keeps the rate of this login's account."""
        name = f"account/login-{login}"
        uid = self.world.api.kubectl("get", name, "-o", "jsonpath={.metadata.uid}")
        members = {f"{self.address}:{each.internal_port}": each for each in self.world.replicas}
        chosen = owner(f"account:{uid}", members)
        assert chosen is not None
        return members[chosen]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("replicas")
    key = folder / "key"
    key.write_text("a key that replicas share")
    with gateway_world(folder) as world:
        found = Pair(world, own_address())
        for _ in range(2):
            found.join(
                world.start(
                    service=SERVICE,
                    pod_ip=found.address,
                    peer_key_file=str(key),
                    trusted_proxies="",
                )
            )
        yield found


def hammer(clients: list[Client], requests: int) -> tuple[Counter[int], float]:
    """All at once, as many each; how often which status, and in which time."""
    found: Counter[int] = Counter()
    lock = threading.Lock()

    def ask(client: Client) -> None:
        for _ in range(requests // len(clients)):
            status = client.get("/auth/me").status
            with lock:
                found[status] += 1

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, time.monotonic() - began


def unanswered(pair: Pair) -> int:
    """How often a replica has not got the owner's answer in time: then its share counts."""
    return sum(
        each.log.read_text().count("a replica does not answer") for each in pair.world.replicas
    )


def connections(pair: Pair, token: str, replicas: list[Replica], each: int = 2) -> list[Client]:
    made = [Client(replica.port, token) for replica in replicas for _ in range(each)]
    for client in made:
        pair.world.callback(client.close)
    return made


def test_one_rate_over_two_replicas_and_four_connections(pair: Pair) -> None:
    """At most limit * t + burst + 1; one bucket in each would let a second burst through."""
    token = pair.world.token("joe", "Free")
    clients = connections(pair, token, pair.world.replicas)
    before = unanswered(pair)
    found, seconds = hammer(clients, 1000)
    assert set(found) == {200, 429}
    most = FREE.per_minute / 60 * seconds + FREE.burst + 1 + unanswered(pair) - before
    assert found[200] <= most
    assert found[200] >= FREE.per_minute / 60 * seconds - 1


def shown(client: Client, path: str) -> Answer:
    """It waits a moment for its watch by itself; that of a busy machine takes longer."""

    def there() -> Answer | None:
        answer = client.get(path)
        return answer if answer.status == 200 else None

    return waiting.until(there, f"{path} is shown", seconds=30)


def test_what_one_has_written_the_other_shows(pair: Pair) -> None:
    token = pair.world.token("jane", "Pro")
    left, right = (pair.world.client(token, number) for number in range(2))
    for number in range(20):
        made = left.post("/projects", {"name": f"fresh-{number}"})
        assert made.status == 201, made.json
        assert shown(right, f"/projects/{made.data['id']}").data == made.data
        assert right.get(f"/projects/fresh-{number}").data == made.data
        assert right.post("/projects", {"name": f"fresh-{number}"}).code == "CONFLICT"


def test_two_that_write_the_same_name_make_one(pair: Pair) -> None:
    token = pair.world.token("jane", "Pro")
    clients = connections(pair, token, pair.world.replicas, each=1)
    for number in range(10):
        statuses: list[int] = []

        def make(client: Client, name: str = f"same-{number}", to: list[int] = statuses) -> None:
            to.append(client.post("/projects", {"name": name}).status)

        threads = [threading.Thread(target=make, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [201, 409]


def test_a_lost_replica_costs_no_answer(pair: Pair) -> None:
    """Last: one of the two does not come back. Its callers get a burst more, once."""
    token = pair.world.token("jim", "Free")
    lost = pair.owner_of("jim")
    (rest,) = [each for each in pair.world.replicas if each is not lost]
    clients = connections(pair, token, [rest], each=2)
    began = time.monotonic()
    first, _ = hammer(clients, 40)
    lost.process.kill()
    lost.process.wait()
    second, _ = hammer(clients, 40)
    pair.leave(lost)
    third, _ = hammer(clients, 200)
    seconds = time.monotonic() - began
    found = first + second + third
    assert set(found) == {200, 429}
    # The share while the owner is silent, and a bucket of the new owner's.
    most = 2 * FREE.per_minute / 60 * seconds + 3 * FREE.burst
    assert found[200] <= most
