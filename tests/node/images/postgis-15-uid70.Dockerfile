# A stock image that shares no habit with the official one: uid 70 as Alpine's, no bash, no STOPSIGNAL (so a stop
# is the slow "smart" one), and an entry point that must never be what starts the database.
ARG BASE
FROM ${BASE}
ARG DEBIAN_FRONTEND=noninteractive
RUN groupadd --system --gid 70 postgres \
 && useradd --system --uid 70 --gid postgres --home-dir /var/lib/postgresql --shell /bin/sh postgres \
 && mkdir -p /etc/postgresql-common \
 && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf \
 && apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends postgresql-15 postgresql-15-postgis-3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && install -d -o postgres -g postgres -m 3777 /var/run/postgresql \
 && printf '#!/bin/sh\necho "this entry point is not to be used" >&2\nexit 1\n' > /usr/local/bin/refuse \
 && chmod 0755 /usr/local/bin/refuse \
 && rm -f /usr/bin/bash /usr/bin/rbash
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin LANG=C.UTF-8
ENTRYPOINT ["/usr/local/bin/refuse"]
