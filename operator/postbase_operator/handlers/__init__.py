"""The operator process: kopf as informer, our own keyed queue, one reconcile coroutine."""
