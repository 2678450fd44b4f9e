# hpo in a container, not as root. Build: docker build -t hpo .
#
# BASE         a Debian image with Python 3.11 to 3.14 (`python3`, with venv).
# TORCH_INDEX  a package index that offers the build of torch that is wanted, for a CPU or for one version of CUDA; the
#              address is on PyTorch's page "Start locally". Left empty, pip takes the build that its own index offers:
#              on x86 the one for CUDA, which computes on a CPU too and is several GB larger.
# EXTRAS       hpo's extras: the database drivers.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ARG TORCH_INDEX=""
ARG EXTRAS="postgres"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/hpo
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
# The packages before the code, so that a change of the code leaves their layer as it is.
RUN mkdir hpo studies && printf '"""hpo."""\n\n__version__ = "0"\n' > hpo/__init__.py \
    && /opt/hpo/bin/pip install --quiet --progress-bar off ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
       -c requirements.lock ".[${EXTRAS}]" \
    && rm -r hpo studies
COPY hpo hpo
COPY studies studies
RUN /opt/hpo/bin/pip install --quiet --no-deps --force-reinstall .

FROM ${BASE}
RUN useradd --uid 10001 --create-home --home-dir /var/lib/hpo hpo \
    && install -d -o hpo -g hpo -m 0755 /data /run/hpo
COPY --from=build /opt/hpo /opt/hpo
COPY docker/entry.py /opt/hpo/entry.py
ENV PATH=/opt/hpo/bin:$PATH HPO_DATA_DIR=/data HPO_USER=hpo PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER hpo
WORKDIR /var/lib/hpo
ENTRYPOINT ["/opt/hpo/bin/python", "/opt/hpo/entry.py"]
CMD ["hpo", "--help"]
