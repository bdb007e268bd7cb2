"""A running cluster, named by its context: images go to the repository that was named.

The kubeconfig is cut to that one context first, so that no later command can reach another.
"""

import json

from node import builder, chart, golang, images, paths, programs
from node.commands import run
from node.console import step

PUBLIC_POSTGRES = {
    "15": "docker.io/library/postgres:15",
    "17": "docker.io/library/postgres:17",
    "postgis-15": "docker.io/postgis/postgis:15-3.5-alpine",
}


def up(context: str, repository: str) -> None:
    programs.provide()
    programs.use_only_declared()
    golang.build(golang.FOR_OTHERS)
    view = ["kubectl", "config", "view", "--raw", "--minify", "--flatten"]
    only = run([*view, f"--context={context}"])
    paths.KUBECONFIG.touch(mode=0o600)
    paths.KUBECONFIG.write_text(only)
    built = images.ensure()
    pushed = {
        "operator": _push(built, built.operator, repository),
        "s3": _push(built, built.s3, repository),
        "postgres": PUBLIC_POSTGRES,
    }
    paths.IMAGES.write_text(json.dumps(pushed, indent=1) + "\n")
    chart.install(pushed, paths.KUBECONFIG, own=False)


def down() -> None:
    """Only the release: the cluster is not ours."""
    programs.use_only_declared()
    if paths.KUBECONFIG.exists():
        chart.uninstall(paths.KUBECONFIG)


def _push(built: images.Built, reference: str, repository: str) -> str:
    target = f"{repository}/{reference.rpartition('/')[2]}"
    with step(f"pushing {target}", usually=20):
        builder.push(f"oci-archive:{built.archives[reference]}", target)
    return target
