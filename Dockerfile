# syntax=docker/dockerfile:1.17.1
# Sluice, for ROLE=api and ROLE=worker. Everything else (PostgreSQL, Redis, an S3 store) comes from outside.
ARG NODE=node:20.20.2-bookworm-slim

# ── build: all packages, the compiled server, the pages, the client ──────────────────────────────────────────────────
FROM ${NODE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY nest-cli.json .swcrc tsconfig.json ./
COPY scripts scripts
COPY web web
COPY client client
COPY src src
RUN npm run build

# ── packages: what runs in production, and of that only what Node reads ──────────────────────────────────────────────
# The optional ones are the embedded PostgreSQL and accelerators that nothing here needs.
FROM ${NODE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund \
  && find node_modules -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' -o -name '*.md' \) -delete

FROM ${NODE}
# util-linux brings prlimit and setpriv, bubblewrap the sandbox, tini the reaping of what a killed ffmpeg leaves.
# What goes again: package managers, which nothing here runs, and Mesa's compiler for pictures on a screen (158 MB), which
# ffmpeg's package brings along and neither ffmpeg nor ffprobe links.
RUN apt-get update \
  && apt-get upgrade -y \
  && apt-get install -y --no-install-recommends bubblewrap ffmpeg tini util-linux \
  && rm -rf /var/lib/apt/lists/* /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn-* /usr/local/bin/yarn* \
    /usr/lib/*-linux-gnu/dri /usr/lib/*-linux-gnu/libLLVM* /usr/lib/*-linux-gnu/libz3.so* \
  && ffmpeg -v error -f lavfi -i testsrc2=duration=1 -c:v libx264 -f null - \
  && install -d -o node -g node -m 711 /data
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/client/dist/browser client/dist/browser
COPY package.json LICENSE ./
COPY migrations migrations

ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
USER node
# Scratch of the worker. It may be lost at any time.
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
CMD ["node", "--enable-source-maps", "dist/main.js"]
