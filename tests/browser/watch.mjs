// A page that is open says what becomes of its request, and a list what comes up, without being asked again.
import assert from "node:assert/strict";
import { logIn, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open();
  await page.goto("/");
  await logIn(page, given);
  await page.getByText("Nothing waits for you.").waitFor();
  // The list that the page loads once its stream is open is slow in coming: it was made before what comes up meanwhile.
  await page.addInitScript(() => {
    const real = window.fetch;
    const mayArrive = new Promise((done) => (window.arrive = done));
    window.fetch = async (...given) => {
      const answer = await real(...given);
      window.isLoading = true;
      await mayArrive;
      return answer;
    };
  });
  await page.reload();
  await page.waitForFunction(() => window.isLoading);
  await page.evaluate(async () => {
    const stream = new EventSource("/api/v1/events");
    window.told = new Promise((done) => stream.addEventListener("request", () => done(stream.close())));
    await new Promise((done) => stream.addEventListener("open", done));
  });
  say({ watching: "list" });
  const { request } = await hear();
  await page.evaluate(() => window.told.then(() => window.arrive()));
  await page.getByRole("link", { name: request }).click();
  await page.getByLabel("Code", { exact: true }).waitFor();
  // What happened before its stream was open, it asks.
  await page.evaluate(() => window.arrive());
  say({ watching: request });
  await page.getByRole("status").filter({ hasText: "This request has ended: called off." }).waitFor();
  assert.ok(await page.getByLabel("Code", { exact: true }).isDisabled());
});
