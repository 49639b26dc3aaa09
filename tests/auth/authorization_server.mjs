// A real authorization server on loopback: oidc-provider with dynamic registration, PKCE, resource indicators and
// introspection. Only the person is missing: whoever the browser's X-Person header names is logged in and consents.
//
// Usage: node authorization_server.mjs FOLDER {"jwt": [RESOURCE...], "opaque": [RESOURCE...], "scopes": "a b"}
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, given] = process.argv.slice(2);
const { jwt, opaque, scopes } = JSON.parse(given);
const require = createRequire(join(folder, "package.json"));
const { Provider, errors } = await import(pathToFileURL(require.resolve("oidc-provider")));

const key = (type, options, more) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }), use: "sig", ...more });

const server = createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  jwks: { keys: [key("rsa", { modulusLength: 2048 }, { kid: "rsa" }), key("ec", { namedCurve: "P-256" }, { kid: "ec" })] },
  cookies: { keys: ["only for tests"] },
  scopes: ["openid", "offline_access", ...scopes.split(" ")],
  clients: [
    { client_id: "server", client_secret: "of the server & more", redirect_uris: [], response_types: [], grant_types: [] },
  ],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: async (_, client) => client.grantTypeAllowed("refresh_token"),
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    revocation: { enabled: true, allowedPolicy: async () => true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: async () => true,
      getResourceServerInfo(_, resource) {
        if (![...jwt, ...opaque].includes(resource)) throw new errors.InvalidTarget();
        const format = jwt.includes(resource) ? "jwt" : "opaque";
        return { scope: scopes, audience: resource, accessTokenTTL: 600, accessTokenFormat: format };
      },
    },
  },
  ttl: { AccessToken: 600, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600, RefreshToken: 3600 },
});

// A client that registers itself names the scopes it knows of then; here as elsewhere it may ask for others later.
provider.use(async (ctx, next) => {
  if (ctx.path === "/reg" && ctx.method === "POST") {
    const parts = [];
    for await (const part of ctx.req) parts.push(part);
    ctx.req.body = { ...JSON.parse(Buffer.concat(parts)), scope: `openid offline_access ${scopes}` };
  }
  return next();
});

// In place of a page with a form: the person logs in and grants all that is asked for.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/interaction/")) return next();
  const { prompt, params, session, grantId } = await provider.interactionDetails(ctx.req, ctx.res);
  if (prompt.name === "login") {
    const result = { login: { accountId: ctx.get("x-person") } };
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
  } else {
    const grant = (grantId && (await provider.Grant.find(grantId))) ||
      new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    const { missingOIDCScope, missingResourceScopes } = prompt.details;
    if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(" "));
    for (const [resource, names] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(resource, names.join(" "));
    const result = { consent: { grantId: await grant.save() } };
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  }
  ctx.respond = false;
});

server.on("request", provider.callback());
console.log(`listening on ${issuer}`);
