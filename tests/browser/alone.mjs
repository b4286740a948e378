// Without a password, and with the identity provider stopped: in by a passkey, and through by break-glass.
import { accessible, PHONE, run } from "./lib.mjs";
import { there } from "./there.mjs";

await run(async ({ given, open, hear, say }) => {
  const page = await open({ viewport: PHONE });
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2", ctap2Version: "ctap2_1", transport: "usb", hasResidentKey: true,
      hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  const verifies = (isUserVerified) => cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });

  await page.goto("/login");
  await page.getByRole("button", { name: "Log in with Example" }).click();
  await there(page, "dana");
  await page.getByRole("button", { name: "Log out", exact: true }).waitFor();
  await page.goto("/enrol");
  await page.getByLabel("What you call it").fill("Key ring");
  await page.getByLabel("Enrolment code", { exact: true }).fill(given.enrolment_code);
  say({ want: "code" });
  await page.getByLabel("Code of your authenticator app", { exact: true }).fill((await hear()).code);
  await page.getByRole("button", { name: "Make a passkey" }).click();
  await page.getByRole("listitem").filter({ hasText: "Key ring" }).waitFor();
  await page.getByRole("button", { name: "Log out", exact: true }).click();
  say({ enrolled: true });

  await hear();
  // What was known of the provider is believed for two seconds.
  const alert = page.getByRole("alert").filter({ hasText: "identity provider" });
  const either = alert.or(page.getByRole("link", { name: "Go on" }));
  for (let turn = 0; turn < 200 && (await alert.count()) === 0; turn += 1) {
    await page.goto("/login");
    await page.getByRole("button", { name: "Log in with Example" }).click();
    await either.waitFor();
  }
  await alert.waitFor();
  await page.goto("/login");
  const byPasskey = page.getByRole("button", { name: "Log in by a passkey" });
  await byPasskey.waitFor();
  await accessible(page);
  await page.getByLabel("Name").fill(given.name);
  await verifies(false);
  await byPasskey.click();
  await page.getByRole("alert").filter({ hasText: "Nothing was signed" }).waitFor();
  await verifies(true);
  await byPasskey.click();
  await page.getByRole("button", { name: "Log out", exact: true }).waitFor();

  await page.goto("/break-glass");
  await page.getByText("Ask for it here").click();
  await page.getByLabel("Reason").fill("the provider is down");
  await accessible(page);
  await page.getByRole("button", { name: "Ask for it", exact: true }).click();
  await page.getByRole("button", { name: "Break the glass" }).click();
  await page.getByRole("button", { name: "End it now" }).waitFor();
  say({ opened: true });
});
