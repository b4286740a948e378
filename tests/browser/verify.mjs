// Somebody follows the link of a notice, logs in, sees exactly what they sent, and lets it run by a code.
import assert from "node:assert/strict";
import { accessible, logIn, PHONE, picture, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open({ viewport: PHONE, deviceScaleFactor: 2, hasTouch: true });
  await page.goto(`/r/${given.request}`);
  assert.ok(!(await page.content()).includes("customers"), "a stranger learns nothing");
  await accessible(page);
  await page.screenshot({ path: picture("phone-login"), fullPage: true });
  await logIn(page, given);

  assert.equal(new URL(page.url()).pathname, `/r/${given.request}`);
  assert.equal(await page.title(), `Request ${given.request} – Stepgate`);
  assert.equal(await page.getByRole("region", { name: "Statement" }).innerText(), given.sql);
  await accessible(page);
  await page.screenshot({ path: picture("phone-request"), fullPage: true });
  const code = page.getByLabel("Code", { exact: true });
  assert.equal(await code.getAttribute("autocomplete"), "one-time-code");
  assert.equal(await code.getAttribute("inputmode"), "numeric");

  await code.fill("000000");
  await page.getByRole("button", { name: "let it run" }).click();
  await page.getByRole("alert").filter({ hasText: "code" }).waitFor();
  await accessible(page);
  say({ want: "code" });
  const fresh = (await hear()).code;
  // By keyboard alone, and in two groups as apps show it.
  await page.getByLabel("Code", { exact: true }).focus();
  await page.keyboard.type(`${fresh.slice(0, 3)} ${fresh.slice(3)}`);
  await page.keyboard.press("Enter");
  await page.getByText("This request has ended: approved.").waitFor();

  await page.getByRole("link", { name: "Requests", exact: true }).click();
  await page.getByRole("heading", { name: "Allowed for now" }).waitFor();
  await accessible(page);
  await page.screenshot({ path: picture("phone-requests"), fullPage: true });
  await page.getByRole("button", { name: "Give back" }).click();
  await page.getByRole("heading", { name: "Allowed for now" }).waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Authenticators", exact: true }).click();
  await page.getByRole("heading", { name: "Authenticators" }).waitFor();
  await accessible(page);
  await page.getByRole("link", { name: "Make a list" }).click();
  await page.getByRole("heading", { name: "Recovery codes" }).waitFor();
  await accessible(page);
  say({ want: "code" });
  await page.getByLabel("Code of what you have").fill((await hear()).code);
  await page.getByRole("button", { name: "Show the codes" }).click();
  const codes = (await page.getByRole("region", { name: "Recovery codes" }).innerText()).split("\n");
  assert.equal(codes.length, 10);
  await accessible(page);
  await page.screenshot({ path: picture("phone-recovery"), fullPage: true });
  // What is printed is what it is about.
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.getByRole("link", { name: "Stepgate", exact: true }).isVisible(), false);
  await page.emulateMedia({ media: "screen" });
  await page.getByRole("link", { name: "I have them" }).click();
  await page.getByRole("listitem").filter({ hasText: "recovery" }).waitFor();
  say({ codes });

  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map(({ name }) => name).sort(), ["__Host-stepgate", "__Host-stepgate-device"]);
  const cookie = cookies.find(({ name }) => name === "__Host-stepgate");
  assert.deepEqual(
    [cookie.name, cookie.secure, cookie.httpOnly, cookie.sameSite, cookie.path, cookie.expires],
    ["__Host-stepgate", true, true, "Strict", "/", -1],
  );
  await page.getByRole("button", { name: "Log out", exact: true }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  assert.deepEqual((await page.context().cookies()).map(({ name }) => name), ["__Host-stepgate-device"]);
  await page.goBack();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
});
