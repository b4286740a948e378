// Two people enrol passkeys; they approve a changed policy by them, and one reviews what the other did by break-glass: not
// without PIN, finger or face, and not by what was signed for something else.
import assert from "node:assert/strict";
import { accessible, logIn, PHONE, picture, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  // Each of them with a telephone of their own.
  const somebody = async ({ enrolment_code, ...login }) => {
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
    await logIn(page, login);
    await page.goto("/enrol");
    await page.getByLabel("What you call it").fill("Key ring");
    await page.getByLabel("Enrolment code").fill(enrolment_code);
    say({ want: "code" });
    await page.getByLabel("Code of your authenticator app").fill((await hear()).code);
    await page.getByRole("button", { name: "Make a passkey" }).click();
    await page.getByRole("listitem").filter({ hasText: "Key ring" }).waitFor();
    return { page, verifies };
  };
  // What a script of the page's own sends.
  const post = (page, path, body) =>
    page.evaluate(
      async ({ path, body }) => {
        const proof = document.querySelector('meta[name="proof"]').content;
        const headers = { "content-type": "application/json", "stepgate-proof": proof };
        const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
        return { status: answer.status, ...(await answer.json()) };
      },
      { path, body },
    );
  const dana = await somebody(given.dana);
  const olga = await somebody(given.olga);
  say({ enrolled: true });

  // From the start page to the policy.
  const { policy } = await hear();
  const approve = async ({ page, verifies }, first) => {
    await page.goto("/");
    await accessible(page);
    await page.getByRole("link", { name: "Changed policies to approve" }).click();
    await accessible(page);
    await page.getByRole("link", { name: policy }).click();
    const button = page.getByRole("button", { name: "Approve by passkey" });
    await button.waitFor();
    assert.equal(await page.getByLabel("Code", { exact: true }).count(), 0, "a code would not do");
    const lines = (await page.getByRole("region", { name: "What changes" }).innerText()).split("\n");
    for (const line of ["=== map", "-    public.orders: {}", "=== policy", "-  - name: restricted-read"]) {
      assert.ok(lines.includes(line), `${line} is not shown`);
    }
    assert.ok(lines.some((line) => line.startsWith("+") && line.includes("name: everything")), "what is new");
    await accessible(page);
    if (first) {
      await page.screenshot({ path: picture("phone-policy"), fullPage: true });
      await verifies(false);
      await button.click();
      await page.getByRole("alert").filter({ hasText: "Nothing was signed" }).waitFor();
      await verifies(true);
    }
    const sent = page.waitForRequest((request) => request.url().endsWith(`/policies/${policy}/approve`));
    await button.click();
    return new URLSearchParams((await sent).postData());
  };
  const sent = await approve(olga, true);
  await olga.page.getByText("You have approved it. Somebody else has to as well.").waitFor();
  await accessible(olga.page);
  // The same answer once more; and in the place of a request's.
  const proof = { challenge: sent.get("challenge"), passkey: JSON.parse(sent.get("passkey")) };
  const again = await post(olga.page, `/api/v1/policies/${policy}/approve`, { proof });
  assert.deepEqual([again.status, again.error], [409, "no_challenge"]);
  say({ approved: "olga" });
  await hear();
  await approve(dana, false);
  await dana.page.getByText("It is approved.").waitFor();
  say({ approved: "dana" });

  // Dana breaks the glass as asked for at a terminal, and ends it.
  await hear();
  await dana.page.goto("/");
  await dana.page.getByRole("link", { name: "Your own break-glass" }).click();
  const glass = await dana.page.locator("button[data-glass]").getAttribute("data-glass");
  await dana.page.getByRole("button", { name: "Break the glass" }).click();
  await dana.page.getByRole("button", { name: "End it now" }).click();
  await dana.page.getByText("Somebody else has to review it").waitFor();
  say({ ended: glass });

  // Olga reviews it.
  await hear();
  const { page, verifies } = olga;
  await page.goto("/");
  await page.getByRole("link", { name: "Break-glass to review" }).click();
  await accessible(page);
  await page.getByRole("link", { name: "Review it" }).click();
  const button = page.getByRole("button", { name: "Reviewed by passkey" });
  await button.waitFor();
  await accessible(page);
  await page.screenshot({ path: picture("phone-review"), fullPage: true });
  await page.getByLabel("What you found").fill("in order");
  await verifies(false);
  await button.click();
  await page.getByRole("alert").filter({ hasText: "Nothing was signed" }).waitFor();
  await verifies(true);
  await button.click();
  await page.getByText("Nothing is open").waitFor();
  assert.equal(new URL(page.url()).pathname, "/break-glass");
  say({ reviewed: glass });
});
