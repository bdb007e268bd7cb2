"""The ground to run and test on: a real Kubernetes, anywhere (docs/node.md).

Standard library only, because it runs by the machine's own python3 before any environment exists:
`PYTHONPATH=tests python3 -m node <command>`.
"""
