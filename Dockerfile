# The service alone: DATABASE_URL names its PostgreSQL. See docs/how-to/docker.md.

FROM node:24-bookworm-slim AS build
WORKDIR /app
# With the optional packages: esbuild's program is one. The embedded PostgreSQL, which is another, goes again below.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY scripts/bundle.mjs scripts/write-sbom.mjs ./scripts/
RUN npm run build && rm dist/.tsbuildinfo && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:24-bookworm-slim
# NODE_ENV names the profile: 5 to 20 connections. HOST asks for ANNALS_TOKENS; without it the service does not start.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY migrations ./migrations
# Files belong to root, so the service can't change its own program; it writes none at all.
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health/live').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: signals reach Node, which drains on SIGTERM.
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve"]
