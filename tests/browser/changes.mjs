// A page that is open hears of a vote, of a comment, and that more people are asked.
import { logIn, run } from "./lib.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open();
  await page.goto("/");
  await logIn(page, given);
  say({ logged: "in" });
  const { request } = await hear();
  const events = page.waitForResponse((response) => response.url().endsWith("/api/v1/events"));
  await page.goto(`/r/${request}`);
  await events;
  say({ watching: request });
  const state = page.locator("#state");
  await state.filter({ hasText: "1 of 2 have approved." }).waitFor();
  await state.filter({ hasText: "it goes to data-owners, security now" }).waitFor();
  await state.filter({ hasText: "Something was said: Read it." }).waitFor();
  await state.getByRole("link", { name: "Read it" }).click();
  await page.getByText("which year?").waitFor();
});
