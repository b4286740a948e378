// An owner of the data answers without a script running: the first request is denied, the second approved. Their pages are
// looked at besides, in another browser where scripts run: labels and roles, contrast, width, and the way of the keyboard.
import assert from "node:assert/strict";
import { accessible, focused, logIn, PHONE, picture, reachable, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open({ viewport: PHONE, javaScriptEnabled: false });
  await page.goto("/");
  await logIn(page, given);
  const seen = await open({ viewport: PHONE, deviceScaleFactor: 2, hasTouch: true });
  await seen.goto("/");
  await logIn(seen, given);

  for (const { verb, ended } of [{ verb: "Deny", ended: "denied" }, { verb: "Approve", ended: "approved" }]) {
    const { request, sql, reason } = await hear();
    await seen.goto("/");
    await accessible(seen);
    await seen.getByRole("link", { name: request }).click();
    await answering(seen, request, sql);
    if (verb === "Deny") await seen.screenshot({ path: picture("phone-answer"), fullPage: true });
    // Refused: why is read first, and what was typed besides is not to be typed again.
    await seen.getByLabel("Reason").fill(reason);
    await seen.getByLabel("Code", { exact: true }).fill("000000");
    await seen.getByRole("button", { name: verb, exact: true }).click();
    await seen.getByRole("alert").filter({ hasText: "code" }).waitFor();
    await seen.waitForFunction(() => document.activeElement?.getAttribute("role") === "alert");
    assert.equal(await seen.getByLabel("Reason").inputValue(), reason);
    await accessible(seen);

    await page.goto("/");
    await page.getByRole("link", { name: request }).click();
    await page.getByLabel("Reason").fill(reason);
    say({ want: "code" });
    await page.getByLabel("Code", { exact: true }).fill((await hear()).code);
    await page.getByRole("button", { name: verb, exact: true }).click();
    await page.getByText(`This request has ended: ${ended}.`).waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
    await seen.goto(`/r/${request}`);
    await seen.getByText(`This request has ended: ${ended}.`).waitFor();
    await accessible(seen);
    say({ ended });
  }
});

// The page of an open request, as who approves it meets it.
async function answering(page, request, sql) {
  assert.equal(await page.title(), `Request ${request} – Stepgate`);
  assert.equal(await page.getByRole("region", { name: "Statement" }).innerText(), sql);
  assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
  await accessible(page);
  const code = page.getByLabel("Code", { exact: true });
  assert.deepEqual(
    [await code.getAttribute("autocomplete"), await code.getAttribute("inputmode")],
    ["one-time-code", "numeric"],
  );
  // What a field is for is said with it, and that a decision needs a reason.
  const reason = page.getByLabel("Reason");
  assert.equal(await reason.getAttribute("required"), "");
  assert.match(await described(reason), /reads it/);
  // By keyboard: the statement is passed before the answer, each in the order in which it stands there, and nothing that
  // can be pressed is out of reach or cannot be seen where it is.
  const order = await reachable(page);
  const at = (name) => order.findIndex((it) => it === name);
  const way = ["To the answer", "Statement", "Reason", "Code", "Approve", "Deny", "Comment", "Say it"];
  assert.deepEqual(way.filter((name) => at(name) < 0), [], `out of reach of the keyboard: ${order.join(" | ")}`);
  assert.deepEqual([...way].sort((one, other) => at(one) - at(other)), way, order.join(" | "));
  // The way past all of it leads to the answer.
  await page.getByRole("link", { name: "To the answer" }).press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Reason");
  await page.goto(`/r/${request}`);
}

// The text that describes a field.
function described(field) {
  return field.evaluate((it) => document.getElementById(it.getAttribute("aria-describedby"))?.textContent ?? "");
}
