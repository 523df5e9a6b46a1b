# One image for the whole program; `docker-compose.yml` shows how to run it.
FROM python:3.13-slim-bookworm

WORKDIR /srv/stemroom
COPY pyproject.toml README.md LICENSE ./
COPY sfu sfu
COPY storage storage
COPY recorder recorder
COPY signaling signaling
COPY stemroom stemroom
COPY web web
RUN pip install --no-cache-dir . \
    && useradd --system --uid 8189 --home-dir /srv/stemroom stemroom \
    && install -d -o stemroom -g stemroom -m 0700 /srv/stemroom/data

USER stemroom
VOLUME /srv/stemroom/data
EXPOSE 8080/tcp 8081/tcp 8189/udp
# Exec form: the program gets SIGTERM itself and ends in order.
ENTRYPOINT ["stemroom"]
CMD ["serve"]
