# The service without the embedded PostgreSQL's data: it needs CBI_DATABASE_URL.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /srv/cbi

# The lock first, so that a change of the code alone downloads nothing again.
COPY .ci/requirements.lock .ci/requirements.lock
RUN pip install --require-hashes -r .ci/requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY cbi cbi
COPY dedup dedup
COPY ledger ledger
COPY migrations migrations
# Editable: the migrations' SQL is read from where it stands.
RUN pip install --no-deps --no-build-isolation --no-index -e . \
    && useradd --system --uid 10001 --no-create-home cbi

USER cbi
ENV CBI_ENV=production \
    CBI_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/ready', timeout=3)"]
ENTRYPOINT ["cbi"]
CMD ["serve"]
