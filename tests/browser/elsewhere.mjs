// What another site can do with somebody who is logged in: lead them to the gate, and nothing else.
import assert from "node:assert/strict";
import { logIn, run } from "./lib.mjs";

await run(async ({ given, open }) => {
  const page = await open();
  await page.goto("/");
  await logIn(page, given);
  const there = `${given.url}/r/${given.request}`;
  const html = `<!doctype html><a href="${there}">look</a>
    <form method="post" action="${there}/cancel"><button>win</button></form>
    <iframe src="${there}"></iframe>`;
  await page.route("https://elsewhere.example/**", (route) => route.fulfill({ contentType: "text/html", body: html }));

  // A link gets there, logged in, though the cookie is not sent along with what it asks for first.
  await page.goto("https://elsewhere.example/");
  const loads = [];
  page.on("response", (response) => {
    if (response.url() === there && response.frame() === page.mainFrame()) loads.push(response.status());
  });
  await page.getByRole("link", { name: "look" }).click();
  await page.getByLabel("Code", { exact: true }).waitFor();
  assert.deepEqual(loads, [200, 200], "a page that leads on, and the request");

  // A form does not, a frame stays empty, and a script reads nothing.
  await page.goto("https://elsewhere.example/");
  for (const frame of page.frames().filter((frame) => frame !== page.mainFrame())) {
    assert.ok(!(await frame.content()).includes("Stepgate"));
  }
  const read = await page.evaluate((url) => fetch(`${url}/api/v1/me`, { credentials: "include" }).then(
    () => "read", () => "refused"), given.url);
  assert.equal(read, "refused");
  const answer = page.waitForResponse((response) => response.url().endsWith("/cancel"));
  await page.getByRole("button", { name: "win" }).click();
  assert.equal((await answer).status(), 403);

  await page.goto(there);
  await page.getByText("Open; lapses").waitFor();
});
