// What each script of a browser test shares: Chromium by playwright-core, driven from a test in Rust by lines of JSON.
// tests/tools/browser.sh fetches both; tests/browser/README.md says how to write one.
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const fetched = new URL("../../.work/browser/", import.meta.url);
const require = createRequire(fetched);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// A telephone that is small today.
export const PHONE = { width: 360, height: 640 };

// Runs `play` with the first line that is read (url, cert, and what the test gives besides), a browser, and ways to
// speak with the test. What it throws fails the test, with a picture below .work/browser.
export async function run(play) {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const hear = async () => JSON.parse((await lines.next()).value);
  const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
  const given = await hear();
  // The gate's own key and no other: no warning is clicked away, and passkeys work as with a certificate of the web's.
  const key = new X509Certificate(readFileSync(given.cert)).publicKey.export({ type: "spki", format: "der" });
  const pin = createHash("sha256").update(key).digest("base64");
  const args = [`--ignore-certificate-errors-spki-list=${pin}`, "--disable-dev-shm-usage"];
  // Chromium's sandbox does not work for root, as which tests run in containers.
  if (process.getuid() === 0) args.push("--no-sandbox");
  const browser = await chromium.launch({ executablePath: given.chromium, args });
  const complaints = [];
  const open = async (options = {}) => {
    const context = await browser.newContext({ baseURL: given.url, ...options });
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    page.goto = patient(page);
    page.on("console", (message) => {
      // A refused answer is an error to the console, and what some tests want to see.
      const refused = message.text().startsWith("Failed to load resource");
      // What it says of another site's page is as it should be.
      const ours = page.url().startsWith(given.url);
      if (message.type() === "error" && ours && !refused) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.stack));
    return page;
  };
  try {
    await play({ given, open, hear, say, browser });
    assert.deepEqual(complaints, [], "what the browser complained of");
    say({ done: true });
  } catch (error) {
    console.error(error.stack);
    for (const page of browser.contexts().flatMap((context) => context.pages())) {
      await page.screenshot({ path: picture(`failed-${basename(process.argv[1], ".mjs")}`), fullPage: true }).catch(() => {});
      console.error(page.url(), await page.locator("main").innerText().catch(() => "no page"));
    }
    process.exitCode = 1;
  } finally {
    await browser.close();
    process.stdin.destroy();
  }
}

// A page that is open may load itself anew at the moment when it is left, and then the browser stays there. Who asks anew
// at once may find that what was asked for first is still on its way: it is let arrive.
function patient(page) {
  const goto = page.goto.bind(page);
  return async (path) => {
    for (let left = 3; ; left -= 1) {
      try {
        return await goto(path);
      } catch (error) {
        if (left === 0 || !/interrupted by another navigation/.test(error.message)) throw error;
        await page.waitForEvent("framenavigated", { timeout: 2_000 }).catch(() => {});
        await page.waitForLoadState();
      }
    }
  };
}

// Where a picture goes.
export function picture(name) {
  return fileURLToPath(new URL(`${name}.png`, fetched));
}

// Fills the login form of the page that is open.
export async function logIn(page, { name, password }) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await page.getByRole("button", { name: "Log out", exact: true }).waitFor();
}

// No violation that axe calls serious or critical, in either colour scheme, and nothing wider than the screen.
export async function accessible(page) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    const bad = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    const shown = bad.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    assert.deepEqual(shown, [], `${page.url()} in ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  const { wide, screen } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    screen: document.documentElement.clientWidth,
  }));
  assert.ok(wide <= screen, `${page.url()} is ${wide} wide on a screen of ${screen}`);
}

// The name of what has the keyboard's attention, as it is read out.
export async function focused(page) {
  return page.evaluate(() => {
    const it = document.activeElement;
    if (!it || it === document.body) return "";
    const text = (of) => of.textContent.replace(/\s+/g, " ").trim();
    const label = it.labels?.[0];
    // Of a label, its words alone, without the field.
    return it.getAttribute("aria-label") ?? (label ? text(label) : text(it));
  });
}

// The names of all that Tab comes by, in its order; each can be seen when it is its turn, and is on the screen.
export async function reachable(page) {
  await page.evaluate(() => { document.activeElement?.blur?.(); window.scrollTo(0, 0); });
  const order = [];
  for (let turn = 0; turn < 60; turn += 1) {
    await page.keyboard.press("Tab");
    const name = await focused(page);
    // Around once.
    if (name === "" || (order.length > 1 && name === order[0])) return order;
    const shown = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      const { left, right, top, bottom, width, height } = document.activeElement.getBoundingClientRect();
      const on = left >= 0 && right <= document.documentElement.clientWidth && bottom > 0 && top < window.innerHeight;
      return { ring: outlineStyle !== "none" && outlineWidth !== "0px", on, width, height };
    });
    assert.ok(shown.ring, `${name} does not show that the keyboard is there`);
    assert.ok(shown.on, `${name} is not on the screen when the keyboard is there`);
    order.push(name);
  }
  throw new Error(`the keyboard does not get around: ${order.join(" | ")}`);
}
