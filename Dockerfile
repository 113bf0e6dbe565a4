# syntax=docker/dockerfile:1
# The image of all doors of myoscreen: receiver, worker, web and the one-shot commands.
#
# The base is pinned by tag. Pin its digest too before you run this in a hospital: take the digest that
# your registry shows after you have checked the image, and write PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
# "cpu", "cuda" or "openvino"; see docs/how-to/use-a-gpu.md.
ARG ACCELERATOR=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/build && python -m venv /opt/myoscreen
WORKDIR /src
COPY requirements/ requirements/
COPY deploy/gpu/requirements.txt requirements/gpu.txt
COPY deploy/openvino/requirements.txt requirements/openvino.txt
RUN /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
    && /opt/myoscreen/bin/pip install --require-hashes -r requirements/runtime.txt
# The two builds of ONNX Runtime hold the same Python module, so one must go before the other comes.
RUN if [ "${ACCELERATOR}" = cuda ]; then \
      /opt/myoscreen/bin/pip uninstall --yes onnxruntime \
      && /opt/myoscreen/bin/pip install --require-hashes -r requirements/gpu.txt; \
    elif [ "${ACCELERATOR}" = openvino ]; then \
      /opt/myoscreen/bin/pip install --require-hashes -r requirements/openvino.txt; \
    fi
COPY pyproject.toml README.md CHANGELOG.md LICENSE NOTICE ./
COPY models/ models/
COPY service/ service/
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/myoscreen/bin/pip install --no-deps /wheel/*.whl \
    && /opt/myoscreen/bin/python -m compileall -q /opt/myoscreen/lib

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="myoscreen" \
      org.opencontainers.image.description="Opportunistic measurement of the paraspinal muscles on MRI, as a DICOM service. Research use only." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=builder /opt/myoscreen /opt/myoscreen
# The CUDA libraries come as Python packages in the "cuda" build; in the "cpu" build the list is empty.
RUN groupadd --system --gid 10001 myoscreen \
    && useradd --system --uid 10001 --gid myoscreen --home-dir /var/lib/myoscreen --shell /usr/sbin/nologin myoscreen \
    && install --directory --owner=myoscreen --group=myoscreen --mode=0700 /var/lib/myoscreen \
    && find /opt/myoscreen -type d -path '*/nvidia/*/lib' > /etc/ld.so.conf.d/myoscreen.conf \
    && ldconfig
ENV PATH=/opt/myoscreen/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    MYOSCREEN_HOME=/var/lib/myoscreen \
    MYOSCREEN_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/myoscreen
VOLUME ["/var/lib/myoscreen"]
# DICOM without and with TLS, and dashboard with REST. All listen on loopback until MYOSCREEN_DICOM_BIND and
# MYOSCREEN_HTTP_BIND say otherwise; docker-compose.yml sets them for the containers.
EXPOSE 11112 2762 8080
# Right for the web door and for `serve`; docker-compose.yml gives each other door its own check.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["myoscreen"]
CMD ["serve"]
