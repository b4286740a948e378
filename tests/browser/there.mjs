// At the provider, as `name`, and back.
export async function there(page, name) {
  await page.getByRole("link", { name: "Go on" }).click();
  // The form of tests/idp/provider.mjs has no button.
  for (let step = 0; step < 3 && new URL(page.url()).pathname !== "/oidc/callback"; step += 1) {
    await page.waitForURL(/\/(interaction|oidc\/callback)/);
    if (!page.url().includes("/interaction/")) break;
    const before = page.url();
    await page.evaluate((login) => {
      const form = document.querySelector("form");
      const field = document.createElement("input");
      [field.name, field.value] = ["login", login];
      form.append(field);
      form.submit();
    }, name);
    await page.waitForURL((url) => url.href !== before);
  }
  await page.getByRole("button", { name: "Go on" }).click();
}
