"""`node status`: one screen of what runs here, whose it is, and where to look next."""

from node import bringup, cgroups, paths, processes, sweep
from node.console import say
from node.daemons import BODY, HEAD
from node.errors import NodeError


def show() -> None:
    if not sweep.needed():
        say("no node is up on this machine")
        return
    say(f"node of {bringup.owner() or 'nobody'}")
    live = processes.running()
    for role in (*HEAD, *BODY):
        say(f"  {role:<24} {f'pid {live[role]}' if role in live else 'not running'}")
    say(f"  {'processes in pods':<24} {len(cgroups.pids())}")
    say(f"  {'volumes':<24} {len(list(bringup.NODE.volumes.glob('*.img')))}")
    say(f"kubeconfig: {paths.KUBECONFIG}   logs: {paths.LOG}")
    try:
        pods = bringup.kubectl("get", "pods", "--all-namespaces", "--output", "wide").rstrip()
        say(pods or "no pods")
    except NodeError as error:
        say(f"the API server does not answer: {error}")
