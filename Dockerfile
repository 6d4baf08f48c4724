# One image for the broker and every worker: the command says which one runs.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /venv \
 && /venv/bin/python -m pip install --no-cache-dir --require-hashes --no-deps -r constraints.txt
COPY pyproject.toml README.md ./
COPY packages packages
COPY apps apps
COPY mosquitto mosquitto
RUN /venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends mosquitto libespeak-ng1 espeak-ng-data libportaudio2 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /data mynah \
 && for role in memory router llm tts stt satellite guest; do install -d -o mynah -g mynah -m 700 /secrets/$role; done \
 && install -d -o mynah -g mynah -m 700 /data /run/mynah
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH MYNAH_HOME=/data PYTHONUNBUFFERED=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1
USER mynah
ENTRYPOINT ["mynah"]
CMD ["--help"]
