// Somebody enrols a passkey, and breaks the glass by it as they have asked for at a terminal: not from another page's
// script without what the page proves, and not without PIN, finger or face.
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

  await page.goto("/");
  await logIn(page, given);
  await page.goto("/enrol");
  await page.getByLabel("What you call it").fill("Key ring");
  await page.getByLabel("Enrolment code").fill(given.enrolment_code);
  say({ want: "code" });
  await page.getByLabel("Code of your authenticator app").fill((await hear()).code);
  await page.getByRole("button", { name: "Make a passkey" }).click();
  await page.getByRole("listitem").filter({ hasText: "Key ring" }).waitFor();
  await page.goto("/break-glass");
  await page.getByText("Nothing is open").waitFor();
  say({ enrolled: true });

  const { reason } = await hear();
  await page.goto("/break-glass");
  await page.getByText(reason).waitFor();
  await accessible(page);
  await page.screenshot({ path: picture("phone-glass"), fullPage: true });
  const glass = await page.locator("button[data-glass]").getAttribute("data-glass");
  // A script of a page of ours that does not say what the page proves.
  const bare = await page.evaluate(async (path) => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ method: "passkey" });
    return (await fetch(path, { method: "POST", headers, body })).status;
  }, `/api/v1/break-glass/${glass}/challenge`);
  assert.equal(bare, 403);
  const button = page.getByRole("button", { name: "Break the glass" });
  await verifies(false);
  await button.click();
  await page.getByRole("alert").filter({ hasText: "Nothing was signed" }).waitFor();
  await verifies(true);
  await button.click();
  await page.getByRole("button", { name: "End it now" }).waitFor();
  await accessible(page);
  say({ opened: glass });

  await hear();
  await page.reload();
  await page.getByText("Somebody else has to review it").waitFor();
});
