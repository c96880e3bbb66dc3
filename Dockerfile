# One image for storage nodes and instances; the command chooses.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN python -m venv /opt/aurora \
 && /opt/aurora/bin/pip install --no-cache-dir "setuptools>=77" "Cython>=3.1" wheel \
 && /opt/aurora/bin/pip install --no-cache-dir --no-build-isolation ".[bcrypt]" \
 && /opt/aurora/bin/python -m compute_node.catalog.bootstrap

FROM python:3.11-slim-bookworm
RUN useradd --system --create-home --home-dir /var/lib/aurora aurora \
 && mkdir -p /data /backup /certs && chown aurora:aurora /data /backup /certs
COPY --from=build /opt/aurora /opt/aurora
ENV PATH=/opt/aurora/bin:$PATH PYTHONUNBUFFERED=1
USER aurora
VOLUME /data
VOLUME /backup
VOLUME /certs
EXPOSE 5432 7000
CMD ["python", "-m", "compute_node", "--help"]
