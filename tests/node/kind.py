"""kind, where a Docker engine answers: the same images and chart in its one node.

The database images are the public ones there: a registry is in reach.
"""

import json
import shutil
from pathlib import Path

from node import builder, chart, fingerprint, golang, oci, outside, paths, programs
from node.commands import run, succeeds
from node.console import step

_NAME = "postbase"
_CONFIGURATION = paths.CHECKOUT / "kind-config.yaml"


def docker_answers() -> bool:
    return shutil.which("docker") is not None and succeeds(["docker", "info"])


def up() -> None:
    programs.provide(install=False, more=("docker",))
    programs.use_only_declared()
    golang.build((*golang.FOR_OTHERS, "kind"))
    if _NAME not in run(["kind", "get", "clusters"]).split():
        with step("kind cluster", usually=60):
            create = ("kind", "create", "cluster", "--name", _NAME, "--config")
            run([*create, _CONFIGURATION], log="kind")
    paths.KUBECONFIG.write_text(run(["kind", "get", "kubeconfig", "--name", _NAME]))
    paths.KUBECONFIG.chmod(0o600)
    built = {"operator": _operator(), "s3": _s3(), "postgres": outside.PUBLIC_POSTGRES}
    paths.IMAGES.write_text(json.dumps(built, indent=1) + "\n")
    chart.install(built, paths.KUBECONFIG, own=True)


def down() -> None:
    programs.provide(install=False, more=("docker",))
    programs.use_only_declared()
    golang.build(("kind",))
    run(["kind", "delete", "cluster", "--name", _NAME], log="kind")


def _operator() -> str:
    inputs = ("operator/Dockerfile", "requirements/runtime.txt", "operator/postbase_operator")
    reference = f"localhost/postbase/operator:{fingerprint.of_files(paths.CHECKOUT, inputs)}"
    dockerfile = paths.CHECKOUT / "operator" / "Dockerfile"
    with step("operator image", usually=60):
        run(["docker", "build", "-t", reference, "-f", dockerfile, paths.CHECKOUT], log="images")
        run(["kind", "load", "docker-image", "--name", _NAME, reference], log="kind")
    return reference


def _s3() -> str:
    program = golang.built("versitygw")
    reference = f"localhost/postbase/s3:{program.parent.name.rpartition('-')[2]}"
    with builder.scratch() as folder:
        archive = Path(folder) / "s3.tar"
        oci.write_program(archive, reference, program, {"User": "10001:10001"})
        run(["kind", "load", "image-archive", "--name", _NAME, archive], log="kind")
    return reference
