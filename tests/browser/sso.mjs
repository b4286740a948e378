// Logs in at the identity provider instead of by a password, and comes to where one was going.
import assert from "node:assert/strict";
import { accessible, PHONE, run } from "./lib.mjs";
import { there } from "./there.mjs";

await run(async ({ given, open, say }) => {
  const page = await open({ viewport: PHONE });
  await page.goto(`/r/${given.request}`);
  await accessible(page);
  await page.getByRole("button", { name: "Log in with Example" }).click();
  await there(page, "dana");
  await page.getByRole("button", { name: "Log out", exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/r/${given.request}`);
  await page.getByText("select ssn from customers").waitFor();
  // Nothing of the way there is left: neither its cookie, nor a form that could be sent again.
  const names = (await page.context().cookies()).filter(({ domain, path }) => path === "/").map(({ name }) => name);
  assert.ok(!names.some((name) => name.endsWith("stepgate-login")), names.join(" "));
  say({ logged: "in" });
  // Another browser, and somebody who is nobody here.
  const other = await open({ viewport: PHONE });
  await other.goto("/login");
  await other.getByRole("button", { name: "Log in with Example" }).click();
  await there(other, "mallory");
  await other.getByRole("alert").waitFor();
  await other.goto("/");
  await other.getByLabel("Password").waitFor();
  say({ refused: true });
});
