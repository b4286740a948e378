// A real OpenID provider (npm oidc-provider) on loopback: anybody may log in by any name. Prints its issuer.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.STEPGATE_IDP + "/");
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);

const [redirect, secret] = process.argv.slice(2);
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: "stepgate", client_secret: secret, redirect_uris: [redirect],
    grant_types: ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"], response_types: ["code"], require_auth_time: true,
  }],
  acrValues: ["pwd", "mfa"],
  pkce: { required: () => true },
  claims: { acr: null, auth_time: null, iss: null, openid: ["sub", "preferred_username", "groups"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["a throwaway key"] },
  features: {
    devInteractions: { enabled: false },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: (ctx, form) => { ctx.body = `<h1>Type the code</h1>${form}`; },
      // Who asks, as far as it is known here: what calls the provider says for whom.
      userCodeConfirmSource: (ctx, form, client, device, code) => {
        ctx.body = `<h1>Confirm ${code}</h1><p>Asked by ${device.ua}</p>${form}`;
      },
      successSource: (ctx) => { ctx.body = "<h1>Signed in</h1>"; },
    },
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: ["analysts", "not a group!"] }),
  }),
});
// One form: who logs in, and that they agree. Whoever logs in has come by a second factor.
async function interact(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (request.method !== "POST") {
    response.writeHead(200, { "content-type": "text/html" });
    return response.end(`<form method="post" action="${request.url}"><input name="prompt" value="${prompt.name}"></form>`);
  }
  let text = "";
  for await (const chunk of request) text += chunk;
  if (prompt.name === "login") {
    const login = { accountId: new URLSearchParams(text).get("login"), acr: "mfa", amr: ["otp"] };
    return provider.interactionFinished(request, response, { login });
  }
  const { session } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  for (const missing of prompt.details.missingOIDCClaims ?? []) grant.addOIDCClaims([missing]);
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}
const callback = provider.callback();
server.on("request", (request, response) => {
  const handled = request.url.startsWith("/interaction/") ? interact(request, response) : callback(request, response);
  Promise.resolve(handled).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
console.log(issuer);
