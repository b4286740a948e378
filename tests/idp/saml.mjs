// A SAML 2.0 identity provider (npm samlp) on loopback: anybody may log in by any name. saml.mjs KEY CERTIFICATE. Prints its
// address; its metadata are at /metadata.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(process.env.STEPGATE_BROKER + "/");
const samlp = require("samlp");
const [key, cert] = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const metadata = `<?xml version="1.0"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${issuer}/metadata">
 <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
  <md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>
   ${cert.replace(/-----[^-]+-----|\s/g, "")}
  </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
  <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>
  <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${issuer}/sso"/>
 </md:IDPSSODescriptor>
</md:EntityDescriptor>`;

// What the assertion says of somebody.
const profile = (user) => ({
  getClaims: () => ({ uid: user, mail: `${user}@corp.example`, groups: ["analysts", "not a group!"] }),
  getNameIdentifier: () => ({
    nameIdentifier: `id-of-${user}`, nameIdentifierFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
  }),
});

server.on("request", async (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname === "/metadata") {
    response.writeHead(200, { "content-type": "application/samlmetadata+xml" });
    return response.end(metadata);
  }
  if (url.pathname !== "/sso") {
    response.writeHead(404);
    return response.end();
  }
  let text = "";
  for await (const chunk of request) text += chunk;
  const login = new URLSearchParams(text).get("login");
  if (!login) {
    // One form: who logs in.
    response.writeHead(200, { "content-type": "text/html" });
    return response.end(`<form method="post" action="${request.url.replaceAll("&", "&amp;")}"><input name="login" value=""></form>`);
  }
  request.query = Object.fromEntries(url.searchParams);
  // Its signature is looked at by whoever has a service provider's metadata, which this one does not.
  for (const signed of ["Signature", "SigAlg"]) delete request.query[signed];
  const send = (status, body) => {
    response.writeHead(status, { "content-type": "text/html" });
    response.end(body ?? "");
  };
  const answer = { set: () => {}, send: (one, two) => (typeof one === "number" ? send(one, two) : send(200, one)) };
  samlp.parseRequest(request, (error, asked) => {
    const to = asked?.assertionConsumerServiceURL;
    if (error || !to) return send(400, String(error));
    samlp.auth({
      issuer: `${issuer}/metadata`, key, cert, signResponse: true, signAssertion: true, recipient: to, destination: to,
      authnContextClassRef: "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
      includeAttributeNameFormat: true, profileMapper: profile, getUserFromRequest: () => login,
      getPostURL: (audience, dom, _, done) => done(null, to),
    })(request, answer, (trouble) => send(500, String(trouble)));
  });
});
console.log(issuer);
