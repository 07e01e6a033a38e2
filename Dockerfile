# An image that runs as nobody in particular, on a read-only root file system:
#
#   docker build -t portcullis .
#   docker run --rm --read-only --cap-drop ALL -p 8080:8080 -e PORTCULLIS_UPSTREAM=http://app:3000 portcullis
#   docker run --rm --read-only -p 8080:8080 -v ./portcullis.yaml:/etc/portcullis/portcullis.yaml:ro portcullis \
#       run -c /etc/portcullis/portcullis.yaml
#
# Portcullis writes to standard output and error only, unless the configuration names a file for the audit log: then
# mount a volume there that user 65532 may write to. The admin listener stays on the container's own loopback
# (the health check asks it there); `--admin 0.0.0.0:9180` lets Prometheus in.

FROM rust:1-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake curl openssl python3 \
    && rm -rf /var/lib/apt/lists/*
# Merges what a training counts: of the LLVM that this rustc has, from rustup or, failing that, from Debian.
RUN rustup component add llvm-tools \
    || (apt-get update \
        && apt-get install -y --no-install-recommends "llvm-$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')") \
    || echo "no llvm-profdata: the binary will be built without a training"
WORKDIR /build
COPY . .
# Builds, runs it under load over loopback, and builds it anew by what was counted.
RUN scripts/dist --or-plain --output /build/portcullis
# The licences of what is linked in ask to be passed on with it.
RUN mkdir /licences \
    && cd "$CARGO_HOME"/registry/src/* \
    && find . -mindepth 2 -type f \
        \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'copyright*' -o -iname 'notice*' \) \
        -exec cp --parents {} /licences/ \;

FROM debian:bookworm-slim
# Authorities, to verify upstreams with.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/portcullis /usr/local/bin/portcullis
COPY --from=build /licences /usr/share/doc/portcullis/licences
COPY LICENSE /usr/share/doc/portcullis/
USER 65532:65532
EXPOSE 8080
# Ready: a sound generation is loaded and served. bash speaks enough HTTP; no client needs to be in the image.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/9180 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 2 _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["portcullis"]
CMD ["run", "--listen", "0.0.0.0:8080"]
