// The page over "orrery plan --web": a scenario in the editor, and the program that
// reads it.

import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openPage, startBrowser } from "./harness.mjs";
import { down, freePort, plan, root, whyNoServer } from "./runs.mjs";

describe("page of a plan", { skip: whyNoServer() || false }, () => {
  let browser, folder, file, server, url;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "orrery-plan-"));
    file = join(folder, "iridium.yaml");
    await copyFile(join(root, "examples/iridium.yaml"), file);
    ({ child: server, address: url } = await plan(file, await freePort()));
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await down(server);
    await rm(folder, { recursive: true, force: true });
  });

  const on = (test) => async () => {
    const { page, problems } = await openPage(browser.context, url);
    try {
      await page.locator("#editor .state", { hasText: "is valid" }).waitFor();
      await test(page);
      assert.deepEqual(problems, []);
    } finally {
      await page.close();
    }
  };
  const line = (page, text) => page.locator("#editor .cm-line", { hasText: text }).first();
  const state = (page, text) => page.locator("#editor .state", { hasText: text });
  /** The number that stands beside a line. */
  const numberOf = async (text) => (await readFile(file, "utf8")).split("\n").findIndex((each) => each.includes(text)) + 1;

  it(
    "shows the server's problem at its line, and none when it is mended",
    on(async (page) => {
      const wanted = await numberOf("inclination: 86.4deg");
      await line(page, "inclination: 86.4deg").click();
      await page.keyboard.press("End");
      for (let i = 0; i < 3; i++) await page.keyboard.press("Backspace");
      await state(page, `Line ${wanted}`).waitFor();
      const marked = line(page, "inclination: 86.4").locator(".cm-lintRange-error, .cm-lintPoint-error");
      await marked.first().waitFor();
      assert.equal(await page.locator("#editor .cm-lint-marker-error").count(), 1);
      await page.locator("#editor .state button", { hasText: `Line ${wanted}` }).click();
      await page.keyboard.press("End");
      await page.keyboard.type("deg");
      await state(page, "is valid").waitFor();
      assert.equal(await page.locator("#editor .cm-lint-marker-error").count(), 0);
    }),
  );

  it(
    "completes from the schema: fields and values",
    on(async (page) => {
      // What a Walker constellation may have and this one has not.
      await line(page, "phasing: 3").click();
      await page.keyboard.press("End");
      await page.keyboard.press("Enter");
      await page.keyboard.press("Control+Space");
      const candidates = page.locator(".cm-tooltip-autocomplete li");
      for (const field of ["raanOffset", "anomalyOffset"]) await candidates.filter({ hasText: field }).waitFor();
      assert.equal(await candidates.filter({ hasText: "inclination" }).count(), 0);
      await page.keyboard.press("Escape");
      await page.keyboard.press("Control+z");
      await line(page, "pattern: star").click();
      await page.keyboard.press("End");
      for (let i = 0; i < 4; i++) await page.keyboard.press("Backspace");
      await page.keyboard.press("Control+Space");
      await candidates.filter({ hasText: "star" }).first().waitFor();
      await page.keyboard.type("de");
      await candidates.filter({ hasText: "delta" }).first().waitFor();
      await page.waitForTimeout(200); // a candidate that has just come is not taken at once
      await page.keyboard.press("Enter");
      await line(page, "pattern: delta").waitFor();
    }),
  );

  it(
    "shows another constellation as soon as it is valid",
    on(async (page) => {
      const before = await page.evaluate(() => globalThis.orrery.session.inventory.satellites);
      await line(page, "satellitesPerPlane: 11").click();
      await page.keyboard.press("End");
      await page.keyboard.press("Backspace");
      await page.keyboard.type("2");
      await page.waitForFunction((was) => globalThis.orrery.session.inventory.satellites === was + 6, before);
      await page.locator("#panel", { hasText: "72 satellites" }).waitFor();
      assert.equal(await readFile(file, "utf8"), await readFile(join(root, "examples/iridium.yaml"), "utf8"), "the file was changed");
    }),
  );

  it(
    "lays coverage over the map, and gaps beside it",
    on(async (page) => {
      await page.keyboard.press("Escape");
      await page.locator("#stage").focus();
      await page.keyboard.press("2");
      const colours = () =>
        page.evaluate(async () => {
          globalThis.orrery.stage.draw();
          const picture = await createImageBitmap(document.querySelector("#stage"));
          const pen = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
          pen.drawImage(picture, 0, 0);
          const { data } = pen.getImageData(0, 0, picture.width, picture.height);
          let sum = 0;
          for (let i = 0; i < data.length; i += 4) sum += Math.abs(data[i] - data[i + 2]);
          return sum / (data.length / 4);
        });
      const before = await colours();
      await page.getByRole("button", { name: "Show coverage" }).click();
      await page.getByRole("button", { name: "Hide coverage" }).waitFor();
      await page.waitForFunction(() => !globalThis.orrery.stage.looking.flying);
      await page.waitForTimeout(500);
      const after = await colours();
      assert.ok(Math.abs(after - before) > 3, `the map has the same colours as before: ${before}, ${after}`);
      for (const measure of ["mean", "longestGap"]) await page.getByLabel("What coverage shows").selectOption(measure);
      await page.locator("#panel tr", { hasText: "tempe" }).locator("td", { hasText: "%" }).waitFor();
      await page.getByRole("button", { name: "Hide coverage" }).click();
      await page.getByRole("button", { name: "Show coverage" }).waitFor();
    }),
  );
});
