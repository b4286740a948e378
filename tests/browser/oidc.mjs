// Links an account at the identity provider, then answers by logging in there again: first as somebody else, which
// counts for nothing, then as oneself; and approves a policy in the same way.
import { logIn, PHONE, run } from "./lib.mjs";
import { there } from "./there.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open({ viewport: PHONE });
  await page.goto("/enrol");
  await logIn(page, given);
  await page.goto("/enrol");
  say({ want: "code" });
  await page.getByLabel("Code of your authenticator app, if you have one").fill((await hear()).code);
  await page.getByLabel("Enrolment code, if you were given one").fill(given.enrolment_code);
  await page.getByRole("button", { name: "Go on to the identity provider" }).click();
  await there(page, "dana");
  await page.getByText("oidc").first().waitFor();
  say({ linked: true });
  for (let turn = 0; turn < 2; turn += 1) {
    const { request, there: name } = await hear();
    await page.goto(`/r/${request}`);
    await page.getByRole("button", { name: "Log in again at the identity provider" }).click();
    await there(page, name);
    if (name === "dana") {
      await page.getByText("This request has ended: approved.").waitFor();
      say({ ended: "approved" });
    } else {
      await page.getByRole("alert").waitFor();
      say({ ended: "open" });
    }
  }
  for (let turn = 0; turn < 2; turn += 1) {
    const { policy, there: name } = await hear();
    await page.goto(`/policies/${policy}`);
    await page.getByRole("button", { name: "Approve by another login at the identity provider" }).click();
    await there(page, name);
    if (name === "dana") await page.getByText("You have approved it.").waitFor();
    else await page.getByRole("alert").waitFor();
    say({ answered: name });
  }
});
