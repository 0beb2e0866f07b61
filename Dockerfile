# The one image: every step of the pipeline and the predictor run in it.
#   docker build -t dawnlist-python:0.2.0 .
#   docker build --build-arg EXTRAS=gpu -t dawnlist-python:0.2.0-gpu .     and gpu,spark for both; needs no CUDA base
# Pin the base by digest in your registry's mirror, too: a tag can be moved.
ARG PYTHON=python:3.11.16-slim-trixie

FROM ${PYTHON} AS build
ARG EXTRAS=""
WORKDIR /source
COPY requirements.lock ./
# the lines of uv and its hashes
RUN awk '/^uv==/,!/\\$/' requirements.lock | pip install --no-cache-dir --require-hashes --requirement /dev/stdin \
 && python -m venv --without-pip /opt/dawnlist
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY dawnlist dawnlist
COPY components components
COPY pipelines pipelines
COPY serving serving
RUN uv pip install --python /opt/dawnlist --no-cache --compile-bytecode --constraint requirements.lock ".${EXTRAS:+[$EXTRAS]}"

FROM ${PYTHON}
# OpenMP's runtime, which the wheel of implicit does not bring
RUN apt-get update && apt-get install --no-install-recommends --yes libgomp1 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 dawnlist
COPY --from=build /opt/dawnlist /opt/dawnlist
ENV PATH=/opt/dawnlist/bin:$PATH
# where GKE mounts a GPU node's driver: it has no NVIDIA runtime that would tell the loader, and this is no CUDA image
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64
WORKDIR /home/dawnlist
# a number: runAsNonRoot can't tell from a name
USER 1000
ENTRYPOINT []
CMD ["dawnlist", "serve", "--host", "0.0.0.0", "--redis", "redis://redis:6379/0"]
