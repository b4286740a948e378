// A form's answer has the form's address, and nothing is to be had there: what its page hears of leads to the request.
import assert from "node:assert/strict";
import { logIn, run } from "./lib.mjs";

await run(async ({ given, open, say }) => {
  const page = await open();
  await page.goto(`/r/${given.request}`);
  await logIn(page, given);
  await page.getByLabel("Code", { exact: true }).fill("000000");
  await page.getByRole("button", { name: "let it run" }).click();
  await page.getByRole("alert").filter({ hasText: "code" }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/r/${given.request}/verify`);
  say({ refused: true });
  await page.getByText("This request has ended: called off.").waitFor();
  await page.getByRole("link", { name: "How it ended" }).click();
  await page.waitForURL((url) => url.pathname === `/r/${given.request}`);
  await page.getByText("This request has ended").waitFor();
});
