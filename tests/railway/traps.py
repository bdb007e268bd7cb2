"""The traps of Railway, each with what is done about it. Which tests hold them is theirs to say, by
`@pytest.mark.trap("name")`; railway/trap_table.py makes the table of docs/railway.md of both."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trap:
    """`section` of the notes, what Railway does, and what the operator does about it."""

    section: str
    railway: str
    operator: str


TRAPS = {
    # -- making one ------------------------------------------------------------------------------
    "image-before-volume": Trap(
        "1",
        "A service that is made with an image deploys at once, before its volume is there, and the "
        "image exits",
        "the service is made without one; image, volume, variables and proxy follow, in this order",
    ),
    "volume-without-environment": Trap(
        "1",
        "A volume that is made without an environment has no instance, and cannot be used",
        "the environment is always said",
    ),
    "volume-seen-late": Trap(
        "1",
        "A volume that was just made is not shown for seconds",
        "it is waited for; a second one is not made",
    ),
    "instance-found-late": Trap(
        "1",
        'For seconds after a service was made, Railway says "ServiceInstance not found"',
        "for a young service that is waited for, and not read as deleted",
    ),
    "proxy-only-by-query": Trap(
        "1",
        "Proxies are in no configuration; their own query shows deleted ones too, and names with a "
        "dot at the end",
        "each look asks for them as well, and takes the one that is ACTIVE",
    ),
    "commit-is-async": Trap(
        "1, 2",
        "A commit says success, and one bad value rejects all of it in the background",
        "each commit is followed to its end; what was rejected is told at the field",
    ),
    "staged-by-others": Trap(
        "1",
        "Committing what is staged commits what other people have staged there",
        "only own patches are committed, never the stage",
    ),
    "patch-makes-nothing": Trap(
        "1",
        "A patch with the id of no service or volume succeeds and makes nothing",
        "services and volumes are made by their own requests, and seen before a patch names them",
    ),
    "deploy-makes-another": Trap(
        "1, 2",
        "Each deploy makes a new deployment and stops the one before, in the middle of initdb too",
        "a deployment of our own comes only where no other does, and once",
    ),
    # -- changing it -----------------------------------------------------------------------------
    "redeploy-hides-image": Trap(
        "1",
        "A redeploy runs the old image, says SUCCESS, and hides the new one",
        "never sent: the instance is updated, then deployed",
    ),
    "variables-need-deployment": Trap(
        "1",
        "Variables reach the container only with a new deployment, and setting them makes one "
        "unless told not to",
        "set without one; settings are made by ALTER SYSTEM and a reload",
    ),
    "volume-never-shrinks": Trap(
        "1", "A volume grows live and never shrinks", "less is refused at `spec.storage.size`"
    ),
    "region-change-copies": Trap(
        "1",
        "Another region copies the volume, with the database stopped",
        "refused at `spec.region`; each update says the region that it has",
    ),
    "replicas-reset": Trap(
        "2",
        "An update of the instance that does not say the number of replicas sets it",
        "each says one, in one region",
    ),
    "success-is-started": Trap(
        "1",
        "SUCCESS only means that a container was started; a process that ended well keeps it",
        "instances are looked at too, and Ready needs an answer by SQL",
    ),
    "crashed-after-ten": Trap(
        "1",
        "By default a container is started ten times, and then stays CRASHED",
        "it is started for ever",
    ),
    # -- deleting it -----------------------------------------------------------------------------
    "volume-outlives-service": Trap(
        "1",
        "Deleting a service leaves its volume, and nothing then tells whose it was",
        "the volume bears the Database's name before its service goes",
    ),
    "deleted-volume-shown": Trap(
        "1",
        "A deleted volume is shown for 48 hours more, and holds its name",
        "it counts as gone; names have a part of the volume's own id",
    ),
    "kept-password": Trap(
        "3",
        "The superuser's password is a variable of the service, and gone with it; the data keep it",
        "its Secret stays as long as a volume does, and names it",
    ),
    "password-of-an-empty-volume": Trap(
        "3",
        "POSTGRES_PASSWORD counts only while the volume is empty",
        "a Secret that is gone is made from the variable; one that was edited does not change it",
    ),
    # -- the API ---------------------------------------------------------------------------------
    "token-headers": Trap(
        "2",
        "Project tokens have a header of their own",
        "`railway.tokenKind` decides",
    ),
    "rate-limits": Trap(
        "2",
        "1,000 requests an hour and 10 a second on the common plan; a token's users share them",
        "one budget for each token; looks take half of it, the rest is for changes",
    ),
    "look-per-database": Trap(
        "2",
        "Looking at each Database by itself would use the budget up with a few",
        "one look at the environment serves all in it",
    ),
    "page-in-place-of-json": Trap(
        "2",
        "Callers that do not say who they are meet Cloudflare's page in place of JSON",
        "each request says `?source=`; a page is read as an answer that does not count",
    ),
    "too-quickly": Trap(
        "2",
        '"creating … too quickly" comes as an error of GraphQL with HTTP 200',
        "waited for half a minute, and only by what creates",
    ),
    "one-error-code": Trap(
        "2",
        "Nearly every error has the code INTERNAL_SERVER_ERROR",
        "the sentence is read; one that is not known is never read as gone",
    ),
    "denied-is-not-gone": Trap(
        "2",
        '"Not Authorized" also stands for what one may not see',
        "never read as deleted",
    ),
    "outcome-unknown": Trap(
        "2",
        "A gateway's timeout, and an error without path and code, do not tell what was done",
        "looked at again before anything is asked for twice",
    ),
    "volume-made-twice": Trap(
        "2",
        "Asking for a volume twice makes two",
        "asked for once; several at one service stop everything until a person decides",
    ),
    "names-are-shared": Trap(
        "2",
        "Names of services are unique in a project, and have 32 letters at most",
        "name and a mark of cluster and UID; a stranger's of this name is refused",
    ),
    "no-labels": Trap(
        "4",
        "There are no labels",
        "whose a service is stands in a variable that it is made with",
    ),
    "schema-moves": Trap(
        "6",
        "The schema has no versions; fields come and go",
        "a field that is not needed is left out once Railway does not know it",
    ),
    "null-is-not-absent": Trap(
        "2",
        "A JSON null unsets a field",
        "absent is absent; what is to be cleared is said so",
    ),
    "gb-is-unclear": Trap(
        "1",
        "Whether a GB of memory is 1000³ or 1024³ bytes is written nowhere",
        "either counts as set",
    ),
    "all-environments": Trap(
        "2",
        "Some requests may act on all environments of a project that are no forks; reports differ",
        "use a project with one environment ([setup](#setup)); `make railway-check` says of a "
        "project whether it has more",
    ),
    "pr-environments": Trap(
        "2",
        "With environments for pull requests on, connecting a service fails though it was made",
        "not sent: the instance is updated in its environment",
    ),
    # -- PostgreSQL there ------------------------------------------------------------------------
    "mount-path": Trap(
        "3",
        "The image exits unless the volume is mounted at /var/lib/postgresql/data",
        "always there",
    ),
    "lost-and-found": Trap(
        "3", "The volume's root is not empty, and initdb wants it so", "PGDATA is a folder in it"
    ),
    "replication-not-in-all": Trap(
        "4",
        "The image's pg_hba line for `all` does not match physical replication",
        "one for the receiver's role is there from the first start",
    ),
    "certificate-is-localhosts": Trap(
        "3",
        "The certificate is the server's own, for localhost: by the proxy's name it fails",
        "the operator binds its login to the channel (SCRAM), so that nobody can stand between",
    ),
    "sigterm-goes-nowhere": Trap(
        "3",
        "A stop does not reach PostgreSQL, which is killed after the drain",
        "CHECKPOINT first, and a drain of 10 seconds ([redeploys](#what-is-down-and-when))",
    ),
    "railway-redeploys": Trap(
        "3",
        "Railway redeploys by itself: another host, a security update",
        "an unknown deployment is the process of now, and no drift",
    ),
    "start-command": Trap(
        "4",
        "A start command takes the place of the image's entrypoint",
        "none is set",
    ),
    "no-way-back-in": Trap(
        "4",
        "There is no file to mend: a setting that keeps PostgreSQL from starting keeps it so",
        "such settings are refused at `spec.parameters`",
    ),
    "shared-memory": Trap(
        "3", "/dev/shm has 64 MB, too little for parallel queries", "a quarter of the memory"
    ),
    "open-to-everybody": Trap(
        "4",
        "The port is open to the internet, and Railway has no list of who may connect",
        "`spec.allowFrom` is refused; TLS and long passwords only; or no proxy at all "
        "([private](#private))",
    ),
    "slot-fills-volume": Trap(
        "4",
        "A slot whose receiver has stopped fills the volume",
        "`max_slot_wal_keep_size` is set",
    ),
    "sealed-is-not-shown": Trap(
        "1",
        "A sealed variable is never shown again, so that nobody can tell whether it is right",
        "the receiver's keys are sealed; a revision of all that it is told stands beside them, in "
        "the same commit",
    ),
    "private-network-only": Trap(
        "4",
        "From outside there is no way to a service without a proxy of its own",
        "the receiver is asked nothing: the server tells how far it is, and its log why it does "
        "not get on; where the server has no proxy either, the log tells all",
    ),
    "segments-leave-whole": Trap(
        "4",
        "A forced switch of segments each minute sends up to 22.6 GB a day, at $0.05 a GB",
        "no `archive_timeout`: the receiver takes what has been written, byte by byte",
    ),
    # -- plans -----------------------------------------------------------------------------------
    "plan-limits": Trap(
        "3, 5",
        "A plan limits the size of a volume, memory and processors, and says so late",
        "known limits are refused at the field before anything is made",
    ),
    "first-size": Trap(
        "3",
        "A new volume has the plan's size, and no other can be asked for",
        "a larger one counts as right; a smaller one is grown",
    ),
    "volumes-of-a-project": Trap(
        "3",
        "A project has 10 volumes on Hobby, 20 on Pro",
        "counted before anything is made",
    ),
    "regions-retire": Trap(
        "3", "Regions are given up", "the replacement is named at `spec.region`"
    ),
    "usage-limit": Trap(
        "5",
        "A workspace's hard limit of usage stops all workloads, databases included",
        "told in Railway's words; it is started again once Railway takes it",
    ),
    # -- not used, or not needed -----------------------------------------------------------------
    "backups-are-snapshots": Trap(
        "1",
        "Railway's own backups lie beside the volume, go when it is wiped, and a restore commits "
        "what others have staged",
        "not used",
    ),
    "receiver-needs-a-volume": Trap(
        "4",
        "A service that receives the log takes a volume of its own, and half of a project's places",
        "ours has none: all that it must remember is in the bucket and in the server's slot",
    ),
}
