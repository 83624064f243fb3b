# docs/image.md says what the arguments are, which folders to mount, and how it runs.
# Releases pin the base: --build-arg BASE=docker.io/library/python:3.11-slim@sha256:...
ARG BASE=docker.io/library/python:3.11-slim

# pip lives in an environment of its own and fills the other, so that what is shipped has none.
FROM ${BASE} AS dependencies
ARG LOCK=image
ARG DEVICES=CPU
WORKDIR /build
COPY requirements/build.lock requirements/${LOCK}.lock requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /tools \
    && python3 -m venv --without-pip /opt/pellucid \
    && /tools/bin/pip install --no-cache-dir --require-hashes -r requirements/build.lock \
    && /tools/bin/pip --python /opt/pellucid/bin/python install \
        --no-cache-dir --no-compile --require-hashes -r "requirements/${LOCK}.lock"
# Headers, test suites and face detectors; plugins without their drivers, unless they are asked for.
RUN rm -r /opt/pellucid/lib/python3*/site-packages/openvino/include \
        /opt/pellucid/lib/python3*/site-packages/openvino/cmake \
        /opt/pellucid/lib/python3*/site-packages/cv2/data/*.xml \
    && find /opt/pellucid/lib -type d -name tests -prune -exec rm -r {} + \
    && if [ "${DEVICES}" = CPU ]; then \
        rm /opt/pellucid/lib/python3*/site-packages/openvino/libs/libopenvino_intel_[gn]pu_plugin.so \
            /opt/pellucid/lib/python3*/site-packages/openvino/libs/cache.json; \
    fi \
    && /opt/pellucid/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/pellucid/lib

FROM dependencies AS application
ARG WITH_ZOO=false
COPY LICENSE README.md pyproject.toml ./
COPY clients clients
COPY service service
COPY models zoo
RUN /tools/bin/pip wheel --no-build-isolation --no-deps --no-index --wheel-dir wheels . \
    && /tools/bin/pip --python /opt/pellucid/bin/python install \
        --no-compile --no-deps --no-index --prefix /application wheels/*.whl \
    && /opt/pellucid/bin/python -m compileall -q --invalidation-mode unchecked-hash \
        -s /application -p /opt/pellucid /application \
    && mkdir /models \
    && if [ "${WITH_ZOO}" = true ]; then cp -r zoo/. /models; fi

FROM ${BASE}
ENV PATH=/opt/pellucid/bin:$PATH
COPY --from=dependencies /opt/pellucid /opt/pellucid
COPY --from=application /application /opt/pellucid
# The import writes the byte code of the standard library's part that is used: slim bases have none.
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/bin/pip* /usr/share/python-wheels \
        /usr/local/lib/python3*/ensurepip /usr/lib/python3*/ensurepip \
    && python -c 'import pellucid.cli, pellucid_server.__main__' \
    && useradd --uid 10001 --user-group --no-log-init --shell /usr/sbin/nologin \
        --home-dir /var/lib/pellucid --create-home pellucid \
    && install --directory --owner 10001 --group 10001 /var/cache/pellucid
COPY --from=application /models /models
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    PELLUCID_HOST=0.0.0.0 \
    PELLUCID_MODEL_REPOSITORY=/models
USER 10001:10001
WORKDIR /var/lib/pellucid
EXPOSE 8001 8002
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["pellucid", "health"]
ENTRYPOINT ["pellucid-server"]
ARG BASE
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Pellucid" \
    org.opencontainers.image.description="Serves OpenVINO models over gRPC, explains what they do, and evaluates them on data sets" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="${BASE}" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
