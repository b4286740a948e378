// Somebody enrols a passkey, lets a statement run by it, and is refused without PIN, finger or face: by the browser, by the
// gate when the page asks for less, and when an answer is handed in for another request or twice.
import assert from "node:assert/strict";
import { accessible, logIn, PHONE, picture, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open({ viewport: PHONE });
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2", ctap2Version: "ctap2_1", transport: "usb", hasResidentKey: true,
      hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  const verifies = (isUserVerified) => cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });
  const counter = async () => (await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials[0].signCount;

  await page.goto("/");
  await logIn(page, given);
  await page.goto("/enrol");
  await accessible(page);
  const make = page.getByRole("button", { name: "Make a passkey" });
  await page.getByLabel("What you call it").fill("Key ring");
  await page.getByLabel("Code of your authenticator app").fill("000000");
  await page.getByLabel("Enrolment code").fill(given.enrolment_code);
  await make.click();
  await page.getByRole("alert").filter({ hasText: "code" }).waitFor();
  say({ want: "code" });
  await page.getByLabel("Code of your authenticator app").fill((await hear()).code);
  await make.click();
  await page.getByRole("listitem").filter({ hasText: "Key ring" }).waitFor();
  assert.equal((await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials.length, 1);
  await accessible(page);
  await page.screenshot({ path: picture("phone-passkey"), fullPage: true });
  say({ enrolled: true });

  // The statement runs, and the same answer again does nothing.
  const first = (await hear()).request;
  await page.goto(`/r/${first}`);
  const use = page.getByRole("button", { name: "use a passkey" });
  await use.waitFor();
  await accessible(page);
  const sent = page.waitForRequest((request) => request.url().endsWith(`/${first}/verify`));
  await use.click();
  await page.getByText("This request has ended: approved.").waitFor();
  const answer = (await sent).postDataJSON();
  assert.equal(await counter(), 2);
  say({ approved: first });

  const second = (await hear()).request;
  await page.goto(`/r/${second}`);
  const hand = (request, body) =>
    page.evaluate(
      async ({ path, body }) => {
        const proof = document.querySelector('meta[name="proof"]').content;
        const headers = { "content-type": "application/json", "stepgate-proof": proof };
        const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
        return { status: answer.status, ...(await answer.json()) };
      },
      { path: `/api/v1/requests/${request}/verify`, body },
    );
  const again = await hand(first, answer);
  assert.deepEqual([again.status, again.error], [409, "ended"]);
  // The answer to the first request, handed in for the second; and under a challenge of the second's.
  const elsewhere = await hand(second, answer);
  assert.deepEqual([elsewhere.status, elsewhere.error], [409, "no_challenge"]);
  const fresh = await page.evaluate(async (path) => {
    const proof = document.querySelector('meta[name="proof"]').content;
    const headers = { "content-type": "application/json", "stepgate-proof": proof };
    const body = JSON.stringify({ method: "passkey", approve: true });
    return (await fetch(path, { method: "POST", headers, body })).json();
  }, `/api/v1/requests/${second}/challenge`);
  assert.equal(fresh.shown.userVerification, "required");
  const other = await hand(second, { proof: { ...answer.proof, challenge: fresh.challenge } });
  assert.deepEqual([other.status, other.error], [401, "wrong_proof"]);

  // Without PIN, finger or face, the browser gives nothing.
  await verifies(false);
  await use.click();
  await page.getByRole("alert").filter({ hasText: "Nothing was signed" }).waitFor();
  // A page that asks for less gets an answer that says so, and the gate refuses it.
  await page.evaluate(() => {
    const get = navigator.credentials.get.bind(navigator.credentials);
    navigator.credentials.get = ({ publicKey }) => get({ publicKey: { ...publicKey, userVerification: "discouraged" } });
  });
  const refused = page.waitForResponse((answer) => answer.url().endsWith(`/${second}/verify`));
  await use.click();
  assert.equal((await refused).status(), 401);
  await page.getByRole("alert").filter({ hasText: "did not check that it is you" }).waitFor();
  await page.reload();
  await page.getByText("Open; lapses").waitFor();
  say({ refused: second });

  // With it, the same button lets it run.
  await hear();
  await verifies(true);
  await use.click();
  await page.getByText("This request has ended: approved.").waitFor();
});
