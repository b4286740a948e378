// The identity provider stops while somebody looks at their request: its page says why, and which method is next.
import assert from "node:assert/strict";
import { accessible, logIn, PHONE, run } from "./lib.mjs";
import { there } from "./there.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open({ viewport: PHONE });
  await page.goto("/enrol");
  await logIn(page, given);
  await page.goto("/enrol");
  say({ want: "code" });
  await page.getByLabel("Code of your authenticator app, if you have one").fill((await hear()).code);
  await page.getByLabel("Enrolment code, if you were given one").fill(given.enrolment_code);
  await page.getByRole("button", { name: "Go on to the identity provider" }).click();
  await there(page, "dana");
  await page.getByText("oidc").first().waitFor();
  say({ linked: true });

  const { request } = await hear();
  await page.goto(`/r/${request}`);
  const again = page.getByRole("button", { name: "Log in again at the identity provider" });
  await again.waitFor();
  say({ offered: "oidc" });
  await hear();
  await again.click();
  const alert = page.getByRole("alert");
  await alert.filter({ hasText: "the identity provider cannot be reached" }).waitFor();
  assert.match(await alert.innerText(), /Use the code of your authenticator app instead/);
  // It is the request's own page, which does not offer again what has just failed.
  await page.getByText("select ssn from customers").waitFor();
  assert.equal(await again.count(), 0);
  await page.getByText("oidc does not work now").waitFor();
  await accessible(page);
  say({ want: "code" });
  await page.getByLabel("Code", { exact: true }).fill((await hear()).code);
  await page.getByRole("button", { name: "It was me: let it run" }).click();
  await page.getByText("This request has ended: approved.").waitFor();
});
