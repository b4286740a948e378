// A page whose stream of news opens late says what happened meanwhile: nobody told it.
import { logIn, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open();
  let asked, release;
  const listens = new Promise((done) => (asked = done));
  const released = new Promise((done) => (release = done));
  await page.goto("/");
  await logIn(page, given);
  await page.getByText("Nothing waits for you.").waitFor();
  say({ listed: true });
  const { request } = await hear();
  await page.route("**/api/v1/events", async (route) => {
    asked();
    await released;
    await route.continue();
  });
  await page.goto(`/r/${request}`);
  await page.getByRole("status").filter({ hasText: "Open" }).waitFor();
  await listens;
  say({ shown: request });
  await hear();
  release();
  await page.getByRole("status").filter({ hasText: "This request has ended: called off." }).waitFor();
});
