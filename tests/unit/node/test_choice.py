"""Which cluster is used; and nothing ever on a context that was not named."""

import pytest

from node.cluster import Choice, choose
from node.errors import NodeError

ANSWERS, SILENT = (lambda: True), (lambda: False)


def test_docker_decides_when_nothing_is_said() -> None:
    assert choose({}, ANSWERS) == Choice("kind")
    assert choose({}, SILENT) == Choice("node")


def test_what_is_said_decides() -> None:
    assert choose({"CLUSTER": "node"}, ANSWERS) == Choice("node")
    named = {"CLUSTER": "context", "CONTEXT": "staging", "IMAGES": "registry.test/postbase"}
    assert choose(named, ANSWERS) == Choice("context", "staging", "registry.test/postbase")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CLUSTER": "context"}, "needs CONTEXT"),
        ({"CLUSTER": "context", "CONTEXT": "staging"}, "needs CONTEXT"),
        ({"CLUSTER": "context", "IMAGES": "registry.test/postbase"}, "needs CONTEXT"),
        ({"CONTEXT": "staging"}, "without CLUSTER=context"),
        ({"CLUSTER": "kind", "CONTEXT": "staging"}, "without CLUSTER=context"),
        ({"CLUSTER": "kind"}, "Docker engine"),
        ({"CLUSTER": "minikube"}, "unknown"),
    ],
)
def test_half_said_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(NodeError, match=message):
        choose(environment, SILENT)
