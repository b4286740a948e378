// A provider that lies as it is told: `POST /case` with JSON {claims, omit, alg, key, issuer, audience} says what the next
// token holds beside what would be right; {device} what it answers to programs without a browser, {polled} as which error
// it tells them to wait, or that it is over; {names}, that its answers to browsers say whose they are (RFC 9207), which
// they never do. `GET /asked` tells what such programs have asked. Prints its issuer.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.STEPGATE_IDP + "/");
const jose = await import(pathToFileURL(require.resolve("jose")).href);
const own = await jose.generateKeyPair("ES256");
const strange = await jose.generateKeyPair("ES256");
const jwk = { ...(await jose.exportJWK(own.publicKey)), kid: "own", alg: "ES256", use: "sig" };
let lie = {};
const codes = new Map();
let asked = { begun: [], polls: 0 };
let issuer;

async function body(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

async function token(nonce) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer, aud: "stepgate", sub: "sub-of-dana", nonce, iat: now, exp: now + 300, auth_time: now, acr: "mfa",
    ...lie.claims,
  };
  for (const name of lie.omit ?? []) delete claims[name];
  if (lie.alg === "none") {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    return `${part({ alg: "none" })}.${part(claims)}.`;
  }
  if (lie.alg === "HS256") {
    // By the client's secret, or by the public key taken for a secret.
    const secret = new TextEncoder().encode(lie.secret ?? JSON.stringify(jwk));
    return new jose.SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(secret);
  }
  const key = lie.key === "strange" ? strange.privateKey : own.privateKey;
  return new jose.SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "own" }).sign(key);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  const json = (value, status = 200) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  if (url.pathname === "/case") {
    lie = JSON.parse(await body(request));
    return json({});
  }
  if (url.pathname === "/.well-known/openid-configuration") {
    return json({
      issuer: lie.issuer ?? issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: lie.token ?? `${issuer}/token`,
      ...("names" in lie && { authorization_response_iss_parameter_supported: lie.names }),
      ...(lie.device !== null && { device_authorization_endpoint: lie.endpoint ?? `${issuer}/device` }),
      jwks_uri: `${issuer}/jwks`, response_types_supported: ["code"], subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256", "HS256", "none"],
    });
  }
  if (url.pathname === "/jwks") return json({ keys: [jwk] });
  if (url.pathname === "/auth") {
    const code = crypto.randomUUID();
    codes.set(code, { nonce: url.searchParams.get("nonce"), challenge: url.searchParams.get("code_challenge") });
    const back = new URL(url.searchParams.get("redirect_uri"));
    back.searchParams.set("code", code);
    back.searchParams.set("state", url.searchParams.get("state"));
    response.writeHead(303, { location: back.href });
    return response.end();
  }
  if (url.pathname === "/asked") return json(asked);
  if (url.pathname === "/device") {
    const form = Object.fromEntries(new URLSearchParams(await body(request)));
    const device = crypto.randomUUID();
    codes.set(device, { nonce: form.nonce });
    asked.begun.push({ ...form, agent: request.headers["user-agent"] });
    return json({
      device_code: device, user_code: "WDJB-MJHT", verification_uri: `${issuer}/type`, expires_in: 600, interval: 5,
      ...lie.device,
    });
  }
  if (url.pathname === "/token") {
    const form = new URLSearchParams(await body(request));
    if (form.get("grant_type") === "urn:ietf:params:oauth:grant-type:device_code") {
      asked.polls += 1;
      if (lie.polled) return json({ error: lie.polled }, 400);
      const begun = codes.get(form.get("device_code"));
      codes.delete(form.get("device_code"));
      if (!begun) return json({ error: "invalid_grant" }, 400);
      return json({ access_token: "x", token_type: "Bearer", id_token: await token(begun.nonce) });
    }
    const begun = codes.get(form.get("code"));
    codes.delete(form.get("code"));
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(form.get("code_verifier") ?? ""));
    if (!begun || Buffer.from(digest).toString("base64url") !== begun.challenge) return json({ error: "invalid_grant" }, 400);
    return json({ access_token: "x", token_type: "Bearer", id_token: await token(begun.nonce) });
  }
  return json({}, 404);
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
issuer = `http://127.0.0.1:${server.address().port}`;
console.log(issuer);
