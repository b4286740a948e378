// Somebody has the start page tell them on their desktop, looks elsewhere, and hears of what waits and how it ended: by an
// id, and nothing of what it is.
import assert from "node:assert/strict";
import { accessible, logIn, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open({ permissions: ["notifications"] });
  // What is shown, besides being shown.
  await page.addInitScript(() => {
    window.notes = [];
    const Real = window.Notification;
    window.Notification = class extends Real {
      constructor(title, options) {
        super(title, options);
        window.notes.push({ title, note: this, ...options });
      }
    };
  });
  const shown = (count) => page.waitForFunction((count) => window.notes.length >= count, count);
  const look = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await page.goto("/");
  await logIn(page, given);
  await page.getByRole("button", { name: "Tell me on this desktop" }).click();
  await page.getByRole("button", { name: "Do not tell me on this desktop" }).waitFor();
  await accessible(page);
  const again = page.waitForResponse((response) => response.url().endsWith("/api/v1/events"));
  await look(true);
  assert.equal((await again).status(), 200, "the stream goes on");
  say({ watching: true });

  const { request } = await hear();
  await shown(1);
  say({ told: request });
  await hear();
  await shown(2);
  const told = await page.evaluate(() => window.notes.map(({ title, body, tag }) => ({ title, body, tag })));
  const tag = `stepgate-${request}`;
  assert.deepEqual(told, [
    { title: "Stepgate", body: `Request ${request}: waiting`, tag },
    { title: "Stepgate", body: `Request ${request}: called off`, tag },
  ]);
  // It leads to the page, and decides nothing.
  await page.evaluate(() => window.notes[0].note.dispatchEvent(new Event("click")));
  await page.waitForURL(`**/r/${request}`);
  // Who looks is not told besides, and who does not want it is not either.
  await page.goto("/");
  await page.getByRole("button", { name: "Do not tell me on this desktop" }).click();
  await look(true);
  say({ unwatched: true });
  await hear();
  await look(false);
  await page.getByRole("status").filter({ hasText: "Up to date." }).waitFor();
  assert.equal(await page.evaluate(() => window.notes.length), 0);
});
