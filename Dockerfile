# The coordinator, without an etcd: for `coordination serve` beside one that runs elsewhere.
#
# Packages are taken with their hashes from deploy/image/*.lock, from wherever pip is configured to find them. The two
# stages are of one image, so that the environment made in the first runs in the second.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY deploy/image/build.lock deploy/image/server.lock deploy/image/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r deploy/image/build.lock \
    && python -m venv /opt/coordination \
    && /opt/coordination/bin/pip install --require-hashes -r deploy/image/server.lock
COPY pyproject.toml README.md LICENSE ./
COPY coordinator coordinator
COPY scripts/coordination scripts/coordination
# pip writes the .pyc files, which a container that cannot write would go without: 70 ms for each command.
RUN /opt/build/bin/python -m hatchling build -t wheel \
    && /opt/coordination/bin/pip install --no-deps dist/*.whl \
    && /opt/coordination/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 coordination \
    && useradd --system --uid 10001 --gid coordination --home-dir /nonexistent --shell /usr/sbin/nologin coordination
COPY --from=build /opt/coordination /opt/coordination
ENV PATH=/opt/coordination/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# By number, so that what forbids root can tell that it is none.
USER 10001:10001
EXPOSE 7420 7421
# Healthy is who gets an answer from etcd, too. Where calls are protected it needs COORDINATION_CA and
# COORDINATION_TOKEN_FILE, as every client does.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["coordination", "status"]
ENTRYPOINT ["coordination"]
CMD ["--help"]
