// An owner of the data answers without a script running: the first request is denied, the second approved.
import assert from "node:assert/strict";
import { logIn, PHONE, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open({ viewport: PHONE, javaScriptEnabled: false });
  await page.goto("/");
  await logIn(page, given);
  for (const { verb, ended } of [{ verb: "Deny", ended: "denied" }, { verb: "Approve", ended: "approved" }]) {
    const { request, reason } = await hear();
    await page.goto("/");
    await page.getByRole("link", { name: request }).click();
    await page.getByLabel("Reason").fill(reason);
    say({ want: "code" });
    await page.getByLabel("Code", { exact: true }).fill((await hear()).code);
    await page.getByRole("button", { name: verb, exact: true }).click();
    await page.getByText(`This request has ended: ${ended}.`).waitFor();
    say({ ended });
  }
  assert.equal(await page.getByRole("alert").count(), 0);
});
