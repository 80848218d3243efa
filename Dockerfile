# One image for all services, a process each: `docker run millstream ingest`, `... worker shop.jobs:app`.
# `--target demo` has an embedded Redis and PostgreSQL too: `docker run millstream-demo demo` needs nothing else.
#
# Your handlers: FROM millstream, then `COPY shop/ shop/` and, as root, `RUN pip install ...`.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# pip is installed nowhere in what is shipped: the one of the base image fills the environment from outside.
RUN python -m venv --without-pip /opt/millstream && python -m venv --without-pip /opt/build
# What changes seldom comes first: these layers are kept while only code changes.
COPY requirements requirements
RUN pip --python /opt/millstream/bin/python install --require-hashes -r requirements/services.txt \
    && pip --python /opt/build/bin/python install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY libs libs
COPY services services
RUN /opt/build/bin/hatchling build --target wheel --directory /tmp/dist \
    && pip --python /opt/millstream/bin/python install --no-index --no-deps /tmp/dist/*.whl

FROM build AS build-demo
RUN pip --python /opt/millstream/bin/python install --require-hashes -r requirements/all.txt

FROM python:${PYTHON}-slim AS bare
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="Millstream" \
      org.opencontainers.image.description="A job scheduler on Redis Streams" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# /app is for handlers that a user brings; /var/lib/millstream is what may be written.
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/millstream --create-home \
        --shell /usr/sbin/nologin millstream \
    && install -d -o millstream -g millstream /app /var/lib/millstream/reports /var/lib/millstream/exports
# What health checks of containers run.
COPY deploy/image/ready /usr/local/bin/millstream-ready
# - Inside a container an address of 127.0.0.1 reaches only itself.
# - PIP_PYTHON: a `pip install` in an image that builds on this one lands beside Millstream.
ENV PATH=/opt/millstream/bin:$PATH \
    PIP_PYTHON=/opt/millstream/bin/python \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MILLSTREAM_HOST=0.0.0.0 \
    MILLSTREAM_CONSOLE_HOST=0.0.0.0 \
    MILLSTREAM_ADMIN_HOST=0.0.0.0 \
    MILLSTREAM_REPORTS_FOLDER=/var/lib/millstream/reports \
    MILLSTREAM_EXPORTS_FOLDER=/var/lib/millstream/exports
WORKDIR /app
USER 10001:10001
EXPOSE 8080 8090
ENTRYPOINT ["millstream"]
CMD ["--help"]

FROM bare AS demo
USER 0:0
# Debian would set up a server that is not used here. libnss-wrapper: PostgreSQL refuses a user id without a name.
RUN mkdir -p /etc/postgresql-common \
    && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf \
    && apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends postgresql libnss-wrapper \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=build-demo /opt/millstream /opt/millstream

FROM bare AS services
COPY --from=build /opt/millstream /opt/millstream
