# The one image: every step of the pipeline and the predictor run in it.
#   docker build --build-arg EXTRAS=gpu -t dawnlist-python:0.1.0-gpu .
FROM python:3.11-slim-bookworm
ARG EXTRAS=""
RUN apt-get update && apt-get install --no-install-recommends -y libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 dawnlist
WORKDIR /app
COPY setup.cfg pyproject.toml requirements.lock README.md LICENSE ./
COPY components components
COPY pipelines pipelines
COPY serving serving
RUN pip install --no-cache-dir "$(grep '^uv==' requirements.lock)" \
 && uv pip install --system --no-cache --compile-bytecode --constraint requirements.lock ".${EXTRAS:+[$EXTRAS]}" \
 && pip uninstall --yes uv
USER dawnlist
ENTRYPOINT []
CMD ["dawnlist", "serve", "--host", "0.0.0.0", "--redis", "redis://redis:6379/0"]
