// A page that is open says what becomes of its request, and a list what comes up, without being asked again.
import assert from "node:assert/strict";
import { logIn, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open();
  await page.goto("/");
  await logIn(page, given);
  await page.getByText("Nothing waits for you.").waitFor();
  const events = page.waitForResponse((response) => response.url().endsWith("/api/v1/events"));
  await page.reload();
  assert.equal((await events).status(), 200);
  say({ watching: "list" });
  const { request } = await hear();
  await page.getByRole("link", { name: request }).click();
  await page.getByLabel("Code", { exact: true }).waitFor();
  say({ watching: request });
  await page.getByRole("status").filter({ hasText: "This request has ended: called off." }).waitFor();
  assert.ok(await page.getByLabel("Code", { exact: true }).isDisabled());
});
